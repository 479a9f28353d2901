"""Front matter: what it may say, and the one sentence that says what is wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cronledger.extensions.site.front_matter import KEYS, BadFile, Item, read_item
from tests.unit.extensions.site.site_files import FRONT, markdown


def read(text: str) -> Item:
    return read_item(text.encode(), "a.md")


def refused(text: str | bytes) -> str:
    with pytest.raises(BadFile) as caught:
        read_item(text.encode() if isinstance(text, str) else text, "a.md")
    return str(caught.value)


def test_a_file_with_what_is_required_is_an_item_and_all_else_has_a_default() -> None:
    item = read(markdown("\n\n# Hello\n\nText.\n\n"))

    assert ("hello", "en", "Hello", "blog", True) == (
        item.slug, item.locale, item.title, item.kind, item.public
    )  # fmt: skip
    assert datetime(2026, 1, 31, tzinfo=UTC) == item.published_at
    assert ("", "", "", None, None, []) == (
        item.description, item.author, item.keywords, item.image, item.category, item.links
    )  # fmt: skip
    assert "# Hello\n\nText." == item.body


def test_a_file_may_say_everything() -> None:
    item = read(
        markdown(
            description="What it is",
            author="Ada",
            keywords="one, two,",
            tags="[two, three]",
            image="/hello.png",
            category="news",
            public="false",
            locale="pt-BR",
            updated_at="2026-02-01",
            links="[{title: Home, url: 'https://example.com/'}, {url: /docs}]",
            related_docs="[{title: Docs, url: docs/a}]",
            related_code="[{title: Code, url: '#code'}]",
            related_playbooks="[{title: Play, url: 'mailto:ada@example.com'}]",
            after_reading_this="[You know more]",
        )
    )

    assert ("What it is", "Ada", "one, two, three") == (item.description, item.author, item.keywords)
    assert ("/hello.png", "news", False, "pt-BR") == (item.image, item.category, item.public, item.locale)
    assert [
        {"rel": "link", "title": "Home", "url": "https://example.com/"},
        {"rel": "link", "title": "/docs", "url": "/docs"},
        {"rel": "related_docs", "title": "Docs", "url": "docs/a"},
        {"rel": "related_code", "title": "Code", "url": "#code"},
        {"rel": "related_playbooks", "title": "Play", "url": "mailto:ada@example.com"},
        {"rel": "after_reading_this", "title": "You know more", "url": ""},
    ] == item.links


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:30:00Z", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("2026-01-31T01:30:00+02:00", datetime(2026, 1, 30, 23, 30, tzinfo=UTC)),
        ('"2026-01-31t12:30:00.25z"', datetime(2026, 1, 31, 12, 30, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_a_date_is_midnight_in_utc_and_an_instant_says_its_zone(written: str, instant: datetime) -> None:
    assert instant == read(markdown(published_at=written)).published_at


@pytest.mark.parametrize(
    ("word", "kind"),
    [("guide", "guide"), ("docs-index", "docs-index"), ("page", "legal"), ("article", "blog")],
)
def test_a_page_is_legal_and_an_unknown_kind_is_blog(word: str, kind: str) -> None:
    assert kind == read(markdown(kind=word)).kind


@pytest.mark.parametrize("slug", ["a", "404", "guides/first-steps", "2026/01/hello", '""'])
def test_a_slug_has_segments_and_an_empty_one_is_the_index(slug: str) -> None:
    assert slug.strip('"') == read(markdown(slug=slug)).slug


@pytest.mark.parametrize(
    "slug",
    [
        "../etc/passwd", "/etc", "a/../b", "a//b", "a/", "Hello", "-a", "a-", "a--b", "a b", "%2e%2e", "a.b",
        "é", '"a\\0b"', "a\\b", "x" * 201, "[a]",
    ],
)  # fmt: skip
def test_a_slug_that_could_lead_elsewhere_is_refused_with_its_line(slug: str) -> None:
    assert refused(markdown(slug=slug)).startswith("a.md:3:7: ")


@pytest.mark.parametrize(
    ("front", "error"),
    [
        ({"title": None}, "a.md:2:1: title: is missing"),
        ({"title": '""'}, "a.md:2:8: title: must not be empty"),
        ({"title": "x" * 201}, "a.md:2:8: title: has 201 characters, more than 200"),
        ({"title": "on"}, "a.md:2:8: title: must be text: quote on, which YAML reads as something else"),
        ({"slug": None}, 'a.md:2:1: slug: is missing (write "" for the index page)'),
        ({"kind": None, "slug": None}, None),
        ({"published_at": "yesterday"}, None),
        ({"published_at": "2026-02-30"}, "a.md:4:15: published_at: there is no such instant: '2026-02-30'"),
        ({"published_at": "2026-01-31T12:00:00"}, None),
        ({"published_at": "0001-01-01T00:00:00+23:59"}, None),
        ({"published_at": "9999-12-31T23:59:59-23:59"}, None),
        ({"published_at": "20260131"}, None),
        ({"description": "x" * 501}, "a.md:6:14: description: has 501 characters, more than 500"),
        ({"public": "off"}, "a.md:6:9: public: must be true or false, not 'off'"),
        ({"pubilc": "false"}, "a.md:6:1: unknown key 'pubilc', did you mean 'public'?"),
        ({"locale": "../en"}, "a.md:6:9: locale: '../en' is not a locale such as en or pt-BR"),
        ({"image": "javascript:alert(1)"}, None),
        ({"image": "//elsewhere.example/a.png"}, None),
        ({"image": "http:a.png"}, None),
        ({"image": "https:///a.png"}, None),
        ({"image": "/img/../../secret.png"}, None),
        ({"image": "/img/%2e%2e/secret.png"}, None),
        ({"links": "[{title: x, url: 'javascript:alert(1)'}]"}, None),
        ({"links": "[{title: x, url: 'JavaScript:alert(1)'}]"}, None),
        ({"links": "[{title: x, url: //elsewhere.example}]"}, None),
        ({"links": '[{title: x, url: "java\\tscript:alert(1)"}]'}, None),
        ({"links": "[{title: x}]"}, "a.md:6:9: links[0].url: is missing"),
        ({"links": "x"}, "a.md:6:8: links: must be a list, not 'x'"),
        ({"keywords": "{}"}, "a.md:6:11: keywords: must be text, not a mapping"),
        ({"author": "&a b"}, None),
        ({"title": '"a\\u0007b"'}, None),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_its_place(
    front: dict[str, str | None], error: str | None
) -> None:
    told = refused(markdown(**front))

    assert told.startswith("a.md:")
    assert "\n" not in told
    assert error is None or error == told


def test_everything_that_is_wrong_with_a_file_is_told_at_once() -> None:
    told = refused(markdown(title='""', slug="A")).split("; ")

    assert "a.md:2:8: title: must not be empty" == told[0]
    assert told[1].startswith("3:7: slug: 'A' must be small letters, digits and single hyphens")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "a.md:1:1: the file must begin with front matter, after a line ---"),
        (b"# Hello\n", "a.md:1:1: the file must begin with front matter, after a line ---"),
        (b"\n---\n", "a.md:1:1: the file must begin with front matter, after a line ---"),
        (b"---\ntitle: x\n", "a.md:1:1: the front matter does not end: there is no second line ---"),
        (b"---\ntitle: [\n---\n", "a.md:2:9: not valid YAML: did not find expected node content (while parsing a flow node)"),  # noqa: E501 - one sentence
        (b"---\n- a\n---\n", "a.md:2:1: must be a mapping of keys to values, not a list"),
        (b"---\ntitle: \xff\n---\n", "a.md:2:8: the file is not UTF-8"),
        (markdown("one\ntwo \x07").encode(), "a.md:8:5: control character U+0007 in the text"),
        (markdown("one\ntwo ").encode() + b"\xe9", "a.md:8:5: the file is not UTF-8"),
        (b"---\n" + b"# x\n" * 70_000 + b"---\n", "a.md:1:1: the front matter is larger than 256 KiB"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_content_is_told_where(data: bytes, error: str) -> None:
    assert error == refused(data)


def test_a_byte_order_mark_and_windows_lines_are_fine() -> None:
    text = markdown("One\n\nTwo").replace("\n", "\r\n")

    assert "One\r\n\r\nTwo" == read_item(b"\xef\xbb\xbf" + text.encode(), "a.md").body


def test_three_hyphens_in_a_value_or_in_the_text_end_nothing() -> None:
    item = read(markdown("a\n\n---\n\nb", title="Before --- after"))

    assert ("Before --- after", "a\n\n---\n\nb") == (item.title, item.body)


def test_a_key_that_nobody_knows_is_a_remark() -> None:
    item = read(markdown("x" * 100, description="d", author="a", keywords="k", layout="wide"))

    assert ("unknown front matter 'layout'",) == item.remarks


def test_what_a_writer_may_want_to_add_is_a_remark() -> None:
    assert (
        "no description", "no author", "no keywords", "a text of less than 100 characters"
    ) == read(markdown()).remarks  # fmt: skip


KEY = st.sampled_from([*KEYS, "pubilc", "layout", "?", "- "])
VALUE = st.one_of(
    st.text(max_size=20),
    st.sampled_from([*FRONT.values(), "[", "{", "[a, b]", "[{url: /}]", "&a", "*a", "!!x", "|\n  x", "404", "~", "'", '"\\0"']),  # noqa: E501 - one list
)  # fmt: skip
FILE = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda data: b"---\n" + data + b"\n---\n", st.binary(max_size=200)),
    st.builds(
        lambda entries, body, end: "\n".join(
            ["---", *(f"{key}: {value}" for key, value in (FRONT | entries).items()), end, body]
        ).encode(errors="replace"),
        st.dictionaries(KEY, VALUE, max_size=4),
        st.text(max_size=50),
        st.sampled_from(["---", "--- ", "----", "..."]),
    ),
)


@given(FILE)
@example(b"---\n" + b"[" * 1000 + b"\n---\n")
@example(b"---\n" + b"- ? " * 1000 + b"\n---\n")
@example(b"---\n---\n")
@example(b"---\n...\n---\n")
def test_whatever_the_bytes_are_the_answer_is_an_item_or_one_sentence(data: bytes) -> None:
    try:
        item = read_item(data, "a.md")
    except BadFile as error:
        told = str(error)
        assert told.startswith("a.md:")
        assert [told] == told.splitlines()
    else:
        assert item.title
        assert ".." not in item.slug
