"""Runs: the history, and one run with its attempts and steps."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from cronledger.cli.context import application
from cronledger.cli.known_jobs import find_state
from cronledger.cli.render import also, emit, note
from cronledger.domain.events import AttemptEnded, Cause, RunEnded, RunStarted
from cronledger.domain.ids import JobName, RunId, job_of, run_stream
from cronledger.domain.job import JobState
from cronledger.domain.run import RunState
from cronledger.errors import NotFound, UnknownJob, UsageError
from cronledger.projections import job_status, progress, run_history, step_history
from cronledger.projections.moments import moment
from cronledger.projections.replay import Views

app = typer.Typer(help="List and show runs.", no_args_is_help=True)


class Status(StrEnum):
    """What a list of runs can be narrowed to: an outcome, or how far an unfinished run is."""

    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"
    WAITING = "waiting"
    RUNNING = "running"
    SUCCESS = "success"
    """The source documents' word for succeeded."""


AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="TIME|position:N", help="Show it as it was then, not as it is now."),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="From then on: 90s, 15m, 1h, 2d, 1w, today, a date or time."
    ),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Up to then, which is not included.")
]
COLUMNS = ("run_id", "cause", "triggered_at", "duration_ms", "outcome", "attempt", "message", "error")
STEP_COLUMNS = (
    "name", "outcome", "attempt", "duration_ms", "items_processed", "items_failed", "message", "error",
)  # fmt: skip
ATTEMPT_COLUMNS = ("attempt", "instance", "started_at", "ended_at", "outcome", "error")
NAMED = 5
"""How many of the runs that a prefix may mean are named."""
EVERY = 10_000_000


def history(
    ctx: typer.Context,
    *,
    name: Annotated[
        str | None, typer.Option("--job", metavar="NAME", help="Only runs of this job, or EXTENSION:JOB.")
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many, newest first.")] = 20,
    status: Annotated[
        Status | None, typer.Option(help="Only runs that came out so, or still wait or run.")
    ] = None,
    since: Since = None,
    until: Until = None,
    cause: Annotated[
        Cause | None, typer.Option(help="Only runs that were triggered for this reason.")
    ] = None,
    as_of: AsOf = None,
) -> None:
    """List runs, newest first."""
    opened = application(ctx)
    from_, to = opened.instant(since), opened.instant(until)
    outcome = Status.SUCCEEDED if status is Status.SUCCESS else status
    views = opened.views(as_of)
    with views.reading() as connection:
        states = job_status.all_jobs(connection)
        job = _job(ctx, states, name)
        found, total = run_history.history(
            connection,
            job=job,
            outcome=outcome.value if outcome else None,
            since=from_,
            until=to,
            cause=cause,
            limit=min(limit, EVERY),
        )
    runs = [run_history.document(state) for state in found]
    shown = [run | {"outcome": run["outcome"] or state.phase} for run, state in zip(runs, found, strict=True)]
    emit(ctx, {"runs": runs, "total": total}, columns=COLUMNS, rows=shown, text=None if runs else "No runs.")
    if len(runs) < total:
        note(ctx, f"{len(runs)} of {total}; more with -n")


app.command("list")(history)


@app.command()
def show(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of one.")],
    *,
    as_of: AsOf = None,
) -> None:
    """Show one run with its attempts and steps."""
    opened = application(ctx)
    views = opened.views(as_of)
    with views.reading() as connection:
        state = run_history.one(connection, RunId(run)) or _meant(connection, run)
        steps = [step_history.document(step) for step in step_history.of_run(connection, state.run_id)]
        attempts = _attempts(views, state.run_id)
    far = None
    if as_of is None:  # how far a run was is not history
        with opened.store().reading() as connection:
            far = progress.of_run(connection, state)
    document: dict[str, Any] = {
        "run": _shown(state) | {"progress": far},
        "attempts": attempts,
        "steps": steps,
    }
    told = document["run"] | {"progress": far and _words(far)}
    fields = [{"field": key, "value": value} for key, value in told.items()]
    emit(ctx, document, columns=("field", "value"), rows=fields)
    also(ctx, "attempts", columns=ATTEMPT_COLUMNS, rows=attempts)
    also(ctx, "steps", columns=STEP_COLUMNS, rows=steps)
    note(ctx, f"log: cronledger infra logs view --run {state.run_id}")


# --- private --------------------------------------------------------------------------------------------


def _job(ctx: typer.Context, states: Mapping[JobName, JobState], name: str | None) -> JobName | None:
    """Return the job that a history is asked of; one that nobody knows has an empty one, and a remark."""
    if name is None:
        return None
    try:
        return find_state(application(ctx), states, name).name
    except UnknownJob as error:
        note(ctx, f"{error.message}; {error.hint}")
        return JobName(name)


def _meant(connection: Any, prefix: str) -> RunState:
    """Return the only run whose id begins so; raises NotFound, or UsageError if there are several."""
    if "@" in prefix or "!" in prefix:
        jobs = [job_of(RunId(prefix))]
    else:
        jobs = [name for name in job_status.all_jobs(connection) if name.startswith(prefix)]
    found: list[RunState] = []
    for job in jobs if prefix else ():
        runs, _ = run_history.history(connection, job=job, limit=EVERY)
        found += [state for state in runs if state.run_id.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"no run is called '{prefix}'", hint="see `cronledger runs list`")
    some = ", ".join(state.run_id for state in found[:NAMED])
    more = "" if len(found) <= NAMED else f" and {len(found) - NAMED} more"
    raise UsageError(f"'{prefix}' may be {len(found)} runs: {some}{more}", hint="write more of the run's id")


def _shown(state: RunState) -> dict[str, Any]:
    return run_history.document(state) | {
        "phase": state.phase.value,
        "actor": state.actor,
        "reason": state.reason,
        "parameters": state.parameters,
        "of": state.of,
        "parent": state.parent,
    }


def _words(far: Mapping[str, Any]) -> str:
    """Say how far a run is.

    >>> _words({"done": 3, "total": 4, "percent": 75.0, "message": "north", "at": "12:00", "seconds_left": 9})
    '3 of 4 (75.0 %), 9 s left: north, at 12:00'
    """
    said = str(far["done"]) if far["total"] is None else f"{far['done']} of {far['total']}"
    said += "" if far["percent"] is None else f" ({far['percent']} %)"
    said += "" if far["seconds_left"] is None else f", {far['seconds_left']} s left"
    said += f": {far['message']}" if far["message"] else ""
    return f"{said}, at {far['at']}"


def _attempts(views: Views, run_id: RunId) -> list[dict[str, Any]]:
    """Return the attempts of a run, as its own events tell them."""
    attempts: dict[int, dict[str, Any]] = {}
    for recorded in views.ledger.read_stream(run_stream(run_id)):
        attempt = attempts.get(recorded.attempt or 0)
        if recorded.position > views.position:
            break
        if isinstance(recorded.body, RunStarted):
            attempts[recorded.attempt or 1] = {
                "attempt": recorded.attempt or 1,
                "instance": recorded.instance,
                "started_at": moment(recorded.recorded_at),
                "ended_at": None,
                "outcome": None,
                "error": None,
            }
        elif isinstance(recorded.body, RunEnded | AttemptEnded) and attempt and not attempt["ended_at"]:
            outcome = recorded.type.partition(".")[2]
            attempt |= {
                "ended_at": moment(recorded.recorded_at),
                "outcome": outcome,
                "error": recorded.body.error,
            }
    return list(attempts.values())
