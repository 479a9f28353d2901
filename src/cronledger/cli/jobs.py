"""Jobs: what is defined, how it stands, and what an operator decides about it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer

from cronledger.cli.arguments import Name
from cronledger.cli.backfill import backfill
from cronledger.cli.cleaning import cleanup_sessions, log_cleanup
from cronledger.cli.context import Application, application
from cronledger.cli.deciding import disable, enable, pause, resume
from cronledger.cli.intervening import cancel
from cronledger.cli.known_jobs import KnownJob, as_defined, find, find_state, known_jobs, note_other_files
from cronledger.cli.render import NO_MORE, also, emit, note
from cronledger.cli.running import run
from cronledger.cli.runs import AsOf, history
from cronledger.domain.definition import JobDefinition, Startup
from cronledger.domain.events import JobPaused
from cronledger.domain.fire_times import LAST
from cronledger.domain.ids import job_stream
from cronledger.domain.job import JobState
from cronledger.domain.schedule import MANUAL_ONLY, describe, schedule_for
from cronledger.projections import fold, job_status, progress, run_history
from cronledger.projections.moments import fire_time, moment
from cronledger.projections.replay import Views

app = typer.Typer(help="List, run and steer jobs.", no_args_is_help=True)

LIST_COLUMNS = (
    "name",
    "schedule",
    "timezone",
    "enabled",
    "next_fire_at",
    "last_outcome",
    "running",
    "description",
)
STATUS_COLUMNS = (
    "name", "enabled", "paused", "running", "succeeded", "partial", "failed", "timed_out", "cancelled",
    "lost", "skipped", "last_fire_at", "last_outcome", "next_fire_at",
)  # fmt: skip
PROGRESS_COLUMNS = ("run_id", "done", "total", "percent", "seconds_left", "at", "message")


@app.command("list")
def list_(ctx: typer.Context, *, as_of: AsOf = None) -> None:
    """List every job that is defined here or known to the ledger."""
    opened = application(ctx)
    known = known_jobs(opened, as_of)
    now = opened.viewed_at(as_of)
    jobs = [_entry(each, now) for each in known.jobs.values()]
    text = None if jobs else "No jobs: name extensions in the configuration, or give code with --app."
    emit(ctx, {"jobs": jobs, "total": len(jobs)}, columns=LIST_COLUMNS, rows=jobs, text=text)
    note_other_files(ctx, as_of)


@app.command()
def show(ctx: typer.Context, name: Name, *, as_of: AsOf = None) -> None:
    """Show how a job is defined, where each field comes from, and when it ran last and runs next."""
    opened = application(ctx)
    found = find(known_jobs(opened, as_of), name)
    document = _shown(found, opened.viewed_at(as_of), pause=_pause(opened, found.state))
    emit(ctx, document, columns=("field", "value", "origin"), rows=_fields(document))
    note(ctx, f"counts and live state: cronledger infra jobs status {found.state.name}")
    note_other_files(ctx, as_of)


@app.command()
def status(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Only these; default: all.")
    ] = None,
    *,
    as_of: AsOf = None,
) -> None:
    """Show how jobs stand: running runs, outcomes so far, what comes next."""
    opened = application(ctx)
    views = opened.views(as_of)
    with views.reading() as connection:
        states, position = job_status.all_jobs(connection), fold.standing(connection)
    wanted = [find_state(opened, states, each, as_of=as_of) for each in names] if names else states.values()
    if as_of is None:
        wanted = [as_defined(opened, state) for state in wanted]
    chosen = {state.name: state for state in wanted}.values()
    document = job_status.document(chosen, position=position, now=opened.viewed_at(as_of))
    far = _add_progress(opened, views, document) if as_of is None else []
    text = None if document["jobs"] else "The ledger knows no job yet: `cronledger up` registers them."
    emit(ctx, document, columns=STATUS_COLUMNS, rows=document["jobs"], text=text)
    also(ctx, "progress", columns=PROGRESS_COLUMNS, rows=far)
    if as_of is None:
        note(ctx, _leadership(opened))
    if names:
        note(ctx, f"definition: cronledger infra jobs show {next(iter(chosen)).name}")


@app.command("next")
def next_(
    ctx: typer.Context,
    name: Name,
    *,
    count: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many.")] = 5,
    every: Annotated[
        bool, typer.Option("--all", help="Also those that the job's calendar takes away, and by which rule.")
    ] = False,
    as_of: AsOf = None,
) -> None:
    """Show when a job fires next."""
    opened = application(ctx)
    found = find(known_jobs(opened, as_of), name)
    schedule = schedule_for(found.definition)
    calendar = found.definition.calendar
    ask = (schedule.ruled if every else schedule.fire_times) if schedule else None
    times = list(ask(opened.viewed_at(as_of), LAST, count)) if ask else []
    why = {at: closed for at in times if schedule and (closed := schedule.why_closed(at))}
    document: dict[str, Any] = {
        "name": found.state.name,
        "schedule": found.definition.schedule,
        "timezone": found.definition.timezone,
        "fire_times": [fire_time(each) for each in times if each not in why],
    }
    if every:
        document["calendar"] = calendar.name if calendar else None
        document["taken"] = [{"fire_at": fire_time(at), "by": rule} for at, rule in why.items()]
    rows = [{"fire_at": fire_time(each), "taken_by": why.get(each)} for each in times]
    columns = ["fire_at", "taken_by"] if every else ["fire_at"]
    emit(ctx, document, columns=columns, rows=rows, text=NO_MORE if schedule else MANUAL_ONLY)
    if calendar and not every:
        note(ctx, f"calendar '{calendar.name}' takes fire times away: --all shows which")
    if not found.is_enabled or found.state.paused:
        note(
            ctx,
            f"job '{found.state.name}' is {'paused' if found.is_enabled else 'disabled'}: it will not fire",
        )
    note_other_files(ctx, as_of)


for command in (enable, disable, pause, resume, cancel):
    app.command()(command)
app.command()(run)
app.command("history")(history)
app.command()(backfill)
app.command()(cleanup_sessions)
app.command()(log_cleanup)

# --- showing --------------------------------------------------------------------------------------------


def _add_progress(opened: Application, views: Views, document: dict[str, Any]) -> list[dict[str, Any]]:
    """Add to each job how far its running runs are, those that say so, and return them all."""
    with views.reading() as connection:
        running = run_history.unfinished(connection)
    with opened.store().reading() as connection:
        far = progress.of_runs(connection, running)
    jobs = {entry["name"]: entry for entry in document["jobs"]}
    shown = []
    for state in running:
        if state.run_id in far and state.job in jobs:
            shown.append({"run_id": state.run_id, **far[state.run_id]})
            jobs[state.job].setdefault("progress", []).append(shown[-1])
    return shown


def _entry(known: KnownJob, now: datetime) -> dict[str, Any]:
    state, definition = known.state, known.definition
    return {
        "name": state.name,
        "extension": definition.extension,
        "job": definition.code,
        "description": definition.description,
        "schedule": definition.schedule,
        "timezone": definition.timezone,
        "enabled": known.is_enabled,
        "scheduled": definition.scheduled,
        "run_on_startup": definition.startup is not Startup.NEVER,
        "tags": list(definition.tags),
        "next_fire_at": fire_time(known.next_fire_at(now)),
        "last_outcome": state.last_outcome,
        "last_ended_at": moment(state.last_ended_at),
        "running": len(state.running),
    }


def _shown(known: KnownJob, now: datetime, *, pause: dict[str, Any] | None) -> dict[str, Any]:
    state, definition = known.state, known.definition
    override = None
    if state.override is not None:
        override = {
            "enabled": state.override,
            "by": state.override_by,
            "reason": state.override_reason,
            "at": moment(state.override_at),
        }
    origin = known.origin or dict.fromkeys(JobDefinition.__struct_fields__, "ledger")
    return {
        "name": state.name,
        "enabled": known.is_enabled,
        "paused": state.paused,
        "pause": pause,
        "override": override,
        "schedule_in_words": describe(
            definition.schedule, timezone=definition.timezone, day_match=definition.day_match
        ),
        "next_fire_at": fire_time(known.next_fire_at(now)),
        "last_fire_at": fire_time(state.last_fire_at),
        "last_outcome": state.last_outcome,
        "last_ended_at": moment(state.last_ended_at),
        "running": list(state.running),
        "revision": state.revision or None,
        "definition": {
            field: msgspec.to_builtins(getattr(definition, field))
            for field in JobDefinition.__struct_fields__
        },
        "origin": dict(origin),
    }


def _pause(opened: Application, state: JobState) -> dict[str, Any] | None:
    """Return who suspended the schedule of a paused job, why and when."""
    told = opened.store().ledger.read_stream(job_stream(state.name)) if state.paused else []
    for each in reversed(told):
        if isinstance(each.body, JobPaused) and each.version <= state.version:
            by = str(each.actor)
            return {"by": by, "reason": each.body.reason, "at": moment(each.recorded_at)}
    return None


def _fields(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a job's page as rows: how it stands first, then each field of its definition."""
    origin = document["origin"]
    switched = "ledger" if document["override"] else origin["enabled"]
    standing = [
        {"field": field, "value": value, "origin": switched if field == "enabled" else "ledger"}
        for field, value in document.items()
        if field not in ("definition", "origin", "name", "schedule_in_words")
    ]
    words = {"field": "schedule_in_words", "value": document["schedule_in_words"], "origin": "schedule"}
    fields = {field: value for field, value in document["definition"].items() if field != "enabled"}
    if calendar := fields["calendar"]:
        fields["calendar"] = calendar["name"]
        fields |= {f"calendar.{rule}": said for rule, said in calendar.items() if rule != "name"}
    defined = [
        {"field": field, "value": value, "origin": origin.get(field, origin["calendar"])}
        for field, value in fields.items()
    ]
    return [*defined[:1], words, *standing, *defined[1:]]


def _leadership(opened: Application) -> str:
    head = opened.store().ledger.head()
    if head.is_vacant:
        return "no instance leads: nothing is planned until one is up (`cronledger up`)"
    return f"led by {head.leader} in term {head.term}"
