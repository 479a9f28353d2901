"""Markdown to a fragment of HTML and a table of its headings.

CommonMark with tables, strikethrough, bare links, task lists and superscript. HTML in the text is shown as
text, and a link with a scheme that is not allowed stays text as well.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from html import escape
from typing import Any

import msgspec

from cronledger.extensions.site.extras import extra
from cronledger.extensions.site.urls import is_allowed

FORM = 1
"""Raised when the same text is to give other HTML: fragments that are kept are then made anew."""

_WORD = re.compile(r"[^\W_]+")
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]+")
_ADDRESS = re.compile(r"(?<![\w/.@:-])(?:https?://|www\.)[^\s<>\"`{}|\\^\[\]]+", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_TASK = re.compile(r"\[[ xX]\][ \t\n\v\f\r]")
_BOX = '<input class="task-list-item-checkbox" {}disabled="disabled" type="checkbox">'
WORDS_A_MINUTE = 200


class Fragment(msgspec.Struct, frozen=True):
    """A text as HTML, and a nested list of links to its headings; both are safe to stand in a page."""

    html: str
    toc_html: str


class Heading(msgspec.Struct, frozen=True):
    """A heading of level 2 to 6."""

    level: int
    id: str
    text: str


def renderer(path: Callable[[str], str] = str) -> Callable[[str], Fragment]:
    """Return a function that turns Markdown into a fragment.

    The first heading of level 1 is left out: a page has its title from the front matter. `path` gives the
    link to a path of the site.
    """
    with extra("site"):
        from markdown_it import MarkdownIt  # noqa: PLC0415 - an extra
        from markdown_it.token import Token  # noqa: PLC0415
        from mdit_py_plugins.superscript import superscript_plugin  # noqa: PLC0415

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.use(superscript_plugin)
    parser.validateLink = is_allowed  # type: ignore[method-assign] # as its documentation says
    # What is wider than the page is moved inside a box that the keyboard reaches.
    parser.renderer.rules |= {  # type: ignore[attr-defined] # a plain dictionary of functions
        "table_open": lambda *_: '<div class="table" role="region" aria-label="Table" tabindex="0"><table>\n',
        "table_close": lambda *_: "</table></div>\n",
        "fence": lambda tokens, index, *_: _code(tokens[index]),
        "code_block": lambda tokens, index, *_: _code(tokens[index]),
    }

    def render(text: str) -> Fragment:
        parsed = parser.parse(text)
        _tick(parsed, lambda html: Token("html_inline", "", 0, content=html))
        tokens = _without_title(parsed)
        _link_addresses(tokens)
        _lead(tokens, path)
        toc = table_of_contents(_marked(tokens))
        return Fragment(parser.renderer.render(tokens, parser.options, {}), toc)

    return render


def minutes_to_read(html: str) -> int:
    """Return whole minutes, one at least.

    >>> minutes_to_read("<p>short</p>"), minutes_to_read("word " * 450)
    (1, 2)
    """
    return max(1, len(_TAG.sub(" ", html).split()) // WORDS_A_MINUTE)


def table_of_contents(headings: Sequence[Heading]) -> str:
    """Return a list of links, a heading's own headings below it; nothing where there are none.

    >>> table_of_contents([Heading(2, "a", "A"), Heading(4, "b", "B"), Heading(2, "c", "C")])
    '<ul><li><a href="#a">A</a><ul><li><a href="#b">B</a></li></ul></li><li><a href="#c">C</a></li></ul>'
    """
    written: list[str] = []
    open_levels: list[int] = []
    for heading in headings:
        while len(open_levels) > 1 and open_levels[-2] >= heading.level:
            open_levels.pop()
            written.append("</li></ul>")
        if open_levels and open_levels[-1] >= heading.level:
            open_levels[-1] = heading.level
            written.append("</li>")
        else:
            open_levels.append(heading.level)
            written.append("<ul>")
        written.append(f'<li><a href="#{escape(heading.id)}">{escape(heading.text)}</a>')
    written.append("</li></ul>" * len(open_levels))
    return "".join(written)


def slug_of(text: str) -> str:
    """Return a heading's id: what is letter or digit, joined by hyphens.

    >>> slug_of("Salt & water: 2 %")
    'salt-water-2'
    """
    return "-".join(_WORD.findall(text.lower())) or "section"


def _without_title(tokens: list[Any]) -> list[Any]:
    for start, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h1":
            return tokens[:start] + tokens[start + 3 :]  # its beginning, its text, its end
    return tokens


def _marked(tokens: list[Any]) -> list[Heading]:
    """Give every heading from level 2 on an id of its own."""
    headings: list[Heading] = []
    taken: set[str] = set()
    numbers: Counter[str] = Counter()
    for token, inline in itertools.pairwise(tokens):
        if token.type != "heading_open" or token.tag == "h1":
            continue
        text = "".join(_words(inline)).strip()
        slug = bare = slug_of(text)
        while slug in taken:
            numbers[bare] += 1
            slug = f"{bare}-{numbers[bare]}"
        taken.add(slug)
        token.attrSet("id", slug)
        headings.append(Heading(int(token.tag[1]), slug, text))
    return headings


def _tick(tokens: list[Any], html: Callable[[str], Any]) -> None:
    """Give items that begin with `[ ]` or `[x]` a box that nobody can tick.

    The library's way to find the list of an item goes back over all items before it: 18 seconds for 128 kB.
    """
    lists: list[Any] = []
    for index, token in enumerate(tokens):
        if token.type in ("bullet_list_open", "ordered_list_open"):
            lists.append(token)
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            lists.pop()
        elif token.type == "list_item_open" and index + 2 < len(tokens):
            paragraph, inline = tokens[index + 1 : index + 3]
            if paragraph.type == "paragraph_open" and _TASK.match(inline.content):
                inline.children[0].content = inline.children[0].content[3:]
                if inline.content[3] == " ":
                    ticked = "" if inline.content[1] == " " else 'checked="checked" '
                    inline.children.insert(0, html(_BOX.format(ticked)))
                inline.content = inline.content[3:]
                token.attrSet("class", "task-list-item")
                lists[-1].attrSet("class", "contains-task-list")


def _lead(tokens: list[Any], path: Callable[[str], str]) -> None:
    """Let links and pictures of the site lead to where the site is."""
    for token in tokens:
        if token.type == "inline":
            for child in token.children:
                for name in ("href", "src"):
                    if name in child.attrs:
                        child.attrs[name] = path(child.attrs[name])


def _link_addresses(tokens: list[Any]) -> None:
    """Make links of addresses that stand in the text as they are, but not within links.

    The libraries that do this take minutes for some texts; this goes through each text once.
    """
    for token in tokens:
        if token.type == "inline" and _ADDRESS.search(token.content):
            depth, children = 0, []
            for child in token.children:
                depth += child.nesting if child.type.startswith("link_") else 0
                children += _linked(child) if child.type == "text" and depth == 0 else [child]
            token.children = children


def _linked(text: Any) -> list[Any]:
    pieces, begin = [], 0
    for found in _ADDRESS.finditer(text.content):
        address = found[0].rstrip("?!.,:*_~'\"")
        unopened = address.count(")") - address.count("(")
        if unopened > 0:  # the end of a bracket round the address
            address = address[: -min(unopened, len(address) - len(address.rstrip(")"))) or None]
        target = address if "://" in address else f"https://{address}"
        opening, words, closing = (copy(text) for _ in range(3))
        opening.type, opening.tag, opening.nesting, opening.attrs = "link_open", "a", 1, {"href": target}
        closing.type, closing.tag, closing.nesting = "link_close", "a", -1
        words.content = address
        before = copy(text)
        before.content = text.content[begin : found.start()]
        pieces += [before, opening, words, closing]
        begin = found.start() + len(address)
    after = copy(text)
    after.content = text.content[begin:]
    return [*pieces, after]


def _words(inline: Any) -> list[str]:
    """Return the words of a heading without its marks: links, code and pictures give their text."""
    return [
        each.content if each.type in ("text", "code_inline", "image", "text_special") else " "
        for each in inline.children or ()
        if each.type in ("text", "code_inline", "image", "text_special", "softbreak", "hardbreak")
    ]


def _code(token: Any) -> str:
    language = _LANGUAGE.match(token.info.strip())
    named = f' class="language-{language[0]}"' if language else ""
    return f'<pre tabindex="0"><code{named}>{escape(token.content)}</code></pre>\n'
