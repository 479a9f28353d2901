"""Which page an engagement event is about, and what the events of some pages come to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, case, column, distinct, func, or_, select, values

from cronledger.extensions.tables import Tables

PREFIXES = {
    "blog": "/blog/", "documentation": "/documentation/", "playbooks": "/playbooks/", "legal": "/legal/",
}  # fmt: skip
"""Where the items of a source, by its `source_id`, are looked at."""

WINDOWS = (timedelta(days=7), timedelta(days=30))


def address_of(source: str, slug: str, locale: str, *, default: str) -> str:
    """Return the path under which an item is looked at.

    >>> address_of("blog", "hello", "en", default="en"), address_of("legal", "terms", "de", default="en")
    ('/blog/hello', '/de/legal/terms')
    """
    start = "" if locale == default else f"/{locale}"
    return f"{start}{PREFIXES[source]}{slug}".rstrip("/")


def path_of(url: str) -> str:
    """Return the part of a URL's text that says which page it is.

    >>> path_of("/blog/hello/?from=mail#top"), path_of("/blog/hello#top")
    ('/blog/hello', '/blog/hello')
    """
    path = url.partition("#")[0].partition("?")[0]
    return path.removesuffix("/")


def counted(t: Tables, batch: Sequence[tuple[str, str]], now: datetime, binary: str | None) -> Any:
    """Return the statement that counts the events of contents, found by ranges of their URLs."""
    e = t.engagement_events.c
    data = values(column("address", Text), column("content", Text), name="wanted").data(list(batch))
    wanted = data.cte("contents")
    is_view = e.time_on_page_ms > 0
    recent = [and_(is_view, e.created_at >= now - each) for each in WINDOWS]
    views, *windows = [func.sum(case((each, 1), else_=0)) for each in (is_view, *recent)]
    return (
        select(
            wanted.c.content,
            func.coalesce(views, 0).label("total_views"),
            func.count(distinct(e.session_id)).label("unique_visitors"),
            func.count(e.id).label("events"),
            func.coalesce(func.sum(e.time_on_page_ms), 0).label("time_ms"),
            *(func.coalesce(each, 0).label(f"views_{n}") for n, each in enumerate(windows)),
        )
        .select_from(wanted)
        .join(t.markdown_content, t.markdown_content.c.id == wanted.c.content)
        .outerjoin(t.engagement_events, _is_of(wanted.c.address, e.page_url, binary))
        .group_by(wanted.c.content)
    )


def _is_of(address: ColumnElement[str], url: ColumnElement[str], binary: str | None) -> ColumnElement[bool]:
    """Whether a URL is an address, with or without a slash, a query and a fragment.

    Ranges in the order of characters, which an index can answer: `@` is behind `?`, and `$` behind `#`.
    """
    raw = url if binary is None else url.collate(binary)
    ends = [
        and_(raw >= address.concat(slash + begin), raw < address.concat(slash + behind))
        for slash in ("", "/")
        for begin, behind in (("?", "@"), ("#", "$"))
    ]
    return or_(raw == address, raw == address.concat("/"), *ends)


def trend(views_7_days: int, views_30_days: int) -> str:
    """Compare a week with the average one of the days before it; in whole numbers, so that borders are exact.

    The baseline is a third of the views of the other 23 days. Up is more than 1.2 of it, down less than 0.8.

    >>> trend(12, 42), trend(13, 43), trend(8, 38), trend(7, 37), trend(0, 0)
    ('stable', 'up', 'stable', 'down', 'stable')
    """
    before = views_30_days - views_7_days
    if 5 * views_7_days > 2 * before:
        return "up"
    return "down" if 15 * views_7_days < 4 * before else "stable"
