"""The configuration: as this instance reads it, against another one, and in the cluster."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from cronledger import applying
from cronledger.cli.arguments import Reason
from cronledger.cli.context import application
from cronledger.cli.options import Output
from cronledger.cli.render import emit, print_json
from cronledger.clock import SystemClock
from cronledger.config import json_schema
from cronledger.config.model import Settings
from cronledger.config.resolve import Resolution
from cronledger.domain.definition import JobDefinition
from cronledger.domain.fire_time_changes import JobChange, compare
from cronledger.domain.schedule import Schedule, schedule_for
from cronledger.projections.moments import fire_time, moment

app = typer.Typer(help="Check, show, compare and apply the configuration.", no_args_is_help=True)

JOB_COLUMNS = ("name", "extension", "job", "schedule", "timezone", "enabled", "startup")
DIFF_COLUMNS = ("name", "change", "fire_at", "to")
MOST_LISTED = 1000
MOST_SHOWN = 10
"""Of the fire times of one job: in a document, and in a table."""
FIELD_COLUMNS = ("name", "field", "value", "origin")


@app.command()
def check(ctx: typer.Context) -> None:
    """Check all files: exit code 5 and every problem with its place, or 0 and what is worth a second look."""
    opened = application(ctx)
    document = checked(opened.settings, opened.resolution, SystemClock().now())
    count = document["jobs"]
    summary = f"{count} job{'' if count == 1 else 's'}, no problems"
    emit(ctx, document, text="\n".join([*(f"warning: {each}" for each in document["warnings"]), summary]))


@app.command()
def show(
    ctx: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Say for each field where it comes from.")] = False,
) -> None:
    """Show the effective definitions, after code, defaults, entries and profile."""
    opened = application(ctx)
    document = shown(opened.settings, opened.resolution)
    if origin:
        emit(ctx, document, columns=FIELD_COLUMNS, rows=list(_by_field(document["jobs"])))
    else:
        emit(ctx, document, columns=JOB_COLUMNS, rows=document["jobs"])


@app.command()
def schema(ctx: typer.Context) -> None:
    """Print the JSON Schema of the configuration file, for editors; that of a profile is `$defs/profile`."""
    document = json_schema.schema()
    if ctx.obj.output is Output.TABLE:
        print_json(document)
    else:
        emit(ctx, document)


@app.command()
def diff(
    ctx: typer.Context,
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="The file to compare with.")],
    *,
    days: Annotated[int, typer.Option(min=1, max=366, help="For how many days to come.")] = 7,
) -> None:
    """Show which coming fire times OTHER would add, remove and move, compared with the files in use."""
    opened = application(ctx)
    now = opened.now()
    theirs = opened.resolution_of(other)
    until = now + timedelta(days=days)
    changes = compare(opened.resolution.definitions, theirs.definitions, since=now, until=until)
    document = {
        "from": opened.resolution.revision,
        "to": theirs.revision,
        "since": moment(now),
        "until": moment(until),
        "jobs": [_change(each) for each in changes],
        **{kind: sum(len(getattr(each, kind)) for each in changes) for kind in ("added", "removed", "moved")},
    }
    rows = [row for each in changes for row in _rows(each, until)]
    text = None if rows else "no differences"
    emit(ctx, document, columns=DIFF_COLUMNS, rows=rows, text=text)


@app.command()
def apply(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Instead of the configuration in use.")
    ] = None,
    *,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also if the cluster has moved on from these files, or there are none."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    reason: Reason = None,
) -> None:
    """Make these files current in the cluster, whether or not an instance is up.

    They stay current until somebody applies others or an instance comes up with files that the ledger has
    not seen. Refused (exit code 4) if the cluster has moved on from them and a living instance carries the
    newer ones, and where there are no files at all but jobs that would change; unless --force is given.
    """
    opened = application(ctx)
    resolution = opened.resolution_of(file) if file else opened.resolution
    outcome = applying.apply(
        opened.store(), resolution, opened.operator, force=force, dry_run=dry_run, reason=reason
    )
    changes = msgspec.to_builtins(outcome.changes)
    document = {
        "revision": outcome.revision,
        "previous": outcome.previous,
        "changed": outcome.changed and not dry_run,
        "dry_run": dry_run,
        **changes,
        "position": outcome.position,
    }
    lines = [f"{kind}: {name}" for kind, names in changes.items() for name in names]
    emit(ctx, document, text="\n".join([*lines, _said(outcome, dry_run=dry_run)]))


def checked(settings: Settings, resolution: Resolution, now: datetime) -> dict[str, Any]:
    """Return what a configuration without problems amounts to, and what is worth a second look."""
    return {
        "ok": True,
        "jobs": sum(definition.scheduled for definition in resolution.definitions),
        "revision": resolution.revision,
        "warnings": [
            *resolution.warnings,
            *_closed_for_good(resolution.definitions, now),
            *_second_opinions(resolution.definitions, now),
        ],
        "files": list(settings.files),
    }


def shown(settings: Settings, resolution: Resolution) -> dict[str, Any]:
    """Return the configuration as one document; the application's part, which may hold secrets, stays out."""
    scheduler = {
        field: msgspec.to_builtins(getattr(settings, field))
        for field in (
            "enabled", "timezone", "day_match", "extensions", "bootstrap_jobs",
            "startup_wait_seconds", "drain_seconds", "max_runs",
        )
    }  # fmt: skip
    jobs = [
        {**_fields(definition), "origin": resolution.origins[definition.name]}
        for definition in resolution.definitions
    ]
    return {
        "revision": resolution.revision,
        "scheduler": scheduler,
        "jobs": jobs,
        "files": list(settings.files),
    }


def _said(outcome: applying.Outcome, *, dry_run: bool) -> str:
    if not outcome.changed:
        return f"configuration {outcome.revision} is already current"
    if dry_run:
        return f"configuration {outcome.revision} would become current; nothing was changed"
    return f"configuration {outcome.revision} is current"


def _change(change: JobChange) -> dict[str, Any]:
    times = {
        kind: [fire_time(at) for at in getattr(change, kind)[:MOST_LISTED]] for kind in ("added", "removed")
    }
    moved = [{"from": fire_time(at), "to": fire_time(to)} for at, to in change.moved[:MOST_LISTED]]
    return {
        "name": change.name,
        "change": change.change,
        "fields": list(change.fields),
        "until": moment(change.until),
        **times,
        "moved": moved,
        "counts": {kind: len(getattr(change, kind)) for kind in ("added", "removed", "moved")},
    }


def _rows(change: JobChange, asked: datetime) -> Iterable[dict[str, Any]]:
    """Yield a job's differences for people: the first of many fire times, and how many more there are."""
    what = f"{change.change}: {', '.join(change.fields)}" if change.fields else change.change
    yield {"name": change.name, "change": what, "fire_at": None, "to": None}
    if change.until < asked:
        what = f"fires too often: compared only until {fire_time(change.until)}"
        yield {"name": change.name, "change": what, "fire_at": None, "to": None}
    for kind in ("added", "removed", "moved"):
        times: tuple[Any, ...] = getattr(change, kind)
        for each in times[:MOST_SHOWN]:
            at, to = each if kind == "moved" else (each, None)
            row = {"name": change.name, "change": kind, "fire_at": fire_time(at), "to": fire_time(to)}
            yield row
        if len(times) > MOST_SHOWN:
            more = f"{kind}: {len(times) - MOST_SHOWN} more"
            yield {"name": change.name, "change": more, "fire_at": None, "to": None}


def _fields(definition: JobDefinition) -> dict[str, Any]:
    return {
        field: msgspec.to_builtins(getattr(definition, field)) for field in JobDefinition.__struct_fields__
    }


def _by_field(jobs: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for job in jobs:
        for field, source in job["origin"].items():
            outer, _, part = field.partition(".")
            value = job[outer][part] if part else job[outer]
            yield {"name": job["name"], "field": field, "value": value, "origin": source}


def _closed_for_good(definitions: Iterable[JobDefinition], now: datetime) -> Iterable[str]:
    """Name the jobs whose calendar leaves nothing of what is to come."""
    for definition in definitions:
        calendar = definition.calendar
        schedule = schedule_for(definition) if calendar else None
        if schedule and calendar and schedule.next_after(now) is None:
            yield f"'{definition.name}': calendar '{calendar.name}' leaves no fire time from now on"


def _second_opinions(definitions: Iterable[JobDefinition], now: datetime) -> Iterable[str]:
    """Compare the coming fire times with an independent engine's."""
    from cronledger.config.second_opinion import croniter_disagreements  # noqa: PLC0415 - croniter is slow to import

    known: dict[Schedule, list[str]] = {}  # croniter is slow to answer, too
    for definition in definitions:
        schedule = schedule_for(definition)
        if schedule is None:
            continue
        if schedule not in known:
            known[schedule] = croniter_disagreements(schedule, after=now)
        yield from (f"'{definition.name}': {difference}" for difference in known[schedule])
