"""The publish pipeline on a real site, from files to files, on both databases."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, text

from cronledger.extensions.web import web
from cronledger.testing import ManualClock
from tests.unit.extensions.site.site_files import markdown
from tests.unit.extensions.web.published_sites import BASE_URL, Page, PublishedSite, files, places

NAMES = [
    "content_ingestion", "asset_copy", "content_prerender", "page_prerender", "sitemap", "llms_txt",
    "robots_txt", "rss_feed", "asset_organization",
]  # fmt: skip


@pytest.fixture
def example(tmp_path: Path, app_db: Engine, clock: ManualClock) -> PublishedSite:
    """Return the sample site on either database."""
    return PublishedSite.example(tmp_path / "site", app_db, clock)


@pytest.fixture
def bare(tmp_path: Path, app_db: Engine, clock: ManualClock) -> PublishedSite:
    """Return a site without templates on either database."""
    return PublishedSite.bare(tmp_path / "site", app_db, clock)


def file_of(url: str) -> str:
    path = urlsplit(url).path.lstrip("/")
    return f"{path}index.html" if path == "" or path.endswith("/") else path


def test_the_pipeline_is_a_job_of_the_extension_web_that_also_runs_at_start() -> None:
    (job,) = (each for each in web.jobs() if each.name == "publish_pipeline")

    assert ("0 */15 * * * *", True, True) == (job.schedule, job.run_on_startup, job.idempotent)
    assert NAMES == [step.name for step in job.steps]


def test_nine_steps_are_recorded_in_their_order(example: PublishedSite) -> None:
    done = example.publish()

    assert ("succeeded", 9, 0) == (done.run.outcome, done.run.items_processed, done.run.items_failed)
    assert NAMES == [step.name for step in done.steps]
    assert all(step.items_processed and step.duration_ms is not None for step in done.steps)


def test_every_link_of_the_site_leads_somewhere(example: PublishedSite) -> None:
    example.publish()
    there = files(example.output)
    ids = {name: Page(data.decode()).ids for name, data in there.items() if name.endswith(".html")}
    broken = []
    for name in ids:
        here = f"{BASE_URL}/{name.removesuffix('index.html')}"
        for address in Page(there[name].decode()).addresses():
            parts = urlsplit(address)
            is_ours = parts.scheme in ("", "https") and parts.netloc in ("", "alderandrye.example")
            target = file_of(address if parts.path else here)
            if is_ours and (target not in there or (parts.fragment and parts.fragment not in ids[target])):
                broken.append((name, address))

    assert [] == broken
    assert 17 == len(ids)


def test_ids_of_a_page_are_unique(example: PublishedSite) -> None:
    example.publish()
    doubled = {
        name
        for name, data in files(example.output).items()
        if name.endswith(".html") and len(set(ids := Page(data.decode()).ids)) != len(ids)
    }

    assert set() == doubled


def test_a_page_has_what_search_engines_read(example: PublishedSite) -> None:
    example.publish()
    page = example.text("guides/a-first-rye-loaf/index.html")
    elements = Page(page).elements
    metas = {
        each.get("name") or each.get("property"): each.get("content")
        for tag, each in elements
        if tag == "meta"
    }
    told = json.loads(re.search(r'<script type="application/ld\+json">(.*)</script>', page)[1])  # type: ignore[index]

    assert "One bowl, one tin, no kneading. The bread we would teach a friend first." == metas["description"]
    assert ("article", "A first rye loaf") == (metas["og:type"], metas["og:title"])
    assert f"{BASE_URL}/img/loaf.svg" == metas["og:image"]
    assert {"rel": "canonical", "href": f"{BASE_URL}/guides/a-first-rye-loaf/"} in [
        each for _, each in elements
    ]
    assert ("TechArticle", "A first rye loaf", "2026-06-05T00:00:00Z") == (
        told["@type"], told["headline"], told["datePublished"],
    )  # fmt: skip


def test_what_is_not_public_is_nowhere(example: PublishedSite) -> None:
    example.publish()

    assert [] == [name for name, data in files(example.output).items() if b"second-oven" in data]


def test_css_and_scripts_end_at_their_final_paths_alone(example: PublishedSite) -> None:
    example.publish()
    names = [name for name in files(example.output) if name.endswith((".css", ".js"))]

    assert ["css/bakery.css", "css/site.css", "js/print.js"] == names


def test_a_second_run_rewrites_nothing(example: PublishedSite) -> None:
    example.publish()
    before = places(example.output)
    example.clock.advance(3600)
    done = example.publish()

    assert before == places(example.output)
    assert "17 pages: 0 written, 17 unchanged, 0 removed" == done.steps[3].message
    assert "0 rendered, 12 unchanged, 0 removed" == done.steps[2].message


def test_two_fresh_sites_have_the_same_bytes(tmp_path: Path, app_db: Engine, clock: ManualClock) -> None:
    first = PublishedSite.example(tmp_path / "a", app_db, clock)
    first.publish()
    with first.db.begin() as connection:
        for table in ("content_fragments", "markdown_content"):
            connection.execute(text(f"DELETE FROM {table}"))
    clock.advance(86400)
    second = PublishedSite.example(tmp_path / "b", first.db, clock)
    second.publish()

    assert files(first.output) == files(second.output)


def test_only_the_page_of_a_changed_text_and_its_lists_are_rewritten(bare: PublishedSite) -> None:
    bare.add("rye")
    bare.add("wheat")
    bare.publish()
    before = files(bare.output)
    bare.clock.advance(3600)
    bare.add("rye", "Another text.")
    bare.publish()
    after = files(bare.output)

    changed = {"atom.xml", "blog.xml", "blog/rye/index.html", "feed.xml", "sitemap.xml"}
    assert changed == {name for name in after if after[name] != before.get(name)}
    assert "<lastmod>2026-03-14T13:00:00Z</lastmod>" in bare.text("sitemap.xml")


def test_a_page_whose_content_is_no_longer_public_is_removed(bare: PublishedSite) -> None:
    bare.add("rye")
    bare.add("wheat")
    bare.publish()
    bare.add("rye", public="false")
    done = bare.publish()

    assert not (bare.output / "blog/rye").exists()
    assert "4 pages: 2 written, 2 unchanged, 1 removed" == done.steps[3].message
    assert [] == [name for name, data in files(bare.output).items() if b"/rye/" in data]


def test_without_enforce_nothing_is_removed(bare: PublishedSite) -> None:
    bare.add("rye")
    bare.publish()
    bare.add("rye", public="false")
    bare.config.write_text(
        bare.config.read_text().replace("extension: web", "extension: web, enforce: false")
    )
    done = bare.publish()

    assert (bare.output / "blog/rye/index.html").exists()
    assert done.steps[3].message is not None
    assert done.steps[3].message.endswith("1 removed")


def test_a_broken_template_fails_its_step_alone_and_names_the_line(example: PublishedSite) -> None:
    example.publish()
    before = example.text("guides/a-first-rye-loaf/index.html")
    (example.output / "feed.xml").unlink()
    example.write("web/templates/recipe.html", '{% extends "item.html" %}\n{% block end %}\n{% if %}')
    done = example.publish()
    failed = [step for step in done.steps if step.error]

    assert ("partial", 8, 1) == (done.run.outcome, done.run.items_processed, done.run.items_failed)
    assert ["page_prerender"] == [step.name for step in failed]
    assert "template recipe.html, line 3: " in str(failed[0].error)
    assert (15, 2) == (failed[0].items_processed, failed[0].items_failed)
    assert before == example.text("guides/a-first-rye-loaf/index.html")
    assert (example.output / "feed.xml").exists()


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("one\n{{ TITEL }}", "template item.html, line 2: 'TITEL' is undefined"),
        ("{{ 1 / 0 }}", "template item.html, line 1: division by zero"),
        ('{% include "../../secret" %}', "template item.html, line 1: there is no template '../../secret'"),
        ("{{ TITLE.__class__ }}", "access to attribute '__class__' of 'str' object is unsafe"),
        (b"a\nb\xff", "template item.html, line 2: this is not UTF-8"),
        ('{% include "item.html" %}', "template item.html, line 1: maximum recursion depth"),
        ("{{ 'a' * 10**18 }}", "template item.html, line 1: MemoryError"),
        ("", None),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_filled_in_is_told(
    bare: PublishedSite, template: str | bytes, error: str | None
) -> None:
    bare.add("rye")
    bare.write("web/templates/item.html", template)
    found = bare.errors().get("page_prerender")

    assert (error is None) == (found is None)
    assert (error or "") in (found or "")


def test_a_site_that_cannot_be_read_fails_every_step(bare: PublishedSite) -> None:
    bare.write("content/config.yaml", "content_sources: {blog: {path: nowhere}}")
    done = bare.publish()

    assert ("failed", 9) == (done.run.outcome, sum(step.error is not None for step in done.steps))
    assert all("there is no folder" in str(step.error) for step in done.steps)


def test_a_missing_table_is_one_sentence(bare: PublishedSite) -> None:
    bare.add("rye")
    with bare.db.begin() as connection:
        connection.execute(text("DROP TABLE content_fragments"))

    assert "no table 'content_fragments'" in bare.errors()["page_prerender"]


def test_default_templates_and_their_style_are_used_where_a_site_has_none(bare: PublishedSite) -> None:
    bare.add("rye", "# Rye\n\n## One\n\ntext\n\n### Two")
    bare.publish()
    page = bare.text("blog/rye/index.html")

    assert 1 == page.count("<h1>")
    assert '<ul><li><a href="#one">One</a><ul><li><a href="#two">Two</a></li></ul></li></ul>' in page
    assert "prefers-color-scheme: dark" in bare.text("css/site.css")


def test_an_item_without_a_slug_is_the_text_of_its_list(bare: PublishedSite) -> None:
    bare.add("rye")
    bare.add("", "Welcome to the *blog*.", title="All posts")
    bare.publish()
    page = bare.text("blog/index.html")

    assert "<h1>All posts</h1>" in page
    assert "Welcome to the <em>blog</em>." in page
    assert 'href="/blog/rye/"' in page


def test_a_long_list_stands_on_several_pages(bare: PublishedSite) -> None:
    for number in range(101):
        bare.add(f"p{number}", published_at=f"2026-0{number // 25 + 1}-{number % 25 + 1:02}")
    bare.publish()
    pages = [Page(bare.text(f"blog/{path}index.html")) for path in ("", "page/2/", "page/3/")]
    links = [[url for url in page.addresses() if url.startswith("/blog/p")] for page in pages]
    items = [url for page in links for url in page if "/page/" not in url]

    assert [f"/blog/p{number}/" for number in range(100, -1, -1)] == items
    assert [["/blog/page/2/"], ["/blog/page/3/"], ["/blog/page/2/"]] == [
        [url for url in page if "/page/" in url] for page in links
    ]
    assert f'<link rel="canonical" href="{BASE_URL}/blog/page/2/">' in bare.text("blog/page/2/index.html")


def test_a_file_that_breaks_keeps_its_page_and_the_others_go_on(bare: PublishedSite) -> None:
    bare.add("rye")
    bare.publish()
    before = bare.text("blog/rye/index.html")
    bare.add("wheat")
    bare.write("content/rye.md", "---\ntitle: Rye\nslug: [\n---\n")
    bare.write("content/spelt.md", b"---\ntitle: \xff\n---\n")
    done = bare.publish()

    assert ("succeeded", 1, 2) == (
        done.run.outcome, done.steps[0].items_processed, done.steps[0].items_failed,
    )  # fmt: skip
    assert "rye.md:3:" in str(done.steps[0].message)
    assert before == bare.text("blog/rye/index.html")
    assert (bare.output / "blog/wheat/index.html").exists()


def test_each_locale_has_pages_of_its_own_that_name_each_other(bare: PublishedSite) -> None:
    bare.write("content/config.yaml", "metadata: {locales: [en, de], language: en}")
    bare.add("rye")
    bare.write("content/roggen.md", markdown("Text.", title="Roggen", slug="rye", locale="de"))
    bare.publish()
    page, sitemap = bare.text("de/blog/rye/index.html"), bare.text("sitemap.xml")

    assert '<html lang="de">' in page
    for locale, path in (("en", "blog/rye/"), ("de", "de/blog/rye/"), ("x-default", "blog/rye/")):
        assert f'<link rel="alternate" hreflang="{locale}" href="{BASE_URL}/{path}">' in page
        assert f'<xhtml:link rel="alternate" hreflang="{locale}" href="{BASE_URL}/{path}" />' in sitemap
    assert {"de/index.html", "de/blog/index.html"} <= files(bare.output).keys()
    assert "Roggen" not in bare.text("feed.xml")


def test_a_site_below_a_path_links_to_itself(bare: PublishedSite) -> None:
    bare.config.write_text(bare.config.read_text().replace("alderandrye.example", "alderandrye.example/site"))
    bare.add("rye")
    bare.publish()
    page = bare.text("blog/rye/index.html")

    assert 'href="/site/css/site.css"' in page
    assert f'href="{BASE_URL}/site/blog/rye/"' in page
    assert "Disallow: /site/api/" in bare.text("robots.txt")


def test_an_asset_that_is_gone_is_removed_and_a_changed_style_replaces_the_old_one(
    bare: PublishedSite,
) -> None:
    for name in ("site.css", "extra.css", "img/a.svg"):
        bare.write(f"web/assets/{name}", "1")
    bare.publish()
    bare.write("web/assets/site.css", "2")
    for name in ("extra.css", "img/a.svg"):
        (bare.root / "services/web/assets" / name).unlink()
    done = bare.publish()
    names = files(bare.output).keys()

    assert "2" == bare.text("css/site.css")
    assert {"css/extra.css", "img/a.svg"} & names == set()
    assert not (bare.output / "img").exists()
    assert "1 moved, 1 removed" == done.steps[8].message


def test_what_somebody_else_has_put_there_is_never_removed(bare: PublishedSite) -> None:
    bare.add("rye")
    bare.publish()
    (bare.output / "notes.txt").write_text("mine")
    (bare.output / "blog/rye/data.json").write_text("{}")
    (bare.output / "found.css").write_text("a")
    (bare.output / "blog/rye/index.html").write_text("mine now")
    bare.add("rye", public="false")
    done = bare.publish()
    again = bare.publish()

    assert "blog/rye/index.html was changed by somebody else" in str(done.steps[3].error)
    assert {"notes.txt", "blog/rye/data.json", "css/found.css", "blog/rye/index.html"} <= files(
        bare.output
    ).keys()
    assert again.steps[8].error is None


def test_a_style_of_the_site_that_somebody_has_edited_in_the_output_is_written_again(
    bare: PublishedSite,
) -> None:
    bare.publish()
    good = bare.text("css/site.css")
    (bare.output / "css/site.css").write_text("edited")
    done = bare.publish()

    assert "succeeded" == done.run.outcome
    assert good == bare.text("css/site.css")


def test_a_style_in_the_way_of_another_one_is_told_and_both_stay(bare: PublishedSite) -> None:
    bare.publish()
    (bare.output / "css/odd.css").write_text("one")
    (bare.output / "odd.css").write_text("two")
    errors = bare.errors()

    assert "css/odd.css has other bytes than odd.css" in errors["asset_organization"]
    assert ("one", "two") == (bare.text("css/odd.css"), bare.text("odd.css"))


def test_dates_for_people_and_for_machines_are_those_of_the_content(bare: PublishedSite) -> None:
    bare.add("rye", published_at="2026-02-03T23:30:00-05:00")
    bare.publish()
    page = bare.text("blog/rye/index.html")

    assert '<time datetime="2026-02-04T04:30:00Z">4 February 2026</time>' in page


def test_links_in_texts_follow_the_path_of_the_site_when_it_changes(bare: PublishedSite) -> None:
    bare.add(
        "rye", "[a](/blog/wheat/) ![b](/b.png)", image="img/rye.png",
        related_docs="[{title: W, url: /blog/wheat/}]",
    )  # fmt: skip
    bare.publish()
    assert 2 == bare.text("blog/rye/index.html").count('href="/blog/wheat/"')

    bare.config.write_text(bare.config.read_text().replace("alderandrye.example", "alderandrye.example/site"))
    bare.publish()
    page = bare.text("blog/rye/index.html")
    assert 2 == page.count('href="/site/blog/wheat/"')
    assert 'src="/site/b.png"' in page
    assert f'content="{BASE_URL}/site/img/rye.png"' in page
    assert "0 rendered, 1 unchanged, 0 removed" == bare.publish().steps[2].message


def test_a_template_that_cannot_be_read_costs_its_own_pages_alone(bare: PublishedSite) -> None:
    bare.add("rye")
    bare.add("kneading", kind="guide")
    bare.write("web/templates/other", "X")
    (bare.root / "services/web/templates/guide.html").symlink_to("other")

    assert "template guide.html: " in bare.errors()["page_prerender"]
    assert "blog/rye/index.html" in files(bare.output)
    assert "blog/kneading/index.html" not in files(bare.output)


def test_a_locale_with_the_text_of_a_list_alone_has_a_first_page(bare: PublishedSite) -> None:
    bare.write("content/config.yaml", "metadata: {locales: [en, de]}")
    bare.add("rye")
    bare.write("content/liste.md", markdown("Text.", title="Liste", slug='""', locale="de"))

    assert {} == bare.errors()
    assert {"de/index.html", "de/blog/index.html"} <= files(bare.output).keys()
    assert f"<loc>{BASE_URL}/de/</loc>" in bare.text("sitemap.xml")
    assert "Liste" not in bare.text("feed.xml")


def test_a_text_in_a_locale_that_the_site_does_not_have_is_told(
    bare: PublishedSite, caplog: pytest.LogCaptureFixture
) -> None:
    bare.add("roggen", locale="de")
    bare.publish()

    told = "the site has no locale 'de' (it has en): public texts without a page: 1"
    assert told in caplog.messages
