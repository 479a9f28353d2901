"""Content analytics: how often each piece of content is looked at, from the events that visitors leave.

Only what may have changed is counted again, and that from its events themselves: contents that new events are
about, contents of which an event has left (or, with a clock that was set back, entered) the last 7 or 30
days, and contents that are new or were edited. So there are no sums to drift, and to count something twice
does no harm. The result is that of a full recomputation, which `full: true` asks for.

The watermark of the job says up to which event and instant that has been done. A run takes its row over
before it writes, and each batch locks it, so that a run that was taken for dead cannot write over a later
one. It moves at the end, if every row was written: a run that dies before leaves everything to the next one.

An event's id is drawn before its transaction ends, so a lower one may turn up later. Each run therefore looks
once more at the events that were there an hour ago and later; no transaction is taken to last longer.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from cronledger import Job, JobContext, JobResult
from cronledger.extensions.tables import Tables, tables
from cronledger.extensions.threads import in_thread
from cronledger.extensions.web.engagement import PREFIXES, WINDOWS, address_of, counted, path_of, trend

TABLES = ("engagement_events", "markdown_content", "content_performance_metrics", "job_watermarks")
LOOKS_BACK = timedelta(hours=1)
BATCH = 200
PAGE = 2000
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_START = (_NEVER, 0)


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """`full`: count everything again. `locale`: the one whose pages have no `/LOCALE` before their path."""

    full: bool = False
    locale: str = "en"


class Overtaken(Exception):
    """Another run has moved the watermark meanwhile."""


class Watermark(msgspec.Struct, frozen=True):
    """Up to where everything is counted: the windows as of `at`, and events, by when they were the last."""

    at: datetime
    marks: tuple[tuple[datetime, int], ...]

    @property
    def settled(self) -> int:
        """The last event that need not be looked at once more."""
        return self.marks[0][1]

    def moved(self, at: datetime, last: int) -> Watermark:
        """Return the watermark of a run as of an instant that has seen events up to a last one.

        Of the marks, the newest that is an hour old stays, and all after it.
        """
        marks = [_START, *(mark for mark in self.marks if mark[0] <= at), (at, last)]
        settled = max(n for n, (seen_at, _) in enumerate(marks) if seen_at <= at - LOOKS_BACK)
        return Watermark(at, tuple(marks[settled:]))


class ContentAnalyticsAggregation(Job):
    """Keeps `content_performance_metrics` up to date: a row for each item of the four sources."""

    name = "content_analytics_aggregation"
    description = "Aggregate content engagement into performance metrics"
    schedule = "0 */15 * * * *"
    tags = ("analytics", "web")
    idempotent = True
    params = Settings

    async def execute(self, ctx: JobContext) -> JobResult:
        """Count what has changed, or everything."""
        return await in_thread(ctx, _count)


def _count(ctx: JobContext) -> JobResult:
    found, now = tables(ctx, *TABLES), ctx.now()
    version, before = _taken(ctx, found, now)
    with ctx.db.connect() as connection:
        addresses = _addresses(connection, found, ctx.params.locale)
        last = connection.execute(select(func.max(found.engagement_events.c.id))).scalar() or 0
        wanted = addresses
        if before is not None and not ctx.params.full:
            touched = _touched(connection, found, (before, now), addresses)
            changed = _changed(connection, found, before, now)
            wanted = {url: each for url, each in addresses.items() if url in touched or each in changed}
    after = (before or Watermark(now, (_START,))).moved(now, last)
    done = failed = 0
    for batch in _batches(sorted(wanted.items()), BATCH):
        if ctx.cancelled:
            return JobResult.success().with_stats(done, failed).with_message("stopped: the next run goes on")
        refused = _write_all(ctx, found, batch, now, version=version)
        done, failed = done + len(batch) - refused, failed + refused
        ctx.progress(done, len(wanted), "contents")
    if not failed:  # otherwise the next run looks at all of these again
        with ctx.db.begin() as connection:
            _hold(connection, found, version, ctx.run.job)
            _move(connection, found, after, ctx.run.job)
    return JobResult.success().with_stats(done, failed).with_message(f"{done} of {len(addresses)} contents")


# --- which contents -------------------------------------------------------------------------------------


def _addresses(connection: Connection, t: Tables, default: str) -> dict[str, str]:
    """Return the content of each path."""
    c = t.markdown_content.c
    found = select(c.id, c.source_id, c.slug, c.locale).where(c.source_id.in_(PREFIXES))
    return {
        address_of(row.source_id, row.slug, row.locale, default=default): row.id
        for row in connection.execute(found)
    }


def _touched(
    connection: Connection, t: Tables, since: tuple[Watermark, datetime], known: Container[str]
) -> set[str]:
    """Return the known paths of events that are new, or crossed the border of a window since a run."""
    e, (before, now) = t.engagement_events.c, since
    first, last = sorted((before.at, now))
    crossed = (and_(e.created_at >= first - each, e.created_at < last - each) for each in WINDOWS)
    touched: set[str] = set()
    for where in (e.id > before.settled, *crossed):
        urls = select(e.page_url).distinct().where(where).execution_options(yield_per=PAGE)
        touched.update(path for (url,) in connection.execute(urls) if (path := path_of(url)) in known)
    return touched


def _changed(connection: Connection, t: Tables, before: Watermark, now: datetime) -> set[str]:
    """Return the contents that have no metrics yet, or were edited since the last run or shortly before."""
    c, m = t.markdown_content.c, t.content_performance_metrics.c
    joined = t.markdown_content.outerjoin(t.content_performance_metrics, c.id == m.content_id)
    is_edited = c.updated_at >= min(before.at, now) - LOOKS_BACK
    found = select(c.id).select_from(joined).where(or_(m.content_id.is_(None), is_edited))
    return set(connection.execute(found).scalars())


# --- writing --------------------------------------------------------------------------------------------


def _write_all(
    ctx: JobContext, t: Tables, batch: Sequence[tuple[str, str]], now: datetime, *, version: datetime
) -> int:
    """Write the metrics of some contents, those that the database takes; return how many it refused."""
    try:
        with ctx.db.begin() as connection:
            _hold(connection, t, version, ctx.run.job)
            _write(connection, t, batch, now)
    except DBAPIError as error:
        if isinstance(error, OperationalError):  # the database, not a row
            raise
        if len(batch) == 1:
            ctx.log.warning("the metrics of %s cannot be written: %s", batch[0][0], error.orig)
            return 1
        halves = batch[: len(batch) // 2], batch[len(batch) // 2 :]
        return sum(_write_all(ctx, t, half, now, version=version) for half in halves)
    return 0


def _write(connection: Connection, t: Tables, batch: Sequence[tuple[str, str]], now: datetime) -> None:
    """Write the metrics of some contents; columns that others fill are left as they are."""
    m = t.content_performance_metrics
    binary = {"postgresql": "C", "sqlite": "BINARY"}.get(connection.dialect.name)
    rows = [_row(each, now) for each in connection.execute(counted(t, batch, now, binary))]
    keys = [row["content_id"] for row in rows]
    there = set(connection.execute(select(m.c.content_id).where(m.c.content_id.in_(keys))).scalars())
    if known := [row | {"of": row["content_id"]} for row in rows if row["content_id"] in there]:
        connection.execute(update(m).where(m.c.content_id == bindparam("of")), known)
    if fresh := [row | {"id": row["content_id"]} for row in rows if row["content_id"] not in there]:
        connection.execute(insert(m), fresh)


def _row(of: Any, now: datetime) -> dict[str, Any]:
    views_7, views_30 = int(of.views_0), int(of.views_1)
    events, time_ms = int(of.events), int(of.time_ms)
    return {
        "content_id": of.content,
        "total_views": int(of.total_views),
        "unique_visitors": int(of.unique_visitors),
        "avg_time_on_page_seconds": time_ms / events / 1000 if events else 0.0,
        "views_last_7_days": views_7,
        "views_last_30_days": views_30,
        "trend_direction": trend(views_7, views_30),
        "updated_at": now,
    }


def _taken(ctx: JobContext, t: Tables, now: datetime) -> tuple[datetime, Watermark | None]:
    """Take the watermark over: give its row a version of this run's own; return both.

    A run that is still at work by an earlier version writes no more. Raises Overtaken if another run takes
    it at the same time.
    """
    w = t.job_watermarks
    with ctx.db.connect() as connection:
        row = connection.execute(select(w).where(w.c.job == ctx.run.job)).one_or_none()
    try:
        with ctx.db.begin() as connection:
            if row is None:
                version = now
                first = {"job": ctx.run.job, "watermark": None, "updated_at": version}
                connection.execute(insert(w).values(first))
                return version, None
            version = max(now, row.updated_at + timedelta(microseconds=1))
            is_as_read = and_(w.c.job == ctx.run.job, w.c.updated_at == row.updated_at)
            if not connection.execute(update(w).where(is_as_read).values(updated_at=version)).rowcount:
                raise Overtaken("another run of this job has just begun: this one writes nothing")
    except IntegrityError:
        raise Overtaken("another run of this job has just begun: this one writes nothing") from None
    return version, _read(row.watermark)


def _read(kept: Any) -> Watermark | None:
    """Return what is kept; None, so that everything is counted again, where that cannot be read."""
    try:
        watermark = msgspec.convert(kept, Watermark)
    except msgspec.ValidationError:
        return None
    return watermark if watermark.marks else None


def _hold(connection: Connection, t: Tables, version: datetime, job: str) -> None:
    """Lock the watermark until the transaction ends. Raises Overtaken if it is not this run's any more."""
    w = t.job_watermarks
    is_ours = and_(w.c.job == job, w.c.updated_at == version)
    if not connection.execute(update(w).where(is_ours).values(updated_at=w.c.updated_at)).rowcount:
        raise Overtaken("a later run of this job has taken its watermark over: this one writes no more")


def _move(connection: Connection, t: Tables, after: Watermark, job: str) -> None:
    w = t.job_watermarks
    moved = update(w).where(w.c.job == job)
    connection.execute(moved.values(watermark=msgspec.to_builtins(after)))


def _batches(items: Sequence[tuple[str, str]], size: int) -> Iterator[list[tuple[str, str]]]:
    each = iter(items)
    while batch := list(islice(each, size)):
        yield batch
