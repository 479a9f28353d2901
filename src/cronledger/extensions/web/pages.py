"""What templates are given: texts, which they escape, and fragments, which are HTML already."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from cronledger.extensions.site.markdown import Fragment, minutes_to_read
from cronledger.extensions.site.published import (
    Item,
    Listing,
    Published,
    home_url,
    list_url,
    name_of,
    sources_with_pages,
)
from cronledger.extensions.site.settings import Site
from cronledger.extensions.site.urls import Addresses, allowed

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
NEWEST = 6
"""So many items of each source stand on the first page."""

A_PAGE = 50
"""So many items stand on one page of a list."""

_TYPES = {"blog": "BlogPosting", "docs": "TechArticle", "guide": "TechArticle", "reference": "TechArticle",
          "tutorial": "TechArticle"}  # fmt: skip


class Link(msgspec.Struct, frozen=True):
    """A title and where it leads."""

    title: str
    url: str


class Entry(msgspec.Struct, frozen=True):
    """An item as a list shows it."""

    title: str
    url: str
    description: str
    date: str
    date_iso: str
    image: str


class Section(msgspec.Struct, frozen=True):
    """A source as the first page shows it."""

    title: str
    url: str
    description: str
    entries: tuple[Entry, ...]


class Pages:
    """The variables of every page of a site."""

    def __init__(self, site: Site, published: Published) -> None:
        from markupsafe import Markup  # noqa: PLC0415 - an extra: it comes with the templates

        self._site = site
        self._published = published
        self._markup = Markup
        self.addresses = Addresses(site.base_url)
        self._shared = {locale: self._of_locale(locale) for locale in site.locales}

    def item(self, item: Item, fragment: Fragment) -> dict[str, Any]:
        """Return the variables of an item's page."""
        image = self._image(item.image or item.source.branding.image)
        where = list_url(self._site, item.source, item.locale)
        about = self._article(item, image)
        return self._page(
            item.locale, item.url, title=item.title, description=item.description, image=image
        ) | {
            "CONTENT": self._markup(fragment.html),
            "TOC_HTML": self._markup(fragment.toc_html),
            "SLUG": item.slug,
            "KIND": item.kind,
            "AUTHOR": item.author or self._site.author,
            "KEYWORDS": item.keywords,
            "DATE": said(item.published_at, item.locale),
            "DATE_ISO": iso(item.published_at),
            "DATE_MODIFIED": said(item.modified_at, item.locale),
            "DATE_MODIFIED_ISO": iso(item.modified_at),
            "READ_TIME": minutes_to_read(fragment.html),
            "REFERENCES": self._references(item.links, "link"),
            "RELATED": self._references(item.links, "related_docs", "related_code", "related_playbooks"),
            "LEARNED": learned(item.links),
            "SOURCE": Link(name_of(item.source), self.addresses.path(where) if where else ""),
            "ALTERNATES": self._alternates(self._published.alternates(item)),
            "PAGE_TYPE": "article",
            "JSON_LD": self._json_ld(about),
        }

    def listing(self, listing: Listing, number: int, fragment: Fragment | None) -> dict[str, Any]:
        """Return the variables of a page that lists a source's items, the newest on the first one."""
        about, source, last = listing.index, listing.source, pages_of(listing)
        name = about.title if about else name_of(source)
        title = name if number == 1 else f"{name} ({number})"
        description = (about.description if about else "") or source.branding.description
        page = self._page(
            listing.locale, list_page(listing, number), title=title, description=description,
            image=self._image(source.branding.image),
        )  # fmt: skip
        told = {"name": title, "description": description, "url": page["CANONICAL"]}
        return page | {
            "CONTENT": self._markup(fragment.html if fragment else ""),
            "ENTRIES": self._entries(listing.items[(number - 1) * A_PAGE : number * A_PAGE]),
            "PAGE_NUMBER": number,
            "PAGE_COUNT": last,
            "NEWER": self.addresses.path(list_page(listing, number - 1)) if number > 1 else "",
            "OLDER": self.addresses.path(list_page(listing, number + 1)) if number < last else "",
            "JSON_LD": self._json_ld({"@type": "CollectionPage"} | told | {"inLanguage": listing.locale}),
        }

    def home(self, locale: str) -> dict[str, Any]:
        """Return the variables of a locale's first page."""
        site = self._site
        page = self._page(
            locale, home_url(site, locale), title=site.name, description=site.description, image=""
        )
        sections = (
            Section(name_of(each.source), self.addresses.path(each.url), each.source.branding.description,
                    self._entries(each.items[:NEWEST]))
            for each in self._published.listings
            if each.locale == locale
        )  # fmt: skip
        return page | {
            "SECTIONS": tuple(section for section in sections if section.entries),
            "JSON_LD": self._json_ld(
                {"@type": "WebSite", "name": site.name, "description": site.description}
                | {"url": page["CANONICAL"], "inLanguage": locale}
            ),
        }

    def not_found(self) -> dict[str, Any]:
        """Return the variables of the page that stands for those that are not there."""
        page = self._page(
            self._site.locales[0], "/404.html", title="Page not found", description="", image=""
        )
        return page | {"CANONICAL": ""}

    def _page(self, locale: str, url: str, *, title: str, description: str, image: str) -> dict[str, Any]:
        return self._shared[locale] | {
            "TITLE": title,
            "DESCRIPTION": description,
            "CANONICAL": self.addresses.full(url),
            "HERE": self.addresses.path(url),
            "IMAGE": image,
            "PAGE_TYPE": "website",
            "ALTERNATES": (),
            "JSON_LD": "",
        }

    def _of_locale(self, locale: str) -> dict[str, Any]:
        site, lists = self._site, [each for each in self._published.listings if each.locale == locale]
        legal = sorted(
            (item for item in self._published.pages_in(locale) if item.kind == "legal"),
            key=lambda item: item.title,
        )
        return {
            "locale": locale,
            "SITE_NAME": site.name,
            "SITE_DESCRIPTION": site.description,
            "ORG_URL": site.base_url,
            "HOME": self.addresses.path(home_url(site, locale)),
            "NAV": tuple(Link(name_of(each.source), self.addresses.path(each.url)) for each in lists),
            "LEGAL": tuple(Link(item.title, self.addresses.path(item.url)) for item in legal),
            "FEEDS": (
                Link(site.name, self.addresses.path("/feed.xml")),
                *(
                    Link(name_of(source), self.addresses.path(f"/{source.source_id}.xml"))
                    for source in sources_with_pages(site)
                ),
            ),
            "href": self.addresses.path,
        }

    def _entries(self, items: Iterable[Item]) -> tuple[Entry, ...]:
        return tuple(
            Entry(item.title, self.addresses.path(item.url), item.description,
                  said(item.published_at, item.locale), iso(item.published_at), self._image(item.image))
            for item in items
        )  # fmt: skip

    def _alternates(self, items: tuple[Item, ...]) -> tuple[Link, ...]:
        found = [Link(item.locale, self.addresses.full(item.url)) for item in items]
        standard = [Link("x-default", each.url) for each in found if each.title == self._site.locales[0]]
        return (*found, *standard)

    def _references(self, links: Any, *rels: str) -> tuple[Link, ...]:
        return tuple(Link(each.title, self.addresses.path(each.url)) for each in references(links, *rels))

    def _image(self, image: str) -> str:
        return self.addresses.full(allowed(image))

    def _article(self, item: Item, image: str) -> dict[str, Any]:
        author, site = item.author or self._site.author, self._site
        return {
            "@type": _TYPES.get(item.kind, "WebPage"),
            "headline": item.title,
            "description": item.description,
            "datePublished": iso(item.published_at),
            "dateModified": iso(item.modified_at),
            "inLanguage": item.locale,
            "mainEntityOfPage": self.addresses.full(item.url),
            "publisher": {"@type": "Organization", "name": site.name, "url": site.base_url},
        } | {
            key: value
            for key, value in (
                ("author", author and {"@type": "Person", "name": author}),
                ("image", image),
                ("keywords", item.keywords),
            )
            if value
        }

    def _json_ld(self, about: Mapping[str, Any]) -> Any:
        return self._markup(in_script({"@context": "https://schema.org", **about}))


def pages_of(listing: Listing) -> int:
    """Return on how many pages a list stands, one at least."""
    return max(1, -(-len(listing.items) // A_PAGE))


def list_page(listing: Listing, number: int) -> str:
    """Return the path of one page of a list."""
    return listing.url if number == 1 else f"{listing.url}page/{number}/"


def in_script(value: object) -> str:
    r"""Return JSON that can stand in a script element: nothing in it ends one.

    >>> in_script({"name": "</script>&"})
    '{"name": "\\u003c/script\\u003e\\u0026"}'
    """
    text = json.dumps(value)  # ASCII alone: no line separators of Unicode either
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def references(links: Any, *rels: str) -> tuple[Link, ...]:
    """Return the links of some kinds in the front matter, as far as they may stand on a page.

    >>> references([{"rel": "link", "title": "Mill", "url": "/mill/"}], "link")
    (Link(title='Mill', url='/mill/'),)
    """
    told = [
        (str(each.get("title") or each.get("url")), allowed(str(each.get("url") or "")))
        for each in _mappings(links)
        if each.get("rel", "link") in rels
    ]
    return tuple(Link(title, url) for title, url in told if url)


def learned(links: Any) -> tuple[str, ...]:
    """Return the sentences of `after_reading_this`."""
    return tuple(
        str(each.get("title", "")) for each in _mappings(links) if each.get("rel") == "after_reading_this"
    )


def _mappings(links: Any) -> list[Mapping[str, Any]]:
    """Return what can be a link: rows may be written by others as well."""
    return [each for each in links if isinstance(each, Mapping)] if isinstance(links, list) else []


def said(instant: datetime, locale: str) -> str:
    """Return a date for people: as English says it, and in figures for everybody else.

    >>> said(datetime(2026, 11, 21), "en"), said(datetime(2026, 11, 21), "de")
    ('21 November 2026', '2026-11-21')
    """
    if locale.partition("-")[0] == "en":
        return f"{instant.day} {MONTHS[instant.month - 1]} {instant.year}"
    return instant.date().isoformat()


def iso(instant: datetime) -> str:
    """Return an instant as W3C and RFC 3339 write it, in UTC and whole seconds.

    >>> iso(datetime(2026, 11, 21, 12))
    '2026-11-21T12:00:00Z'
    """
    return f"{instant.replace(microsecond=0, tzinfo=None).isoformat()}Z"  # strftime says 999 for 0999
