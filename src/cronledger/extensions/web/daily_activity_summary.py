"""Daily activity summary: what the services did in the 24 hours before, and what went wrong.

What the scheduler's own jobs did is read from the ledger: runs by outcome, and what the cleaning jobs have
removed, for rows that are gone cannot be counted any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, func, select

from cronledger import Job, JobContext, JobResult
from cronledger.extensions.tables import Tables, tables
from cronledger.extensions.web import reports
from cronledger.extensions.web.discord import message, plain
from cronledger.extensions.web.wording import short, spent
from cronledger.jobs.history import RunHistory, RunsSummary

TABLES = ("users", "user_sessions", "markdown_content", "logs")
PERIOD = "summary"
"""What stands in `report_period`, where traffic reports have `am` and `pm`."""

REMOVING = {"users": ("core", "cleanup_anonymous_users"), "contexts": ("core", "cleanup_empty_contexts")}
"""The jobs whose counts say what was removed."""

_DAY = timedelta(days=1)
_TOP = 10
_ERROR_LEVELS = ("error", "critical", "fatal")


class DailyActivitySummary(Job):
    """Keeps a summary in `admin_traffic_reports`, one a date, and posts it."""

    name = "daily_activity_summary"
    description = "Summarize daily activity across all services and send a Discord report"
    tags = ("reports", "web")
    idempotent = True
    params = reports.NoParameters

    async def execute(self, ctx: JobContext) -> JobResult:
        """Summarize the 24 hours before the fire time; a manual run those before now."""
        return await reports.deliver(ctx, period=lambda _at: PERIOD, compiled=_compiled, layout=_layout)


def _compiled(ctx: JobContext, at: datetime) -> dict[str, Any]:
    since = at - _DAY
    runs = ctx.service(RunHistory).between(since, at)
    found = tables(ctx, *TABLES)
    with ctx.db.connect() as connection:
        return {
            "since": since.isoformat(),
            "runs": _runs(runs, str(ctx.run.id)),
            "removed": {what: _processed(runs, *code) for what, code in REMOVING.items()},
            **_counted(connection, found, since, at),
            "log_errors": _log_errors(connection, found, since, at),
        }


def _processed(runs: RunsSummary, extension: str, code: str) -> int:
    return sum(each.items_processed for each in runs.provided_by(extension, code))


def _runs(runs: RunsSummary, own: str) -> dict[str, Any]:
    """Say what the ledger says of the day's runs; this run itself is no news."""
    unfinished = [each for each in runs.unfinished if each.run_id != own]
    return {
        "by_outcome": runs.outcomes,
        "by_job": [msgspec.to_builtins(each) for each in runs.jobs],
        "slowest": [msgspec.to_builtins(each) for each in runs.slowest],
        "failing": [{"job": each.job, "runs": each.failing, "error": each.error} for each in runs.failing],
        "unfinished": [msgspec.to_builtins(each) for each in unfinished],
        "unfinished_total": runs.unfinished_total - (len(runs.unfinished) - len(unfinished)),
    }


def _counted(connection: Connection, t: Tables, since: datetime, until: datetime) -> dict[str, Any]:
    """Count rows by when something happened to them."""

    def within(at: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(at >= since, at < until)

    content = t.markdown_content.c
    is_new = within(content.published_at)
    is_changed = and_(within(content.updated_at), content.published_at < since)
    counts = {
        ("sessions", "opened"): (t.user_sessions, within(t.user_sessions.c.started_at)),
        ("sessions", "closed"): (t.user_sessions, within(t.user_sessions.c.ended_at)),
        ("users", "created"): (t.users, within(t.users.c.created_at)),
        ("content", "created"): (t.markdown_content, is_new),
        ("content", "updated"): (t.markdown_content, is_changed),
    }
    told: dict[str, Any] = {}
    for (what, how), (table, where) in counts.items():
        counting = select(func.count()).select_from(table).where(where)
        told.setdefault(what, {})[how] = connection.execute(counting).scalar_one()
    return told


def _log_errors(connection: Connection, t: Tables, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Count the errors of each module, most first."""
    c = t.logs.c
    count = func.count().label("errors")
    errors = select(c.module, count).where(
        c.timestamp >= since, c.timestamp < until, func.lower(c.level).in_(_ERROR_LEVELS)
    )
    top = errors.group_by(c.module).order_by(count.desc(), c.module).limit(_TOP)
    return [{"module": row.module, "errors": row.errors} for row in connection.execute(top)]


# --- as a message ---------------------------------------------------------------------------------------


def _layout(data: Mapping[str, Any]) -> dict[str, Any]:
    runs = data["runs"]
    sections: list[tuple[str, Iterable[str]]] = [
        ("Runs", _outcomes(runs)),
        ("Failing jobs", _failing(runs["failing"])),
        ("Slowest runs", _slowest(runs["slowest"])),
        ("Still going", _unfinished(runs)),
        ("Activity", _activity(data)),
        ("Log errors", (f"{plain(each['module'])}: {each['errors']}" for each in data["log_errors"])),
    ]
    return message(f"Activity summary {data['report_date']}", sections, at=datetime.fromisoformat(data["at"]))


def _outcomes(runs: Mapping[str, Any]) -> Iterator[str]:
    counted = [f"{short(count)} {outcome.replace('_', ' ')}" for outcome, count in runs["by_outcome"].items()]
    yield ", ".join(counted) or "no run ended"


def _failing(failing: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for each in failing:
        yield f"{plain(each['job'])} ({each['runs']}): {plain(each['error'] or 'no error was told', 160)}"


def _slowest(slowest: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for each in slowest:
        yield f"{plain(each['run_id'])}: {spent(each['duration_ms'] / 1000)}"


def _unfinished(runs: Mapping[str, Any]) -> Iterator[str]:
    for each in runs["unfinished"]:
        yield f"{plain(each['run_id'])}: {each['phase']} since {each['triggered_at']}"
    if (more := runs["unfinished_total"] - len(runs["unfinished"])) > 0:
        yield f"… {more} more"


def _activity(data: Mapping[str, Any]) -> Iterator[str]:
    sessions, users, content = data["sessions"], data["users"], data["content"]
    removed = data["removed"]
    yield f"Sessions: {short(sessions['opened'])} opened, {short(sessions['closed'])} closed"
    yield f"Users: {short(users['created'])} created, {short(removed['users'])} removed"
    yield f"Contexts: {short(removed['contexts'])} removed"
    yield f"Content: {short(content['created'])} created, {short(content['updated'])} updated"
