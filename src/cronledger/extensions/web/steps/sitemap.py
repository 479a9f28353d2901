"""Step 5: `sitemap.xml`, and parts of it with an index where there are more addresses than one may hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from xml.etree.ElementTree import Element

from cronledger import JobContext, JobResult
from cronledger.extensions.site.load import load_site
from cronledger.extensions.site.output import Output
from cronledger.extensions.site.published import Published, home_url, published
from cronledger.extensions.site.settings import Site
from cronledger.extensions.site.urls import Addresses
from cronledger.extensions.web.pages import iso
from cronledger.extensions.web.xml import DECLARATION, add, document, written

MOST_URLS = 50_000
MOST_BYTES = 50_000_000
"""What one file may hold, by the rules of sitemaps.org: 52,428,800 bytes."""

NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
_OPEN = f'<urlset xmlns="{NAMESPACE}" xmlns:xhtml="http://www.w3.org/1999/xhtml">\n'.encode()
_CLOSE = b"</urlset>\n"


def sitemap(ctx: JobContext) -> JobResult:
    """Write the addresses of all public pages, each with the date of its content."""
    site = load_site(ctx)
    everything = published(ctx, site)
    total = 0
    with Output(site.output, "sitemap", enforce=ctx.enforce) as output:
        parts = list(_parts(_urls(site, everything)))
        for number, (count, _, data) in enumerate(parts, start=1):
            total += count
            name = "sitemap.xml" if len(parts) == 1 else f"sitemaps/sitemap-{number}.xml"
            output.put(name, DECLARATION + _OPEN + data + _CLOSE)
        if len(parts) > 1:
            output.put("sitemap.xml", _index(site, [newest for _, newest, _ in parts]))
        counts = output.finish()
    addresses = "1 address" if total == 1 else f"{total} addresses"
    return JobResult.success().with_stats(total, 0).with_message(f"{addresses}: {counts}")


Url = tuple[datetime | None, bytes]
"""When a page was last changed, and its element."""


def _urls(site: Site, everything: Published) -> Iterator[Url]:
    """Yield first pages, then lists, then items."""
    addresses = Addresses(site.base_url)
    seen = {item.url for item in everything.items} | {each.url for each in everything.listings}
    for locale in site.locales:
        items = everything.pages_in(locale) or everything.of_locale(locale)
        home = home_url(site, locale)
        if home not in seen and (items or locale == site.locales[0]):
            newest = max((item.modified_at for item in items), default=None)
            yield newest, _url(addresses.full(home), newest, "daily", 1.0)
    for listing in everything.listings:
        shown = [*listing.items, *([listing.index] if listing.index else [])]
        newest = max((item.modified_at for item in shown), default=None)
        route = listing.source.sitemap and listing.source.sitemap.parent_route
        if route:
            yield newest, _url(addresses.full(listing.url), newest, route.changefreq, route.priority)
    for item in everything.items:
        rule = item.source.sitemap
        assert rule is not None
        others = {each.locale: addresses.full(each.url) for each in everything.alternates(item)}
        full = addresses.full(item.url)
        yield (
            item.modified_at,
            _url(full, item.modified_at, rule.changefreq, rule.priority, others=_hreflang(site, others)),
        )


def _hreflang(site: Site, others: dict[str, str]) -> dict[str, str]:
    standard = others.get(site.locales[0])
    return others | ({"x-default": standard} if standard else {})


def _url(
    address: str,
    newest: datetime | None,
    changefreq: str,
    priority: float,
    *,
    others: dict[str, str] | None = None,
) -> bytes:
    element = Element("url")
    add(element, "loc", address)
    if newest is not None:
        add(element, "lastmod", iso(newest))
    add(element, "changefreq", changefreq)
    add(element, "priority", f"{priority:.1f}")
    for locale, url in (others or {}).items():
        add(element, "xhtml:link", None, {"rel": "alternate", "hreflang": locale, "href": url})
    return written(element)


def _parts(urls: Iterator[Url]) -> Iterator[tuple[int, datetime | None, bytes]]:
    """Yield how many addresses each file holds, when the newest was changed, and their elements."""
    room = MOST_BYTES - len(DECLARATION + _OPEN + _CLOSE)
    newest: datetime | None = None
    held: list[bytes] = []
    size = 0
    for changed, element in urls:
        if len(held) == MOST_URLS or size + len(element) > room:
            yield len(held), newest, b"".join(held)
            newest, held, size = None, [], 0
        held.append(element)
        size += len(element)
        newest = max(filter(None, (newest, changed)), default=None)
    yield len(held), newest, b"".join(held)


def _index(site: Site, newest: list[datetime | None]) -> bytes:
    root = Element("sitemapindex", {"xmlns": NAMESPACE})
    for number, changed in enumerate(newest, start=1):
        part = add(root, "sitemap")
        add(part, "loc", Addresses(site.base_url).full(f"/sitemaps/sitemap-{number}.xml"))
        if changed is not None:
            add(part, "lastmod", iso(changed))
    return document(root)
