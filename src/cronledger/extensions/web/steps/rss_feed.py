"""Step 8: feeds: RSS 2.0 for the site (`feed.xml`) and each of its sources, and Atom (`atom.xml`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from xml.etree.ElementTree import Element

from cronledger import JobContext, JobResult
from cronledger.extensions.site.load import load_site
from cronledger.extensions.site.output import Output, PathRefused
from cronledger.extensions.site.published import Item, list_url, name_of, published, sources_with_pages
from cronledger.extensions.site.settings import Site
from cronledger.extensions.site.tally import Tally, counted
from cronledger.extensions.site.urls import Addresses
from cronledger.extensions.web.pages import iso
from cronledger.extensions.web.xml import add, document

NEWEST = 20
"""So many items stand in a feed."""
ATOM = "http://www.w3.org/2005/Atom"
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""When a feed without items was last changed: Atom wants an instant, and no clock is asked."""


def rss_feed(ctx: JobContext) -> JobResult:
    """Write the newest public items of the site's first locale."""
    site = load_site(ctx)
    items = published(ctx, site).pages_in(site.locales[0])
    tally = Tally(ctx)
    feeds = {
        "feed.xml": _rss(site, "feed.xml", (site.name, site.description, "/"), items[:NEWEST]),
        "atom.xml": _atom(site, items[:NEWEST]),
    }
    with Output(site.output, "rss_feed", enforce=ctx.enforce) as output:
        for source in sources_with_pages(site):
            own = [item for item in items if item.source == source][:NEWEST]
            about = source.branding.description or site.description
            link = list_url(site, source, site.locales[0]) or "/"
            name = f"{source.source_id}.xml"
            if name in feeds:
                tally.problem(
                    f"source '{source.source_id}' has the name of a feed of the site: give it another"
                )
                continue
            feeds[name] = _rss(site, name, (f"{name_of(source)} - {site.name}", about, link), own)
        for name, data in feeds.items():
            try:
                output.put(name, data)
                tally.done += 1
            except PathRefused as error:
                tally.problem(error)
        counts = output.finish()
    return tally.result(f"{counted(tally.done, 'feed')}: {counts}")


def _rss(site: Site, name: str, about: tuple[str, str, str], items: Sequence[Item]) -> bytes:
    addresses = Addresses(site.base_url)
    title, description, link = about
    root = Element(
        "rss", {"version": "2.0", "xmlns:atom": ATOM, "xmlns:dc": "http://purl.org/dc/elements/1.1/"}
    )
    channel = add(root, "channel")
    add(channel, "title", title)
    add(channel, "link", addresses.full(link))
    add(channel, "description", description or title)
    add(channel, "language", site.language)
    if items:
        add(channel, "lastBuildDate", format_datetime(max(item.modified_at for item in items)))
    own = {"href": addresses.full(f"/{name}"), "rel": "self", "type": "application/rss+xml"}
    add(channel, "atom:link", None, own)
    for item in items:
        entry, address = add(channel, "item"), addresses.full(item.url)
        add(entry, "title", item.title)
        add(entry, "link", address)
        add(entry, "description", item.description)
        add(entry, "pubDate", format_datetime(item.published_at))
        add(entry, "guid", address, {"isPermaLink": "true"})
        if author := item.author or site.author:
            add(entry, "dc:creator", author)
        add(entry, "category", name_of(item.source))
    return document(root)


def _atom(site: Site, items: Sequence[Item]) -> bytes:
    addresses = Addresses(site.base_url)
    root = Element("feed", {"xmlns": ATOM, "xml:lang": site.language})
    add(root, "id", addresses.full("/"))
    add(root, "title", site.name)
    if site.description:
        add(root, "subtitle", site.description)
    add(root, "updated", iso(max((item.modified_at for item in items), default=_NEVER)))
    add(root, "link", None, {"rel": "self", "href": addresses.full("/atom.xml")})
    add(root, "link", None, {"rel": "alternate", "href": addresses.full("/")})
    add(add(root, "author"), "name", site.author or site.name)
    for item in items:
        entry, address = add(root, "entry"), addresses.full(item.url)
        add(entry, "id", address)
        add(entry, "title", item.title)
        add(entry, "updated", iso(item.modified_at))
        add(entry, "published", iso(item.published_at))
        add(entry, "link", None, {"rel": "alternate", "href": address})
        if item.author:
            add(add(entry, "author"), "name", item.author)
        add(entry, "summary", item.description)
    return document(root)
