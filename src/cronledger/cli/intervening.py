"""Stopping a run, and repeating one that has ended: `runs cancel` and `runs retry`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cronledger import cancelling, retrying
from cronledger.cli.arguments import Reason, Timeout
from cronledger.cli.context import Application, application
from cronledger.cli.known_runs import Run, find_run
from cronledger.cli.live import live
from cronledger.cli.render import emit, note
from cronledger.cli.running import TimeoutPassed, answer, performed
from cronledger.cli.times import seconds_of
from cronledger.domain.run import Outcome, RunState


def cancel(
    ctx: typer.Context,
    run: Run,
    *,
    reason: Reason = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the run has ended.")] = True,
    timeout: Timeout = None,
) -> None:
    """Ask a run to stop, wherever it is performed or waits; exit code 4 if it has ended already."""
    seconds = seconds_of(timeout)
    opened = application(ctx)
    store = opened.store()
    state, changed = cancelling.request(store, _found(opened, run).run_id, opened.operator, reason)
    if wait:
        if store.ledger.head().is_vacant:
            note(ctx, "no instance leads: what a dead instance has left ends once one is up")
        ending = cancelling.until_ended(store, state.run_id, opened.operator, seconds=seconds)
        try:
            state = asyncio.run(ending)
        except TimeoutError:
            hint = f"it stays asked to: see `cronledger runs show {state.run_id}`"
            raise TimeoutPassed(f"run '{state.run_id}' has not stopped within {timeout}", hint=hint) from None
    message = _said(state, changed=changed)
    document = {
        "run_id": state.run_id,
        "job": state.job,
        "outcome": state.outcome,
        "changed": changed,
        "message": message,
    }
    emit(ctx, document, text=message)


def retry(
    ctx: typer.Context,
    run: Run,
    *,
    from_step: Annotated[
        str | None,
        typer.Option("--from-step", metavar="STEP", help="Do this step, and all that began after it, anew."),
    ] = None,
    reason: Reason = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the new run has ended.")] = True,
    timeout: Timeout = None,
) -> None:
    """Repeat a run that has ended by a new one, which takes over the steps that it has finished."""
    seconds = seconds_of(timeout)
    opened = application(ctx)
    state = _found(opened, run)
    asked = retrying.request(
        opened.store(),
        opened.resolution,
        state,
        actor=opened.operator.name,
        reason=reason,
        from_step=from_step,
    )
    with live(ctx) as look:
        started = opened.scheduler.perform([asked], wait=wait, timeout=seconds, look=look)
        runs = performed(ctx, started, timeout)
    answer(ctx, runs)


def _found(opened: Application, run: str) -> RunState:
    with opened.views().reading() as connection:
        return find_run(connection, run)


def _said(state: RunState, *, changed: bool) -> str:
    if state.outcome is None:
        return f"Run '{state.run_id}' {'has been' if changed else 'had already been'} asked to stop"
    if state.outcome is Outcome.CANCELLED:
        return f"Run '{state.run_id}' has been cancelled"
    return f"Run '{state.run_id}' ended before it could be stopped: {state.outcome}"
