"""What every report goes through: it is kept as a row and, where a webhook is configured, posted once.

Once means: one post for a run, however often the run is tried. A row of `report_posts` is committed before a
request and marked after its answer. An attempt that finds such a row without the mark cannot know whether
the request of an earlier one arrived, and does not repeat it; a request that was certainly refused takes its
row back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from cronledger import JobContext, JobResult
from cronledger.extensions.tables import tables
from cronledger.extensions.threads import in_thread
from cronledger.extensions.web.discord import NoAnswer, NotPosted, Webhook, webhook

MOST_TRIES = 10
MOST_WAIT_SECONDS = 120.0
"""How long a run waits altogether for Discord to take a report."""

PAUSE_SECONDS = 2.0
"""Before a request is repeated, where Discord does not say; doubled each time."""

Data = dict[str, Any]
Compile = Callable[[JobContext, datetime], Data]
Layout = Callable[[Data], Data]


class NoParameters(msgspec.Struct, forbid_unknown_fields=True):
    """It takes no parameter."""

    # Declared all the same: whoever gives `dry_run` to a report does not want it posted.


def instant_of(ctx: JobContext) -> datetime:
    """Return the instant that a report is about: the run's fire time, else now."""
    return (ctx.run.fire_at or ctx.now()).astimezone(UTC)


async def deliver(
    ctx: JobContext, *, period: Callable[[datetime], str], compiled: Compile, layout: Layout
) -> JobResult:
    """Compile a report, keep it under its date and period, and post it."""
    place = await ctx.step("compile", _compile_and_keep, ctx, period, compiled)
    try:
        hook = await in_thread(ctx, webhook)
    except NotPosted as error:
        return JobResult.failure(f"the report is kept and not posted: {error}")
    if hook is None:
        await ctx.skip_step("post", "no webhook configured")
        return JobResult.success().with_stats(1, 0).with_message("skipped: no webhook configured")
    posted = await ctx.step("post", _post, ctx, hook, place, layout)
    return JobResult.success().with_stats(1, 0).with_message(posted.message)


# --- keeping --------------------------------------------------------------------------------------------


def _compile_and_keep(ctx: JobContext, period: Callable[[datetime], str], compiled: Compile) -> Data:
    at = instant_of(ctx)
    place = {"report_date": at.date().isoformat(), "report_period": period(at)}
    data = {**place, "at": at.isoformat(), **compiled(ctx, at)}
    try:
        _keep(ctx, place, data)
    except IntegrityError:  # somebody else has kept the first of this date and period a moment ago
        _keep(ctx, place, data)
    return place


def _keep(ctx: JobContext, place: Mapping[str, str], data: Data) -> None:
    """Write the report over the one of the same date and period."""
    table = tables(ctx, "admin_traffic_reports").admin_traffic_reports
    row = {"report_data": data, "generated_at": ctx.now()}
    with ctx.db.begin() as connection:
        if not connection.execute(update(table).where(_at(table, place)).values(row)).rowcount:
            name = "-".join((place["report_date"], place["report_period"]))
            connection.execute(insert(table).values(id=name, **place, **row))


def _kept(ctx: JobContext, place: Mapping[str, str]) -> Data:
    table = tables(ctx, "admin_traffic_reports").admin_traffic_reports
    with ctx.db.connect() as connection:
        data: Data = connection.execute(select(table.c.report_data).where(_at(table, place))).scalar_one()
    return data


def _at(table: Any, place: Mapping[str, str]) -> Any:
    return and_(*(table.c[name] == value for name, value in place.items()))


# --- posting --------------------------------------------------------------------------------------------


async def _post(ctx: JobContext, hook: Webhook, place: Mapping[str, str], layout: Layout) -> JobResult:
    """Post a kept report, and again while Discord asks for patience. Raises NotPosted or NoAnswer."""
    message = layout(await in_thread(ctx, _kept, place))
    waited = 0.0
    for number in range(1, MOST_TRIES + 1):
        if earlier := await in_thread(ctx, _claim):
            return JobResult.success().with_message(earlier)
        try:
            answer = await hook.post(message, now=ctx.now())
        except NotPosted:
            await in_thread(ctx, _take_back)
            raise
        except NoAnswer as error:
            raise NoAnswer(
                f"{error}: it is not known whether the report arrived, and it is not posted again"
            ) from None
        if answer.is_taken:
            await in_thread(ctx, _mark)
            return JobResult.success().with_stats(1, 0).with_message("posted to Discord")
        await in_thread(ctx, _take_back)
        if not answer.is_passing:
            raise NotPosted(str(answer))
        if number == MOST_TRIES:
            break
        pause = answer.retry_after_seconds
        pause = PAUSE_SECONDS * 2 ** (number - 1) if pause is None else pause
        if waited + pause > MOST_WAIT_SECONDS:
            raise NotPosted(
                f"{answer}, and asks for {pause:g} s more: a report waits {MOST_WAIT_SECONDS:g} s at most"
            )
        ctx.log.info("Discord answered %s: asking again in %g s", answer.status, pause)
        await ctx.sleep(pause)
        waited += pause
    raise NotPosted(f"{answer}, {MOST_TRIES} times in a row")


def _claim(ctx: JobContext) -> str | None:
    """Say, durably, that a request is about to be made; return a sentence if an earlier one stands."""
    table = tables(ctx, "report_posts").report_posts
    key = _key(ctx)
    try:
        with ctx.db.begin() as connection:
            connection.execute(
                insert(table).values(idempotency_key=key, report=ctx.run.job, begun_at=ctx.now())
            )
    except IntegrityError:
        with ctx.db.connect() as connection:
            found = connection.execute(select(table.c.posted_at).where(table.c.idempotency_key == key))
            earlier = found.one_or_none()
        if earlier is None:
            raise
        if earlier.posted_at is not None:
            return "posted to Discord by an earlier attempt"
        return "not posted again: an earlier attempt was posting when it ended, and may have succeeded"
    return None


def _mark(ctx: JobContext) -> None:
    table = tables(ctx, "report_posts").report_posts
    with ctx.db.begin() as connection:
        marked = update(table).where(table.c.idempotency_key == _key(ctx))
        connection.execute(marked.values(posted_at=ctx.now()))


def _take_back(ctx: JobContext) -> None:
    table = tables(ctx, "report_posts").report_posts
    with ctx.db.begin() as connection:
        connection.execute(delete(table).where(table.c.idempotency_key == _key(ctx)))


def _key(ctx: JobContext) -> str:
    return f"{ctx.idempotency_key}/{ctx.run.job}"
