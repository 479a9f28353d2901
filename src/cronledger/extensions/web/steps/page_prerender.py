"""Step 4: fragments and templates to pages: of items and lists, the first page, and the one for 404."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from cronledger import JobContext, JobResult
from cronledger.extensions.site.load import load_site
from cronledger.extensions.site.markdown import Fragment
from cronledger.extensions.site.output import Output, PathRefused
from cronledger.extensions.site.published import Item, Published, home_url, page_path, published
from cronledger.extensions.site.settings import Site
from cronledger.extensions.site.tally import Tally, look_up
from cronledger.extensions.site.templates import TemplateFailed, Templates
from cronledger.extensions.tables import Tables, tables
from cronledger.extensions.web.pages import Pages

DEFAULTS = Path(__file__).parents[1] / "defaults" / "templates"
"""Templates for what a site has none of its own."""
BATCH = 200


class Page(msgspec.Struct, frozen=True):
    """A page that is to be made."""

    path: str
    template: str
    variables: dict[str, Any]


def page_prerender(ctx: JobContext) -> JobResult:
    """Build every page; one that cannot be built stays as it was, and fails the step in the end."""
    site = load_site(ctx)
    everything = published(ctx, site)
    tally = Tally(ctx)
    for problem in everything.problems:
        tally.problem(problem)
    with (
        Output(site.output, "page_prerender", enforce=ctx.enforce) as output,
        Templates(_folders(site)) as ready,
    ):
        for page in _pages(ctx, site, everything, ready, tally):
            try:
                output.put(page.path, ready.fill_in(page.template, page.variables))
            except (TemplateFailed, PathRefused, OSError) as error:
                output.keep(page.path)
                tally.problem(error)
            else:
                tally.done += 1
        counts = output.finish()
        for problem in output.failed:
            tally.problem(problem)
    return tally.result(f"{tally.done} pages: {counts}")


def _folders(site: Site) -> list[Path]:
    return [site.templates, DEFAULTS]


def _pages(
    ctx: JobContext, site: Site, everything: Published, ready: Templates, tally: Tally
) -> Iterator[Page]:
    """Yield what is to be built: the page of an item before one that would have its place otherwise."""
    found = tables(ctx, "content_fragments")
    pages = Pages(site, everything)
    templates = {
        kind: _template(site, ready, kind, "item.html") for kind in {item.kind for item in everything.items}
    }
    taken = set()
    for start in range(0, len(everything.items), BATCH):
        look_up(ctx, start, len(everything.items), "pages")
        some = everything.items[start : start + BATCH]
        fragments = _fragments(ctx, found, some)
        for item in some:
            taken.add(page_path(item.url))
            if item.id in fragments:
                variables = pages.item(item, fragments[item.id])
                yield Page(page_path(item.url), templates[item.kind], variables)
            else:
                tally.problem(f"content '{item.slug}' has no fragment: content_prerender has not rendered it")
    for listing in everything.listings:
        index = _fragments(ctx, found, [listing.index]) if listing.index else {}
        kind = f"{listing.source.source_id}-list"
        template = _template(site, ready, kind, "list.html")
        taken.add(page_path(listing.url))
        fragment = index.get(listing.index.id) if listing.index else None
        yield Page(page_path(listing.url), template, pages.listing(listing, fragment))
    for locale in site.locales:
        path = page_path(home_url(site, locale))
        if path not in taken and (locale == site.locales[0] or everything.of_locale(locale)):
            yield Page(path, "home.html", pages.home(locale))
    yield Page("404.html", "404.html", pages.not_found())


def _template(site: Site, ready: Templates, kind: str, usual: str) -> str:
    """Return the template for a kind of content: the one that was said, of that name, or the usual one."""
    said = site.kinds.get(kind)
    if said is None:
        return ready.first_of(f"{kind}.html", usual)
    return said if said.endswith(".html") else f"{said}.html"


def _fragments(ctx: JobContext, found: Tables, items: Sequence[Item]) -> dict[str, Fragment]:
    fragments = found.content_fragments
    asked = select(fragments.c.content_id, fragments.c.html, fragments.c.toc_html)
    with ctx.db.connect() as connection:
        rows = connection.execute(asked.where(fragments.c.content_id.in_([item.id for item in items])))
        return {row.content_id: Fragment(row.html, row.toc_html) for row in rows}
