"""Cron expressions from the command line: when they fire, what they say, whether they can be trusted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import typer

from cronledger.cli.render import NO_MORE, emit
from cronledger.domain.clock_changes import clock_changes
from cronledger.domain.cron import Cron
from cronledger.domain.definition import DayMatch
from cronledger.domain.fire_times import LAST
from cronledger.domain.schedule import Schedule, advice_on, describe, schedule_of
from cronledger.domain.zone import zone
from cronledger.errors import InvalidSchedule, UsageError

app = typer.Typer(help="Ask when a cron expression fires, and why.", no_args_is_help=True)

FIRE_TIMES_EXPLAINED = 10
FIRE_TIMES_COMPARED = 100
_COMING_YEAR = timedelta(days=366)
_INTERVAL = "follows the clock: a time that it skips does not fire, one that it shows twice fires twice"
_FIXED = (
    "a time that the clock skips fires at the end of the gap; one that it shows twice fires the first time"
)

Expression = Annotated[
    str,
    typer.Argument(
        metavar="EXPR", help="Six fields, seconds first; or `every 90s`, `at 2026-12-24T18:00:00`."
    ),
]
Zone = Annotated[str, typer.Option("--tz", metavar="ZONE", help="The IANA zone to read it in.")]
Rule = Annotated[
    DayMatch,
    typer.Option("--day-match", help="What two restricted day fields mean, as in the configuration."),
]
From = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="Only later fire times; RFC 3339. Default: now.")
]


@app.command("next")
def next_(
    ctx: typer.Context,
    expression: Expression,
    *,
    tz: Zone = "UTC",
    day_match: Rule = DayMatch.OR,
    from_: From = None,
    count: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many.")] = 5,
) -> None:
    """Show the next fire times."""
    schedule = _schedule(expression, tz, day_match)
    found = list(schedule.fire_times(_start(ctx, from_), LAST, count))
    document = {"expression": expression, "timezone": tz, "fire_times": found}
    rows = [_fire_time(at, tz) for at in found]
    columns = ["utc"] if tz == "UTC" else ["utc", "local"]
    emit(ctx, document, columns=columns, rows=rows, text=None if found else NO_MORE)


@app.command()
def explain(
    ctx: typer.Context,
    expression: Expression,
    *,
    tz: Zone = "UTC",
    day_match: Rule = DayMatch.OR,
    from_: From = None,
    count: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many.")] = FIRE_TIMES_EXPLAINED,
) -> None:
    """Say in words when an expression fires, with its next fire times and what to watch out for."""
    schedule = _schedule(expression, tz, day_match)
    start = _start(ctx, from_)
    fire_times = [_fire_time(at, tz) for at in schedule.fire_times(start, LAST, count)]
    changes = clock_changes(schedule, start, _COMING_YEAR)
    notes = advice_on(schedule, day_match=day_match)
    if changes and isinstance(schedule.rule, Cron):
        notes.append(_INTERVAL if schedule.rule.spec.interval else _FIXED)
    document = {
        "expression": expression,
        "timezone": tz,
        "description": describe(expression, timezone=tz, day_match=day_match),
        "fire_times": fire_times,
        "clock_changes": [msgspec.structs.asdict(change) for change in changes],
        "notes": notes,
    }
    emit(ctx, document, text=_page(document))


@app.command()
def lint(
    ctx: typer.Context,
    expressions: Annotated[list[str], typer.Argument(metavar="EXPR...", help="Each in quotes.")],
    *,
    tz: Zone = "UTC",
    day_match: Rule = DayMatch.OR,
    from_: From = None,
    count: Annotated[
        int, typer.Option("-n", min=1, max=10_000, help="How many fire times to compare.")
    ] = FIRE_TIMES_COMPARED,
    compare: Annotated[bool, typer.Option("--compare", help="Warn where croniter would differ.")] = False,
) -> None:
    """Check expressions: exit code 5 if one is invalid."""
    zone(tz)
    after = _start(ctx, from_)
    results = [_lint(each, tz, day_match) for each in expressions]
    if compare:
        _compare(results, tz, day_match, after=after, count=count)
    emit(
        ctx,
        {"results": results},
        columns=["expression", "ok", "remarks"],
        rows=[_row(one) for one in results],
    )
    if not all(result["ok"] for result in results):
        raise typer.Exit(InvalidSchedule.exit_code)


def _lint(expression: str, tz: str, day_match: DayMatch) -> dict[str, Any]:
    try:
        warnings = advice_on(_schedule(expression, tz, day_match), day_match=day_match)
    except InvalidSchedule as error:
        message = f"{error.message} ({error.hint})" if error.hint else error.message
        return {"expression": expression, "ok": False, "error": message, "warnings": []}
    return {"expression": expression, "ok": True, "error": None, "warnings": warnings}


def _compare(results: list[dict[str, Any]], tz: str, day_match: DayMatch, **how: Any) -> None:
    from cronledger.config.second_opinion import croniter_disagreements  # noqa: PLC0415 - imports croniter

    for result in results:
        if result["ok"]:
            schedule = _schedule(result["expression"], tz, day_match)
            result["warnings"] += croniter_disagreements(schedule, **how)


def _row(result: dict[str, Any]) -> dict[str, object]:
    remarks = [result["error"]] if result["error"] else result["warnings"]
    return {"expression": result["expression"], "ok": result["ok"], "remarks": "; ".join(remarks)}


def _schedule(expression: str, tz: str, day_match: DayMatch) -> Schedule:
    schedule = schedule_of(expression, timezone=tz, day_match=day_match)
    if schedule is None:
        raise InvalidSchedule(
            expression, "an empty schedule never fires", hint="for a job it means: manual only"
        )
    return schedule


def _start(ctx: typer.Context, text: str | None) -> datetime:
    if text is None:
        now: datetime = ctx.obj.clock.now()
        return now
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--from: {text!r} is not a time", hint="such as 2026-02-01T12:07:30Z") from None
    if start.tzinfo is None:
        raise UsageError(
            f"--from: {text!r} has no offset", hint=f"add one, or Z for UTC: {start.isoformat()}Z"
        )
    return start


def _fire_time(at: datetime, tz: str) -> dict[str, object]:
    return {"utc": at, "local": at.astimezone(ZoneInfo(tz))}


def _page(document: dict[str, Any]) -> str:
    lines = [document["description"], ""]
    for at in document["fire_times"]:
        utc = at["utc"].strftime("%Y-%m-%dT%H:%M:%SZ")
        local = "" if document["timezone"] == "UTC" else at["local"].strftime("  %a %Y-%m-%d %H:%M:%S %Z")
        lines.append(utc + local)
    if not document["fire_times"]:
        lines.append(NO_MORE)
    notes = [change["note"] for change in document["clock_changes"]]
    notes += [f"note: {note}" for note in document["notes"]]
    return "\n".join([*lines, "", *notes] if notes else lines)
