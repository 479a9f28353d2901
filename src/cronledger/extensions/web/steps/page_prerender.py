"""Step 4: fragments and templates to pages: of items and lists, the first page, and the one for 404."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from cronledger.extensions.site.tally import Tally, counted, look_up
from cronledger.extensions.site.templates import TemplateFailed, Templates
from cronledger.extensions.tables import tables
from cronledger.extensions.web.pages import Pages, list_page, pages_of

DEFAULTS = Path(__file__).parents[1] / "defaults" / "templates"
"""Templates for what a site has none of its own."""
BATCH = 200


class Page(msgspec.Struct, frozen=True):
    """A page that is to be made."""

    path: str
    template: str
    variables: dict[str, Any]
    spare: str = ""
    """The package's own template, for a page that must not stay as it was: it names other items."""


def page_prerender(ctx: JobContext) -> JobResult:
    """Build every page; one that cannot be built stays as it was, and fails the step in the end."""
    site = load_site(ctx)
    everything = published(ctx, site)
    tally = Tally(ctx)
    for problem in everything.problems:
        tally.problem(problem)
    with (
        Output(site.output, "page_prerender", enforce=ctx.enforce) as output,
        Templates([site.templates, DEFAULTS]) as templates,
        Templates([DEFAULTS]) as spares,
    ):

        def missing(path: str, problem: str) -> None:
            output.keep(path)
            tally.problem(problem)

        for page in _Pages(ctx, site, everything, templates).all(missing):
            problems = tally.failed
            try:
                output.put(page.path, _filled_in(page, templates, spares, tally))
            except (TemplateFailed, PathRefused, OSError) as error:
                output.keep(page.path)
                tally.problem(error)
            else:
                tally.done += tally.failed == problems
        counts = tally.finish(output)
    return tally.result(f"{counted(tally.done, 'page')}: {counts}")


def _filled_in(page: Page, templates: Templates, spares: Templates, tally: Tally) -> bytes:
    """Return a page, made with its spare template if its own one fails: that is a problem all the same.

    What is no longer public must not stay in a list because somebody is at work on the template.
    """
    try:
        return templates.fill_in(page.template, page.variables)
    except TemplateFailed as error:
        if not page.spare:
            raise
        tally.problem(error)
        return spares.fill_in(page.spare, page.variables)


class _Pages:
    """What is to be built: the page of an item before one that would have its place otherwise."""

    def __init__(self, ctx: JobContext, site: Site, everything: Published, templates: Templates) -> None:
        self._ctx = ctx
        self._site = site
        self._everything = everything
        self._templates = templates
        self._variables = Pages(site, everything)
        self._fragments = tables(ctx, "content_fragments").content_fragments

    def all(self, missing: Callable[[str, str], None]) -> Iterator[Page]:
        """Yield every page; one whose text has not been rendered is told as missing, and stays as it was."""
        yield from self._items(missing)
        yield from self._lists(missing)
        yield from self._first_pages()
        yield Page("404.html", "404.html", self._variables.not_found())

    def _items(self, missing: Callable[[str, str], None]) -> Iterator[Page]:
        items = self._everything.items
        templates = {kind: self._template(kind, "item.html") for kind in {item.kind for item in items}}
        for start in range(0, len(items), BATCH):
            look_up(self._ctx, start, len(items), "pages")
            some = items[start : start + BATCH]
            fragments = self._rendered(some)
            for item in some:
                if item.id in fragments:
                    variables = self._variables.item(item, fragments[item.id])
                    yield Page(page_path(item.url), templates[item.kind], variables)
                else:
                    missing(page_path(item.url), _not_rendered(item))

    def _lists(self, missing: Callable[[str, str], None]) -> Iterator[Page]:
        for listing in self._everything.listings:
            index = listing.index
            fragment = self._rendered([index]).get(index.id) if index else None
            template = self._template(f"{listing.source.source_id}-list", "list.html")
            for number in range(1, pages_of(listing) + 1):
                shown = fragment if number == 1 else None
                path = page_path(list_page(listing, number))
                if index and number == 1 and not shown:
                    missing(path, _not_rendered(index))
                else:
                    yield Page(path, template, self._variables.listing(listing, number, shown), "list.html")

    def _first_pages(self) -> Iterator[Page]:
        """Yield the first page of each locale, unless an item or a list stands there."""
        everything, locales = self._everything, self._site.locales
        taken = {item.url for item in everything.items} | {each.url for each in everything.listings}
        for locale in locales:
            url = home_url(self._site, locale)
            if url not in taken and (locale == locales[0] or everything.of_locale(locale)):
                yield Page(page_path(url), "home.html", self._variables.home(locale), "home.html")

    def _template(self, kind: str, usual: str) -> str:
        """Return the template for a kind: the one that was said, the one of that name, or the usual one."""
        said = self._site.kinds.get(kind)
        if said is None:
            return self._templates.first_of(f"{kind}.html", usual)
        return said if said.endswith(".html") else f"{said}.html"

    def _rendered(self, items: Sequence[Item]) -> dict[str, Fragment]:
        columns = self._fragments.c
        asked = select(columns.content_id, columns.html, columns.toc_html)
        with self._ctx.db.connect() as connection:
            rows = connection.execute(asked.where(columns.content_id.in_([item.id for item in items])))
            return {row.content_id: Fragment(row.html, row.toc_html) for row in rows}


def _not_rendered(item: Item) -> str:
    return f"content '{item.slug}' is not rendered: see the step content_prerender"
