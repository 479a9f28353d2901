"""What machines read of a site: sitemap, feeds, llms.txt, robots.txt, held against their published rules."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import Engine, MetaData, Table, insert

from cronledger import Pipeline
from cronledger.extensions.web.steps.sitemap import MOST_URLS, sitemap
from cronledger.testing import ManualClock, perform
from tests.unit.extensions.web.published_sites import BASE_URL, PublishedSite, files

SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
ATOM = "{http://www.w3.org/2005/Atom}"
DC = "{http://purl.org/dc/elements/1.1/}"
W3C = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
RFC_822 = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000")


@pytest.fixture
def example(tmp_path: Path, app_db: Engine, clock: ManualClock) -> PublishedSite:
    """Return the sample site, published on either database."""
    site = PublishedSite.example(tmp_path / "site", app_db, clock)
    site.publish()
    return site


@pytest.fixture
def bare(tmp_path: Path, app_db: Engine, clock: ManualClock) -> PublishedSite:
    """Return a site without items on either database."""
    return PublishedSite.bare(tmp_path / "site", app_db, clock)


def is_there(site: PublishedSite, url: str) -> bool:
    parts = urlsplit(url)
    path = parts.path.lstrip("/")
    name = f"{path}index.html" if path == "" or path.endswith("/") else path
    return f"{parts.scheme}://{parts.netloc}" == BASE_URL and (site.output / name).is_file()


def text_of(element: ET.Element, tag: str) -> str:
    return element.findtext(tag) or ""


def test_the_sitemap_keeps_the_rules_of_sitemaps_org(example: PublishedSite) -> None:
    root = ET.fromstring(example.text("sitemap.xml"))
    children = [[child.tag.removeprefix(SITEMAP) for child in url] for url in root]

    assert f"{SITEMAP}urlset" == root.tag
    assert {f"{SITEMAP}url"} == {url.tag for url in root}
    assert all(["loc", "lastmod", "changefreq", "priority"] == names for names in children)
    for url in root:
        assert is_there(example, text_of(url, f"{SITEMAP}loc"))
        assert W3C.fullmatch(text_of(url, f"{SITEMAP}lastmod"))
        assert text_of(url, f"{SITEMAP}changefreq") in ("daily", "weekly", "monthly", "yearly")
        assert 0 <= float(text_of(url, f"{SITEMAP}priority")) <= 1
        assert re.fullmatch(r"[01]\.\d", text_of(url, f"{SITEMAP}priority"))


def test_the_sitemap_has_every_public_page_once_with_the_date_of_its_content(example: PublishedSite) -> None:
    root = ET.fromstring(example.text("sitemap.xml"))
    dates = {text_of(url, f"{SITEMAP}loc"): text_of(url, f"{SITEMAP}lastmod") for url in root}
    pages = {
        f"{BASE_URL}/{name.removesuffix('index.html')}"
        for name in files(example.output)
        if name.endswith("index.html")
    }

    assert pages == dates.keys()
    assert len(root) == len(dates)
    assert "2026-03-02T00:00:00Z" == dates[f"{BASE_URL}/journal/monday-is-for-the-starter/"]
    assert "2026-09-11T00:00:00Z" == dates[f"{BASE_URL}/"]


def test_more_addresses_than_one_sitemap_holds_have_an_index(bare: PublishedSite) -> None:
    bare.publish()
    with bare.db.begin() as connection:
        content = Table("markdown_content", MetaData(), autoload_with=connection)
        row = {
            "locale": "en", "title": "t", "description": "", "body": "", "author": "", "keywords": "",
            "kind": "blog", "source_id": "blog", "version_hash": "x", "public": True, "links": [],
            "published_at": datetime(2026, 1, 1, tzinfo=UTC), "updated_at": datetime(2026, 1, 1, tzinfo=UTC),
        }  # fmt: skip
        rows = [row | {"id": f"i{number}", "slug": f"s{number}"} for number in range(MOST_URLS)]
        connection.execute(insert(content), rows)
    alone = Pipeline([sitemap], name="sitemap_alone")
    asyncio.run(perform(alone, db=bare.db, config=bare.config, clock=bare.clock))
    index = ET.fromstring(bare.text("sitemap.xml"))
    parts = [text_of(part, f"{SITEMAP}loc") for part in index]
    counts = [len(ET.fromstring(bare.text(urlsplit(part).path.lstrip("/")))) for part in parts]

    assert f"{SITEMAP}sitemapindex" == index.tag
    assert [f"{BASE_URL}/sitemaps/sitemap-{number}.xml" for number in (1, 2)] == parts
    assert [MOST_URLS, 2] == counts
    assert ["2026-01-01T00:00:00Z"] * 2 == [text_of(part, f"{SITEMAP}lastmod") for part in index]


@pytest.mark.parametrize("name", ["feed", "journal", "guides", "docs", "legal"])
def test_a_feed_keeps_the_rules_of_rss(example: PublishedSite, name: str) -> None:
    root = ET.fromstring(example.text(f"{name}.xml"))
    (channel,) = root
    items = channel.findall("item")
    link = channel.find(f"{ATOM}link")

    assert ("rss", "2.0") == (root.tag, root.get("version"))
    assert all(text_of(channel, tag) for tag in ("title", "link", "description", "language"))
    assert is_there(example, text_of(channel, "link"))
    assert link is not None
    assert {"href": f"{BASE_URL}/{name}.xml", "rel": "self", "type": "application/rss+xml"} == link.attrib
    assert RFC_822.fullmatch(text_of(channel, "lastBuildDate"))
    assert 0 < len(items) <= 20
    for item in items:
        assert text_of(item, "title")
        assert is_there(example, text_of(item, "link"))
        assert text_of(item, "link") == text_of(item, "guid")
        assert {"isPermaLink": "true"} == item.find("guid").attrib  # type: ignore[union-attr]
        assert RFC_822.fullmatch(text_of(item, "pubDate"))
        assert text_of(item, f"{DC}creator")
        assert item.find("author") is None  # RSS wants an address of mail there
    dates = [parsedate_to_datetime(text_of(item, "pubDate")) for item in items]
    assert sorted(dates, reverse=True) == dates
    assert len({text_of(item, "guid") for item in items}) == len(items)


def test_the_atom_feed_keeps_the_rules_of_rfc_4287(example: PublishedSite) -> None:
    root = ET.fromstring(example.text("atom.xml"))
    entries = root.findall(f"{ATOM}entry")

    assert f"{ATOM}feed" == root.tag
    assert {f"{BASE_URL}/atom.xml"} == {
        link.get("href") for link in root.findall(f"{ATOM}link") if link.get("rel") == "self"
    }
    for element in (root, *entries):
        assert text_of(element, f"{ATOM}id").startswith(BASE_URL)
        assert text_of(element, f"{ATOM}title")
        assert W3C.fullmatch(text_of(element, f"{ATOM}updated"))
        assert 1 == len(element.findall(f"{ATOM}updated"))
        assert element is not root or text_of(element, f"{ATOM}author/{ATOM}name")
    for entry in entries:
        (link,) = entry.findall(f"{ATOM}link")
        assert is_there(example, str(link.get("href")))
    assert 12 == len({text_of(entry, f"{ATOM}id") for entry in entries})


def test_feeds_of_a_site_without_items_are_valid_and_do_not_ask_the_clock(bare: PublishedSite) -> None:
    bare.publish()
    first = files(bare.output)
    bare.clock.advance(86400)
    bare.publish()

    assert first == files(bare.output)
    assert "1970-01-01T00:00:00Z" == text_of(ET.fromstring(bare.text("atom.xml")), f"{ATOM}updated")
    assert [] == ET.fromstring(bare.text("feed.xml")).findall("channel/item")


def test_a_feed_has_the_twenty_newest_items(bare: PublishedSite) -> None:
    for number in range(25):
        bare.add(f"p{number}", published_at=f"2026-01-{number + 1:02}")
    bare.publish()
    titles = [text_of(item, "title") for item in ET.fromstring(bare.text("feed.xml")).iter("item")]

    assert [f"P{number}" for number in range(24, 4, -1)] == titles


def test_a_source_with_the_name_of_a_feed_of_the_site_is_told(bare: PublishedSite) -> None:
    bare.write("content/config.yaml", "content_sources: {feed: {path: .}}")

    assert "source 'feed' has the name of a feed of the site" in bare.errors()["rss_feed"]


def test_marks_of_xml_in_texts_are_escaped(bare: PublishedSite) -> None:
    title = "Salt & <water> \"x\" ]]> 'y'"
    bare.add("rye", title=f"'{title.replace(chr(39), chr(39) * 2)}'")
    bare.publish()

    for name in ("feed.xml", "blog.xml"):
        assert [title] == [text_of(item, "title") for item in ET.fromstring(bare.text(name)).iter("item")]
    assert [title] == [
        text_of(each, f"{ATOM}title") for each in ET.fromstring(bare.text("atom.xml")).iter(f"{ATOM}entry")
    ]


def test_llms_txt_names_what_is_public_in_its_chapters(bare: PublishedSite) -> None:
    bare.write("content/config.yaml", "metadata: {name: Mill, description: Flour and more.}")
    bare.add("services-oven", kind="docs", title="The [oven]", description="Hot.")
    bare.add("config-salt", kind="reference", title="Salt")
    bare.add("a-guide", kind="guide", title="Guide")
    bare.add("hidden", kind="docs", public="false")
    for number in range(17):
        bare.add(f"p{number:02}", published_at=f"2026-01-{number + 1:02}")
    bare.add("privacy", kind="legal", title="Privacy")
    bare.publish()
    lines = bare.text("llms.txt").splitlines()

    assert ["# Mill", "", "> Flour and more.", ""] == lines[:4]
    assert [
        "## Quick Links", "## Documentation", "### Services", "### Configuration Reference", "### General",
        "## Blog", "## Resources",
    ] == [line for line in lines if line.startswith("##")]  # fmt: skip
    assert rf"- [The \[oven\]]({BASE_URL}/blog/services-oven/): Hot." in lines
    assert 15 == sum("/blog/p" in line and "[P" in line and "[Privacy" not in line for line in lines)
    assert f"- [P16]({BASE_URL}/blog/p16/)" in lines
    assert "hidden" not in bare.text("llms.txt")


def test_robots_txt_says_where_the_sitemap_is(example: PublishedSite) -> None:
    assert (
        "User-agent: *\nAllow: /\n\nDisallow: /api/\nDisallow: /console/\nDisallow: /_/\n\n"
        f"Sitemap: {BASE_URL}/sitemap.xml\n"
    ) == example.text("robots.txt")


def test_years_have_four_digits_in_every_document(bare: PublishedSite) -> None:
    bare.add("rye", published_at="0999-01-31")
    bare.publish()

    assert "<lastmod>0999-01-31T00:00:00Z</lastmod>" in bare.text("sitemap.xml")
    assert "<published>0999-01-31T00:00:00Z</published>" in bare.text("atom.xml")
    assert "31 Jan 0999" in bare.text("feed.xml")
