"""Making up for fire times of the past: `infra jobs backfill`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cronledger import backfill as backfilling
from cronledger import manual
from cronledger.backfill import Range
from cronledger.cli.arguments import Name, Reason, Timeout
from cronledger.cli.context import Application, application
from cronledger.cli.finding import counted
from cronledger.cli.known_jobs import find, known_jobs
from cronledger.cli.render import emit, note
from cronledger.cli.running import FAILED, given_parameters, note_switched_off, performed
from cronledger.cli.times import seconds_of
from cronledger.domain.backfill import Only, Proposed
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import RunId
from cronledger.domain.run import Outcome, RunState
from cronledger.projections.moments import fire_time

COLUMNS = ("fire_at", "why", "run_id", "of", "outcome")


def backfill(
    ctx: typer.Context,
    name: Name,
    *,
    since: Annotated[
        str, typer.Option("--from", metavar="TIME", help="The first instant: 2d, yesterday, a date, ...")
    ],
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="The end, itself not included; default: now.")
    ] = None,
    only: Annotated[
        Only,
        typer.Option(
            help="missed: skipped or never decided; failed: ended, and not well; "
            "all: both, and what went well."
        ),
    ] = Only.MISSED,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the runs and trigger none.")] = False,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="KEY=VALUE", help="A parameter of every run; repeatable."),
    ] = None,
    reason: Reason = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the runs have ended.")] = True,
    timeout: Timeout = None,
) -> None:
    """Run a job for fire times of the past that did not run, or did not end well; never twice for one."""
    seconds = seconds_of(timeout)
    opened = application(ctx)
    found = find(known_jobs(opened, None), name)
    now = opened.now()
    asked = Range(
        found.definition,
        opened.instant(since) or now,
        opened.instant(until) or now,
        only,
    )
    given = manual.fitted_parameters(opened.registry, asked.definition, given_parameters(parameters))
    proposed = backfilling.plan(opened.store(), asked)
    states: dict[RunId, RunState] = {}
    if proposed.runs and not dry_run:
        note_switched_off(ctx, found)
        began = _triggered(opened, asked.definition, proposed, parameters=given, reason=reason)
        seen = manual.see_through(opened.scheduler, opened.store(), *began, wait=wait, seconds=seconds)
        states = {state.run_id: state for state in performed(ctx, seen, timeout)}
    _answer(ctx, asked, proposed, states, dry_run=dry_run)


def _triggered(
    opened: Application,
    definition: JobDefinition,
    proposed: Proposed,
    *,
    parameters: dict[str, Any],
    reason: str | None,
) -> tuple[list[RunId], list[RunId]]:
    """Trigger the runs; return those that this process has to perform itself, and the others.

    Also those that somebody else has triggered a moment before: they are waited for like one's own.
    """
    store = opened.store()
    is_theirs = definition.name in manual.provided_by_the_living(store)
    if not is_theirs:
        manual.definition_of(opened.resolution, definition.name)
        opened.scheduler.databases().close()
    runs = backfilling.trigger(
        store,
        definition,
        proposed.runs,
        actor=opened.operator.name,
        parameters=parameters,
        reason=reason,
        bound_to=None if is_theirs else store.ledger.instance,
    )
    if is_theirs:
        return [], [each.run_id for each in proposed.runs]
    mine = set(runs)
    return runs, [each.run_id for each in proposed.runs if each.run_id not in mine]


def _answer(
    ctx: typer.Context, asked: Range, proposed: Proposed, states: dict[RunId, RunState], *, dry_run: bool
) -> None:
    runs = []
    for each in proposed.runs:
        state = states.get(each.run_id)
        outcome = state.outcome if state else None
        runs.append(
            {
                "fire_at": fire_time(each.fire_at),
                "why": each.why,
                "run_id": each.run_id,
                "of": each.of,
                "outcome": outcome,
            }
        )
    document = {
        "job": asked.definition.name,
        "from": fire_time(asked.since),
        "to": fire_time(asked.until),
        "only": asked.only,
        "dry_run": dry_run,
        "runs": runs,
        "total": len(runs),
    }
    emit(ctx, document, columns=COLUMNS, rows=runs, text=None if runs else "Nothing to make up for.")
    if proposed.unfinished:
        note(ctx, f"left alone: {counted(proposed.unfinished, 'fire time')} with a run that has not ended")
    if proposed.to_be_planned:
        undecided = counted(proposed.to_be_planned, "fire time")
        note(ctx, f"left alone: {undecided} that the leader has still to decide")
    if any(state.outcome not in (None, Outcome.SUCCEEDED) for state in states.values()):
        raise typer.Exit(FAILED)
