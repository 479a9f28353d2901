"""Markdown to fragments: what it may hold, its headings, and that nothing in it becomes code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from mdit_py_plugins.superscript import superscript_plugin
from mdit_py_plugins.tasklists import tasklists_plugin
from sqlalchemy import Engine, text

from cronledger.extensions.site.markdown import Fragment, Heading, renderer, table_of_contents
from cronledger.extensions.site.urls import Addresses, allowed, is_allowed
from cronledger.testing import ManualClock
from tests.unit.extensions.web.published_sites import Page, PublishedSite, files

RENDER = renderer()
ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "</title><script>alert(1)</script>",
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    '" onfocus="alert(1)" autofocus="',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](java&#x0A;script:alert(1))",
    "[x](<java\tscript:alert(1)>)",
    "[x](\x01javascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](javascript:alert(1))",
    '![x" onerror="alert(1)](x)',
    '[x](x "onclick=alert(1) title=\\"")',
    "<javascript:alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x]: javascript:alert(1)\n\n[x]",
    '```x" onclick="alert(1)\ncode\n```',
    "# <img src=x onerror=alert(1)>\n\n## <script>alert(1)</script>",
    '## " onclick=alert(1) x="',
    "<style>*{background:url(javascript:alert(1))}</style>",
    "<!--><script>alert(1)</script>-->",
    "{{ 7 * 7 }}{% raw %}",
    "\u2028</script><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "- [x] <input onfocus=alert(1) autofocus>",
    '| <b onclick=alert(1)> | " style="x |\n|---|---|\n| </td><script> | x |',
    '^<script>alert(1)</script>^ ~~<script>~~ www.a.example/"onclick=alert(1)',
]  # fmt: skip
LISTS = [
    "- ", "1. ", "  ", "> ", "[ ]", "[x]", "[X]", " ", "a", "\n", "\n\n", "\t", "# ", "[x]: /b\n", "*",
]  # fmt: skip
"""What lists of things to do are made of, and what may come between."""

ELEMENTS = {
    "a", "blockquote", "br", "code", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "img", "input",
    "li", "ol", "p", "pre", "s", "strong", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {
    "href", "src", "alt", "title", "class", "id", "tabindex", "style", "start", "type", "disabled", "checked",
    "role", "aria-label",
}  # fmt: skip


def dangers(html: str) -> list[tuple[str, dict[str, str]]]:
    """Return the elements of a fragment that could do something."""
    return [
        (tag, attributes)
        for tag, attributes in Page(html).elements
        if tag not in ELEMENTS
        or attributes.keys() - ATTRIBUTES
        or not all(is_allowed(attributes.get(name, "")) for name in ("href", "src"))
        or attributes.get("style", "") not in ("", "text-align:left", "text-align:right", "text-align:center")
    ]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_in_a_text_becomes_code(attack: str) -> None:
    fragment = RENDER(f"{attack}\n\n## {attack}\n\n* {attack}\n\n> {attack}")

    assert [] == dangers(fragment.html)
    assert [] == dangers(fragment.toc_html)


@given(
    st.text()
    | st.lists(st.sampled_from([*ATTACKS, "\n", "\n\n", "#", "*", "[", "](", "`", "<"])).map("".join)
)
@example("## a\n## a\n## a-1")
def test_whatever_the_text_a_fragment_has_nothing_but_text_in_it(source: str) -> None:
    fragment = RENDER(source)
    ids = Page(fragment.html).ids

    assert [] == dangers(fragment.html)
    assert len(set(ids)) == len(ids)
    assert {f"#{each}" for each in ids} == set(Page(fragment.toc_html).addresses())


def test_nothing_in_front_matter_or_text_becomes_code_in_a_page(
    tmp_path: Path, app_db: Engine, clock: ManualClock
) -> None:
    """The rows are written past our ingestion, which refuses some of these addresses and characters."""
    site = PublishedSite.bare(tmp_path / "site", app_db, clock)
    for number in range(len(ATTACKS)):
        site.add(f"p{number}", "[a](/b)", description="D", author="A", links='[{title: L, url: "/l"}]')
    site.publish()
    pages = [name for name in files(site.output) if name.endswith(".html")]
    harmless = {name: skeleton(site.text(name)) for name in pages}
    with site.db.begin() as connection:
        for number, attack in enumerate(ATTACKS):
            links = json.dumps([{"rel": "link", "title": attack, "url": attack}])
            texts = dict.fromkeys(("title", "description", "author", "keywords", "image", "body"), attack)
            sets = ", ".join(f"{name} = :{name}" for name in texts)
            told = {"slug": f"p{number}", "links": links} | texts
            if connection.dialect.name == "postgresql":
                told = {name: value.replace("\0", "") for name, value in told.items()}
            update = text(
                f"UPDATE markdown_content SET version_hash = 'x', links = :links, {sets} WHERE slug = :slug"
            )
            connection.execute(update, told)
    for path in (site.root / "services/content").glob("*.md"):
        path.unlink()

    assert {} == site.errors()
    for name, before in harmless.items():
        assert before == skeleton(site.text(name)), name
        assert [] == [
            url for url in Page(site.text(name)).addresses() if not is_allowed(url) and url != "data:,"
        ]


def skeleton(page: str) -> list[tuple[str, list[str]]]:
    """Return what a template writes, elements and names of attributes: no text may change them.

    What may come and go with a text is left out: the fragment, a picture, and references.
    """
    bare = re.sub(r'(?s)<div class="prose">.*?</div>\s*(?=<section|</article)', "", page)
    bare = re.sub(r'(?s)<nav class="toc".*?</nav>|<section class="aside">.*?</section>', "", bare)
    return [(tag, sorted(each)) for tag, each in Page(bare).elements if each.get("property") != "og:image"]


def test_tables_strikethrough_bare_links_lists_of_things_to_do_and_superscript_are_known() -> None:
    html = RENDER("| a |\n|:-:|\n| 1 |\n\n~~x~~ www.example.com 2^nd^\n\n- [x] done").html

    for part in (
        '<th style="text-align:center">a</th>',
        "<s>x</s>",
        '<a href="https://www.example.com">www.example.com</a>',
        "2<sup>nd</sup>",
        '<input class="task-list-item-checkbox" checked="checked" disabled="disabled" type="checkbox"> done',
    ):
        assert part in html


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("See https://a.example/x?b=1&c=2.", ["https://a.example/x?b=1&c=2"]),
        ("(http://a.example/b_(c)), (www.b.example)", ["http://a.example/b_(c)", "https://www.b.example"]),
        ('"https://a.example"! https://b.example)) **https://c.example**', [
            "https://a.example", "https://b.example", "https://c.example",
        ]),
        ("[https://a.example](https://b.example) `https://c.example`", ["https://b.example"]),
        ("<https://a.example> xhttps://b.example a@www.example https:// www. HTTP://C.example", [
            "https://a.example", "HTTP://C.example",
        ]),
    ],
)  # fmt: skip
def test_addresses_in_a_text_are_links(source: str, expected: list[str]) -> None:
    assert expected == list(Page(RENDER(source).html).addresses())


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    [
        "http:",
        ":",
        "[a]:",
        "www.",
        "a@",
        "![",
        "](",
        "`a",
        "*a_ ",
        "> ",
        "## a\n",
        "^a",
        "&#",
        "https://a)",
        "))",
    ],
)
def test_a_text_takes_no_longer_than_its_length(piece: str) -> None:
    """Two libraries for bare links took a minute for a hundred kilobytes of `http:`."""
    RENDER(f"https://a.example/{piece * 20_000}")


def test_the_first_heading_of_level_one_is_left_out_and_not_in_the_contents() -> None:
    assert Fragment('<h2 id="a">A</h2>\n<h1>C</h1>\n', '<ul><li><a href="#a">A</a></li></ul>') == RENDER(
        "# B\n## A\n# C"
    )


def test_headings_with_one_text_get_ids_of_their_own() -> None:
    assert ["salt", "salt-1", "salt-2", "salt-1-1", "section", "größe-2"] == Page(
        RENDER("## Salt\n## *Salt*\n## `salt`\n## Salt 1\n## !\n## Größe 2").html
    ).ids


def test_contents_are_lists_in_lists() -> None:
    headings = [Heading(level, f"h{number}", "x") for number, level in enumerate((3, 2, 4, 5, 3, 2))]
    shape = table_of_contents(headings).replace('<a href="#', "").replace('">x</a>', "")

    assert (
        "<ul><li>h0</li><li>h1<ul><li>h2<ul><li>h3</li></ul></li><li>h4</li></ul></li><li>h5</li></ul>"
        == shape
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/a?b=1&c=2#d", "https://example.com/a?b=1&c=2#d"),
        ("/img/a b.svg", "/img/a%20b.svg"),
        ("mailto:a@example.com", "mailto:a@example.com"),
        ('/a"onclick="x', "/a%22onclick=%22x"),
        ("javascript:alert(1)", ""),
        (" \tjava\nscript:alert(1)", ""),
        ("\u200bjavascript:alert(1)", ""),
        ("data:image/png;base64,AA", ""),
        ("file:///etc/passwd", ""),
        (None, ""),
    ],
)
def test_an_address_is_one_of_a_few_kinds_or_nothing(url: str | None, expected: str) -> None:
    assert expected == allowed(url)


@given(st.lists(st.sampled_from(LISTS)).map("".join))
@example("- [ ] a\n  - [x] b\n- [X] c\n1. [ ] d\n\n   e\n- # f\n\n  [ ] g\n- [ ]\nh")
def test_lists_of_things_to_do_are_those_of_the_library(source: str) -> None:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.use(superscript_plugin).use(tasklists_plugin)

    # A heading of level 1 above keeps all others.
    html = RENDER(f"# T\n\n{source}").html
    assert parser.render(source) == re.sub(r' (?:tabindex|id)="[^"]*"', "", html)


@pytest.mark.timeout(20)
def test_a_long_list_of_things_to_do_takes_no_longer_than_its_length() -> None:
    assert 12_500 == RENDER("- [ ] a\n" * 12_500).html.count("<input")


def test_links_and_pictures_of_the_site_lead_below_its_path() -> None:
    source = "[a](/b/) ![c](/d.png) [e][f] //x.example [g](//h) [i](j) [k](#l) https://m.example\n\n[f]: /f"
    render = renderer(Addresses("https://house.example/shop").path)

    assert ["/shop/b/", "/shop/d.png", "/shop/f", "//h", "j", "#l", "https://m.example"] == list(
        Page(render(source).html).addresses()
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/a.png", "https://house.example/shop/a.png"),
        ("img/a.png", "https://house.example/shop/img/a.png"),
        ("https://b.example/a.png", "https://b.example/a.png"),
        ("//b.example/a.png", "//b.example/a.png"),
        ("", ""),
    ],
)
def test_the_whole_address_of_a_path_begins_with_that_of_the_site(url: str, expected: str) -> None:
    assert expected == Addresses("https://house.example/shop").full(url)
