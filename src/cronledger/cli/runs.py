"""Runs: the history, one run with its attempts and steps, two runs compared, and what is done about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from cronledger.cli.comparing import differences, facts_of
from cronledger.cli.context import application
from cronledger.cli.intervening import cancel, retry
from cronledger.cli.known_jobs import find_state
from cronledger.cli.known_runs import EVERY, Run, find_run
from cronledger.cli.render import also, emit, note
from cronledger.domain.events import AttemptEnded, Cause, Recorded, RunEnded, RunStarted, RunTriggered
from cronledger.domain.ids import JobName, run_stream
from cronledger.domain.job import JobState
from cronledger.domain.run import RunState
from cronledger.errors import UnknownJob
from cronledger.projections import job_status, progress, run_history, step_history
from cronledger.projections.moments import moment

app = typer.Typer(help="List, show and compare runs, stop them and repeat them.", no_args_is_help=True)


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
DIFF_COLUMNS = ("field", "left", "right")


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
    run: Run,
    *,
    as_of: AsOf = None,
) -> None:
    """Show one run with its attempts and steps."""
    opened = application(ctx)
    views = opened.views(as_of)
    with views.reading() as connection:
        state = find_run(connection, run)
        steps = [step_history.document(step) for step in step_history.of_run(connection, state.run_id)]
    told = [
        each for each in views.ledger.read_stream(run_stream(state.run_id)) if each.position <= views.position
    ]
    attempts = _attempts(told)
    far = None
    if as_of is None:  # how far a run was is not history
        with opened.store().reading() as connection:
            far = progress.of_run(connection, state)
    document: dict[str, Any] = {
        "run": _shown(state, told) | {"progress": far},
        "attempts": attempts,
        "steps": steps,
    }
    shown = document["run"] | {"progress": far and _words(far)}
    fields = [{"field": key, "value": value} for key, value in shown.items()]
    emit(ctx, document, columns=("field", "value"), rows=fields)
    also(ctx, "attempts", columns=ATTEMPT_COLUMNS, rows=attempts)
    also(ctx, "steps", columns=STEP_COLUMNS, rows=steps)
    note(ctx, f"log: cronledger infra logs view --run {state.run_id}")


@app.command()
def diff(ctx: typer.Context, left: Run, right: Run, *, as_of: AsOf = None) -> None:
    """Show in which fields two runs differ: parameters, definition, outcome, duration, and each step."""
    views = application(ctx).views(as_of)
    with views.reading() as connection:
        runs = [find_run(connection, each) for each in (left, right)]
        found = differences(*(facts_of(connection, views.ledger, each) for each in runs))
    document = {"left": runs[0].run_id, "right": runs[1].run_id, "same": not found, "differences": found}
    emit(ctx, document, columns=DIFF_COLUMNS, rows=found, text=None if found else "The runs do not differ.")


for command in (cancel, retry):
    app.command()(command)

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


def _shown(state: RunState, told: Sequence[Recorded]) -> dict[str, Any]:
    triggers = (each.body for each in told if isinstance(each.body, RunTriggered))
    return run_history.document(state) | {
        "phase": state.phase.value,
        "actor": state.actor,
        "reason": state.reason,
        "parameters": state.parameters,
        "of": state.of,
        "from_step": next((trigger.from_step for trigger in triggers), None),
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


def _attempts(told: Iterable[Recorded]) -> list[dict[str, Any]]:
    """Return the attempts of a run, as its own events tell them."""
    attempts: dict[int, dict[str, Any]] = {}
    for recorded in told:
        attempt = attempts.get(recorded.attempt or 0)
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
