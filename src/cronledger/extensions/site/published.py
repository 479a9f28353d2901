"""What of the content is public, and the addresses of its pages and lists.

Everything that is published asks here: pages, feeds, sitemap and llms.txt cannot disagree. The text of what
is not public is never read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select

from cronledger import JobContext
from cronledger.extensions.site.output import PathRefused, checked
from cronledger.extensions.site.settings import Site, Source
from cronledger.extensions.tables import tables

_COLUMNS = (
    "id", "slug", "locale", "title", "description", "author", "keywords", "kind", "image", "links",
    "published_at", "source_id",
)  # fmt: skip


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One public item of content; `url` is the path of its page on the site."""

    id: str
    slug: str
    locale: str
    url: str
    source: Source
    title: str
    description: str
    author: str
    keywords: str
    kind: str
    image: str
    links: Any
    published_at: datetime
    modified_at: datetime
    """When its text was changed after it was first seen; until then, when it was published."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The page that lists a source's items in one locale; `index` is the item whose text it shows."""

    url: str
    locale: str
    source: Source
    items: tuple[Item, ...]
    index: Item | None = None


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is public, newest first; `problems` are items that can have no page."""

    items: tuple[Item, ...]
    listings: tuple[Listing, ...]
    problems: tuple[str, ...] = ()
    in_locales: dict[tuple[str, str], tuple[Item, ...]] = {}
    """The items of each source and slug, in the order of the site's locales."""

    def alternates(self, item: Item) -> tuple[Item, ...]:
        """Return an item in all its locales, itself included; nothing where there is one only."""
        same = self.in_locales.get((item.source.source_id, item.slug), ())
        return same if len(same) > 1 else ()

    def pages_in(self, locale: str) -> list[Item]:
        """Return the items in one language that have a page of their own, newest first."""
        return [item for item in self.items if item.locale == locale]

    def of_locale(self, locale: str) -> list[Item]:
        """Return all that is public in one language: after the pages the texts of lists."""
        texts = (each.index for each in self.listings if each.index and each.locale == locale)
        return [*self.pages_in(locale), *texts]


def published(ctx: JobContext, site: Site) -> Published:
    """Read what is public in the site's sources and locales."""
    found = tables(ctx, "markdown_content", "content_fragments")
    content, fragments = found.markdown_content, found.content_fragments
    sources = {source.source_id: source for source in sources_with_pages(site)}
    wanted = (
        select(*(content.c[name] for name in _COLUMNS), fragments.c.modified_at)
        .join_from(content, fragments, fragments.c.content_id == content.c.id, isouter=True)
        .where(content.c.public, content.c.source_id.in_(sources), content.c.locale.in_(site.locales))
    )
    items: list[Item] = []
    problems: list[str] = []
    with ctx.db.connect() as connection:
        for row in connection.execute(wanted).mappings():
            fields = dict(row)
            source = sources[fields.pop("source_id")]
            url = url_of(site, source, fields["slug"], fields["locale"])
            try:
                page_path(url)
            except PathRefused as error:
                problems.append(f"content '{fields['slug']}' ({fields['locale']}): {error}")
                continue
            fields |= {name: fields[name] or "" for name in ("description", "author", "keywords", "image")}
            fields["modified_at"] = max(
                fields["published_at"], fields["modified_at"] or fields["published_at"]
            )
            items.append(Item(**fields, source=source, url=url))
    # Sorted here: databases differ in how they compare texts.
    items.sort(key=lambda item: (item.slug, item.locale))
    items.sort(key=lambda item: item.published_at, reverse=True)
    places: dict[str, Item] = {}
    problems += [
        f"content '{item.slug}' and '{first.slug}' would be one file: {item.url}"
        for item in items
        if (first := places.setdefault(item.url.casefold(), item)) is not item
    ]
    return arranged(site, places.values(), sorted(problems))


def arranged(site: Site, items: Iterable[Item], problems: Iterable[str] = ()) -> Published:
    """Sort items into lists; an item without a slug is the text of its source's list, where it has one."""
    pages: list[Item] = []
    indexes: dict[tuple[str, str], Item] = {}
    lists: defaultdict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        key = item.source.source_id, item.locale
        if item.slug == "" and list_url(site, item.source, item.locale):
            indexes[key] = item
        else:
            pages.append(item)
            lists[key].append(item)
    listings = [
        Listing(url=url, locale=locale, source=source, items=tuple(lists[key]), index=indexes.get(key))
        for source in sources_with_pages(site)
        for locale in site.locales
        if (url := list_url(site, source, locale))
        and ((key := (source.source_id, locale)) in lists or key in indexes or locale == site.locales[0])
    ]
    same: defaultdict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in sorted(pages, key=lambda item: site.locales.index(item.locale)):
        same[item.source.source_id, item.slug].append(item)
    return Published(
        items=tuple(pages),
        listings=tuple(listings),
        problems=tuple(problems),
        in_locales={key: tuple(found) for key, found in same.items()},
    )


def sources_with_pages(site: Site) -> list[Source]:
    """Return the sources whose items have pages, in their order."""
    return [source for source in site.sources if source.enabled and source.sitemap and source.sitemap.enabled]


def name_of(source: Source) -> str:
    """Return what a source is called on pages."""
    return source.branding.name or source.source_id.replace("_", " ").replace("-", " ").capitalize()


def home_url(site: Site, locale: str) -> str:
    """Return the path of the first page; the default locale has no prefix."""
    return "/" if locale == site.locales[0] else f"/{locale}/"


def url_of(site: Site, source: Source, slug: str, locale: str) -> str:
    """Return the path of an item's page, with a slash at both ends."""
    assert source.sitemap is not None
    return _below(home_url(site, locale), source.sitemap.url_pattern.replace("{slug}", slug))


def list_url(site: Site, source: Source, locale: str) -> str | None:
    """Return the path of the page that lists a source's items, None if there is none."""
    route = source.sitemap.parent_route if source.sitemap else None
    return _below(home_url(site, locale), route.url) if route and route.enabled else None


def page_path(url: str) -> str:
    """Return the file of a page below the output folder.

    Raises PathRefused for a path that leaves it.

    >>> page_path("/blog/rye/"), page_path("/")
    ('blog/rye/index.html', 'index.html')
    """
    path = f"{url.strip('/')}/index.html".lstrip("/")
    checked(path)
    return path


def _below(home: str, path: str) -> str:
    bare = path.strip("/")
    return f"{home}{bare}/" if bare else home
