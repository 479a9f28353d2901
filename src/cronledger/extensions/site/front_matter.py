"""One Markdown file to one item: front matter between two lines `---`, then the text.

Whatever the bytes are, the answer is an item or one BadFile: nothing here raises anything else.
"""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from cronledger.errors import ConfigError
from cronledger.extensions.site.kinds import kind_of
from cronledger.extensions.site.reading import Part
from cronledger.strict_yaml import check
from cronledger.strict_yaml.check import Wrong
from cronledger.strict_yaml.problem import Place, Problems, quoted
from cronledger.strict_yaml.text import MOST_BYTES, Value, parse

RELATED = ("related_docs", "related_code", "related_playbooks")
KEYS = (
    "title", "slug", "published_at", "kind", "description", "author", "keywords", "image", "category", "tags",
    "links", "after_reading_this", *RELATED, "public", "locale", "updated_at",
)  # fmt: skip
"""What front matter may say; `updated_at` is read past."""

_OPENING = re.compile(rb"(?:\xef\xbb\xbf)?---[ \t]*\r?\n")
_CLOSING = re.compile(rb"^---[ \t]*\r?$", re.MULTILINE)
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*)*")
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d))?", re.ASCII)
_ADDRESS = re.compile(r"https?://[^/?#]|mailto:|(?![a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
"""How an address begins that leads to the web, to a person or into the site; `//host` and `http:a` do not."""
_LONGEST_SLUG = 200
_SHORT_BODY = 100
_MOST_TOLD = 5
_TYPING_ERROR = 0.8


class BadFile(Exception):
    """A file that cannot be content: `FILE:LINE:COLUMN: what is wrong`."""


class Item(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a file says.

    Attributes:
        slug: Segments of small letters, digits and hyphens between slashes; empty: the source's index page.
        links: `{"rel": ..., "title": ..., "url": ...}`; rel is `link`, `related_docs`, `related_code`,
            `related_playbooks`, or `after_reading_this` (a sentence, without an address).
        slug_at, kind_at: Where they stand in the file, as `LINE:COLUMN`.
        remarks: What a writer may want to better, and what front matter says that nobody knows.
    """

    slug: str
    locale: str
    title: str
    description: str
    author: str
    published_at: datetime
    keywords: str
    kind: str
    image: str | None
    category: str | None
    public: bool
    links: list[dict[str, str]]
    body: str
    slug_at: str
    kind_at: str
    remarks: tuple[str, ...]


def read_item(data: bytes, shown: str, locale: str = "en") -> Item:
    r"""Return what a file says. Raises BadFile, naming the file as `shown` and the line.

    `locale` is that of a file that does not say its own.

    >>> head = b"title: Hello" + b"\nslug: hello" + b"\npublished_at: 2026-01-31" + b"\nkind: blog"
    >>> read_item(b"---\n" + head + b"\n---\nThe text.", "hello.md").body
    'The text.'
    """
    opening = _OPENING.match(data)
    if opening is None:
        raise BadFile(f"{shown}:1:1: the file must begin with front matter, after a line ---")
    closing = _CLOSING.search(data, opening.end())
    if closing is None:
        raise BadFile(f"{shown}:1:1: the front matter does not end: there is no second line ---")
    if closing.start() > MOST_BYTES:
        raise BadFile(f"{shown}:1:1: the front matter is larger than {MOST_BYTES // 1024} KiB")
    body = _body(data, closing.end(), shown)
    problems = Problems()
    try:
        document = parse(data[: closing.start()], shown, problems) or Value(None, Place(shown, 1, 1))
        problems.refuse()
        item = _item(document, body, locale, problems)
        problems.refuse()
    except ConfigError as error:
        raise BadFile(_in_one_line(error, shown)) from None
    return item


def _body(data: bytes, start: int, shown: str) -> str:
    try:
        body = data[start:].decode()
    except UnicodeDecodeError as error:
        line, column = _place(data, start + error.start)
        raise BadFile(f"{shown}:{line}:{column}: the file is not UTF-8") from None
    if found := _NOT_IN_XML.search(body):
        line, column = _place(data, start + len(body[: found.start()].encode()))
        raise BadFile(f"{shown}:{line}:{column}: control character U+{ord(found.group()):04X} in the text")
    return body.strip()


def _place(data: bytes, index: int) -> tuple[int, int]:
    before = data[:index]
    return before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1


def _in_one_line(error: ConfigError, shown: str) -> str:
    heads = [each.partition("\n")[0].removeprefix(f"{shown}:") for each in error.problems]
    told = "; ".join(head.replace(": error: ", ": ", 1) for head in heads[:_MOST_TOLD])
    more = f"; and {len(heads) - _MOST_TOLD} more" if len(heads) > _MOST_TOLD else ""
    return f"{shown}:{told}{more}"


def _item(document: Value, body: str, locale: str, problems: Problems) -> Item:
    part, unknown = _known(document, problems)
    for key in ("title", "slug", "published_at", "kind"):
        if not part.says(key):
            meant = 'is missing (write "" for the index page)' if key == "slug" else "is missing"
            part.refuse(key, meant)
    texts = {key: part.text(key).strip() for key in ("author", "category")}
    description = part.get("description", _up_to(500), "")
    keywords = part.get("keywords", _keywords, ())
    item = Item(
        slug=part.get("slug", _slug, ""),
        locale=part.get("locale", _locale, locale),
        title=part.get("title", _title, ""),
        description=description,
        author=texts["author"],
        published_at=part.get("published_at", _instant, datetime.min.replace(tzinfo=UTC)),
        keywords=", ".join(dict.fromkeys((*keywords, *part.get("tags", check.several(check.text), ())))),
        kind=kind_of(part.get("kind", check.filled, "")),
        image=part.get("image", _image, "") or None,
        category=texts["category"] or None,
        public=part.get("public", check.flag, True),
        links=_links(part),
        body=body,
        slug_at=_at(part, "slug"),
        kind_at=_at(part, "kind"),
        remarks=(),
    )
    return msgspec.structs.replace(item, remarks=(*_remarks(item), *unknown))


def _at(part: Part, key: str) -> str:
    place = part.place_of(key)
    return f"{place.line}:{place.column}"


def _known(document: Value, problems: Problems) -> tuple[Part, list[str]]:
    """Return the mapping with the keys we know, and a remark on the others.

    A key that is one of ours but for a typing error is a problem: `pubilc: false` must not publish a page.
    """
    entries = document.data if isinstance(document.data, dict) else {}
    others = [key for key in entries if key not in KEYS]
    foreign = {key for key in others if not difflib.get_close_matches(key[:64], KEYS, 1, _TYPING_ERROR)}
    kept = {key: value for key, value in entries.items() if key not in foreign}
    whole = msgspec.structs.replace(document, data=kept) if isinstance(document.data, dict) else document
    part = Part(whole, KEYS, "", problems)
    if not isinstance(whole.data, dict | None):
        problems.refuse()  # what it lacks is of no interest
    return part, [f"unknown front matter {quoted(key)}" for key in sorted(foreign)]


def _remarks(item: Item) -> list[str]:
    missing = [f"no {key}" for key in ("description", "author", "keywords") if not getattr(item, key)]
    return [*missing, "a text of less than 100 characters"] if len(item.body) < _SHORT_BODY else missing


# --- what each key may hold -----------------------------------------------------------------------------


def _up_to(most: int) -> check.Check:
    def checked(value: Value) -> str:
        text = " ".join(check.text(value).split())
        if len(text) > most:
            raise Wrong(f"has {len(text)} characters, more than {most}")
        return text

    return checked


def _title(value: Value) -> str:
    check.filled(value)
    return str(_up_to(200)(value))


def _slug(value: Value) -> str:
    if isinstance(value.data, list | dict):
        raise Wrong(f"must be text, not {check.spelled(value)}")
    slug = value.data if isinstance(value.data, str) else value.written  # 404 is a fine slug
    if slug and not _SLUG.fullmatch(slug):
        raise Wrong(
            f"{quoted(slug)} must be small letters, digits and single hyphens, in segments between slashes"
        )
    if len(slug) > _LONGEST_SLUG:
        raise Wrong(f"has {len(slug)} characters, more than {_LONGEST_SLUG}")
    return slug


def _locale(value: Value) -> str:
    locale = value.data if isinstance(value.data, str) else check.text(value)  # `no` is Norwegian
    if not _LOCALE.fullmatch(locale):
        raise Wrong(f"{quoted(locale)} is not a locale such as en or pt-BR")
    return locale


def _instant(value: Value) -> datetime:
    written = value.data if isinstance(value.data, str) else ""
    if not _INSTANT.fullmatch(written):
        raise Wrong(f"must be 2026-01-31 or 2026-01-31T12:00:00Z, not {check.spelled(value)}")
    try:
        found = datetime.fromisoformat(written.upper())
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Wrong(f"there is no such instant: {quoted(written)}") from None
    if not 1 < found.year < 9999:  # a reader in another zone must be able to show it
        raise Wrong(f"there is no such instant: {quoted(written)}")
    return found


def _keywords(value: Value) -> tuple[str, ...]:
    if isinstance(value.data, list):
        found: tuple[str, ...] = check.several(check.text)(value)
        return found
    return tuple(word for each in check.text(value).split(",") if (word := each.strip()))


def _address(value: Value) -> str:
    address = check.filled(value).strip()
    if not _ADDRESS.match(address):
        raise Wrong(f"{quoted(address)} must be an address with http, https or mailto, or one of this site")
    if re.search(r"[\s\\]", address):
        raise Wrong(f"{quoted(address)} must not contain blanks or backslashes")
    return address


def _image(value: Value) -> str:
    if value.data == "":
        return ""
    address = _address(value)
    if address.lower().startswith("mailto:"):
        raise Wrong(f"{quoted(address)} is no picture")
    if ".." in re.split(r"[/?#]", address.lower().replace("%2e", ".").replace("%2f", "/")):
        raise Wrong(f"{quoted(address)} must not lead upwards with ..")
    return address


def _links(part: Part) -> list[dict[str, str]]:
    found = []
    for key in ("links", *RELATED):
        for item in part.items(key, ("title", "url")):
            url: Any = item.get("url", _address, "")
            if not item.says("url"):
                item.refuse("url", "is missing")
            rel = "link" if key == "links" else key
            found.append({"rel": rel, "title": item.text("title", url).strip(), "url": url})
    sentences = part.get("after_reading_this", check.several(check.filled), ())
    found += [{"rel": "after_reading_this", "title": each.strip(), "url": ""} for each in sentences]
    return found
