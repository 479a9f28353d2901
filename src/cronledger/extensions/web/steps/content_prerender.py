"""Step 3: texts to fragments of HTML, kept in the database until the text changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import delete, func, insert, select
from sqlalchemy.engine import Row

from cronledger import JobContext, JobResult
from cronledger.extensions.site.load import load_site
from cronledger.extensions.site.markdown import FORM, Fragment, renderer
from cronledger.extensions.site.published import sources_with_pages
from cronledger.extensions.site.tally import Tally, look_up
from cronledger.extensions.site.urls import Addresses
from cronledger.extensions.tables import Tables, tables

BATCH = 200
"""So many fragments are stored in one transaction."""


def content_prerender(ctx: JobContext) -> JobResult:
    """Render what has changed, and forget the fragments of what is not public or no longer there."""
    site = load_site(ctx)
    found = tables(ctx, "markdown_content", "content_fragments")
    sources = [source.source_id for source in sources_with_pages(site)]
    addresses = Addresses(site.base_url)
    changed, wanted = _changed(ctx, found, sources, addresses.prefix)
    forgotten = _forget(ctx, found, wanted)
    _tell_foreign_locales(ctx, found, sources, site.locales)
    tally, making = Tally(ctx), _Making(renderer(addresses.path), addresses.prefix)
    for start in range(0, len(changed), BATCH):
        look_up(ctx, start, len(changed), "fragments")
        some = changed[start : start + BATCH]
        _store(
            ctx, found, [row for each in _texts(ctx, found, some) if (row := _rendered(each, making, tally))]
        )
    return tally.result(f"{tally.done} rendered, {len(wanted) - len(changed)} unchanged, {forgotten} removed")


class _Making(NamedTuple):
    """How fragments are made."""

    render: Callable[[str], Fragment]
    prefix: str


def mark_of(version_hash: str, prefix: str = "") -> str:
    """Return what a fragment is kept under: another text, or another way to render it, is another mark.

    `prefix` is the path of the site's address, which links in a fragment begin with; most sites have none.

    >>> mark_of("ab"), mark_of("ab", "/shop")
    ('ab/1', 'ab/1/shop')
    """
    return f"{version_hash}/{FORM}{prefix}"


def _changed(
    ctx: JobContext, found: Tables, sources: Sequence[str], prefix: str
) -> tuple[list[str], set[str]]:
    """Return the ids whose fragments are to be made, in order, and all that are wanted."""
    content, fragments = found.markdown_content, found.content_fragments
    asked = (
        select(content.c.id, content.c.version_hash, fragments.c.version_hash.label("mark"))
        .join_from(content, fragments, fragments.c.content_id == content.c.id, isouter=True)
        .where(content.c.public, content.c.source_id.in_(sources))
    )
    with ctx.db.connect() as connection:
        rows = connection.execute(asked).all()
    return sorted(each.id for each in rows if each.mark != mark_of(each.version_hash, prefix)), {
        each.id for each in rows
    }


def _tell_foreign_locales(
    ctx: JobContext, found: Tables, sources: Sequence[str], locales: Sequence[str]
) -> None:
    """Warn of what is public and has no page, because the site does not have its locale."""
    content = found.markdown_content
    asked = (
        select(content.c.locale, func.count())
        .where(content.c.public, content.c.source_id.in_(sources), content.c.locale.not_in(locales))
        .group_by(content.c.locale)
    )
    with ctx.db.connect() as connection:
        foreign = sorted((locale, count) for locale, count in connection.execute(asked))
    for locale, count in foreign:
        ctx.log.warning(
            "the site has no locale '%s' (it has %s): public texts without a page: %s",
            locale, ", ".join(locales), count,
        )  # fmt: skip


def _forget(ctx: JobContext, found: Tables, wanted: set[str]) -> int:
    fragments = found.content_fragments
    with ctx.db.begin() as connection:
        there = connection.execute(select(fragments.c.content_id)).scalars()
        unwanted = sorted(set(there) - wanted)
        for start in range(0, len(unwanted), BATCH):
            some = unwanted[start : start + BATCH]
            connection.execute(delete(fragments).where(fragments.c.content_id.in_(some)))
    return len(unwanted)


def _texts(ctx: JobContext, found: Tables, ids: Sequence[str]) -> Sequence[Row[Any]]:
    """Return the texts of some rows, and what is known of the fragments that they have."""
    content, fragments = found.markdown_content, found.content_fragments
    columns = [
        content.c[name] for name in ("id", "slug", "body", "version_hash", "published_at", "updated_at")
    ]
    asked = (
        select(*columns, fragments.c.version_hash.label("mark"), fragments.c.modified_at)
        .join_from(content, fragments, fragments.c.content_id == content.c.id, isouter=True)
        .where(content.c.id.in_(ids))
        .order_by(content.c.id)
    )
    with ctx.db.connect() as connection:
        return cast("Sequence[Row[Any]]", connection.execute(asked).all())


def _rendered(row: Row[Any], making: _Making, tally: Tally) -> dict[str, Any] | None:
    """Return the fragment of a text as a row; it remembers when the text was changed since the first one.

    A text that is seen for the first time is as old as it says itself: a database that is filled anew does
    not make everything new.
    """
    try:
        fragment = making.render(row.body)
    except (ValueError, LookupError, RecursionError) as error:
        tally.problem(f"content '{row.slug}' cannot be rendered: {error}")
        return None
    tally.done += 1
    if row.mark is None:
        modified_at = row.published_at
    else:
        is_same = row.mark.partition("/")[0] == row.version_hash
        modified_at = row.modified_at if is_same else row.updated_at
    return {
        "content_id": row.id,
        "version_hash": mark_of(row.version_hash, making.prefix),
        "html": fragment.html,
        "toc_html": fragment.toc_html,
        "modified_at": modified_at,
    }


def _store(ctx: JobContext, found: Tables, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    fragments = found.content_fragments
    with ctx.db.begin() as connection:
        some = [row["content_id"] for row in rows]
        connection.execute(delete(fragments).where(fragments.c.content_id.in_(some)))
        connection.execute(insert(fragments), list(rows))
