"""What an operator decides about a job: on or off, and whether its schedule goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from cronledger.cli.arguments import Name, Reason
from cronledger.cli.context import Application, application
from cronledger.cli.known_jobs import as_defined, find_state
from cronledger.cli.render import emit, note
from cronledger.domain import job
from cronledger.domain.events import Actor, Event, FireTimesSkipped
from cronledger.domain.ids import job_stream
from cronledger.domain.job import JobState
from cronledger.ledger.api import Write, despite_conflicts, require_current
from cronledger.projections import job_status

Reset = Annotated[bool, typer.Option("--reset", help="Take the last decision back: follow the files again.")]
Decide = Callable[[JobState, Actor, str | None], list[Event]]


def enable(ctx: typer.Context, name: Name, *, reason: Reason = None, reset: Reset = False) -> None:
    """Switch a job on; every instance obeys at once, whatever its files say."""
    _switch(ctx, name, job.reset if reset else job.enable, reason)


def disable(ctx: typer.Context, name: Name, *, reason: Reason = None, reset: Reset = False) -> None:
    """Switch a job off; every instance obeys at once, whatever its files say."""
    _switch(ctx, name, job.reset if reset else job.disable, reason)


def pause(ctx: typer.Context, name: Name, *, reason: Reason = None) -> None:
    """Suspend a job's schedule until it is resumed; runs under way go on, and `run` still runs it."""
    state, events = _decided(application(ctx), name, job.pause, reason)
    message = f"Job '{state.name}' {'has been' if events else 'is already'} paused"
    _answer(ctx, state, message, changed=bool(events))
    note(ctx, f"it fires again after `cronledger infra jobs resume {state.name}`")


def resume(ctx: typer.Context, name: Name, *, reason: Reason = None) -> None:
    """Let a paused job's schedule go on; what came due meanwhile is recorded as skipped, and never runs."""
    opened = application(ctx)

    def decide(state: JobState, actor: Actor, why: str | None) -> list[Event]:
        return job.resume(state, actor, why, now=opened.store().ledger.head().clock)

    state, events = _decided(opened, name, decide, reason)
    skipped = sum(event.body.count for event in events if isinstance(event.body, FireTimesSkipped))
    message = f"Job '{state.name}' {'has been resumed' if events else 'is not paused'}"
    if skipped:
        message += f": {skipped} fire time{'s were' if skipped > 1 else ' was'} skipped"
    _answer(ctx, state, message, changed=bool(events), skipped=skipped)
    if not state.is_enabled:
        note(ctx, f"job '{state.name}' is disabled: it will not fire")


def _switch(ctx: typer.Context, name: str, verb: Decide, reason: str | None) -> None:
    state, events = _decided(application(ctx), name, verb, reason)
    word = "enabled" if state.is_enabled else "disabled"
    message = f"Job '{state.name}' {'has been' if events else 'is already'} {word}"
    if verb is job.reset:
        message = f"Job '{state.name}' follows the configuration{'' if events else ' already'}: it is {word}"
    _answer(ctx, state, message, changed=bool(events))


def _answer(ctx: typer.Context, state: JobState, message: str, *, changed: bool, **more: int) -> None:
    """Say what has changed, and how the job stands now."""
    document = {
        "name": state.name,
        "enabled": state.is_enabled,
        "paused": state.paused,
        "changed": changed,
        "position": application(ctx).store().ledger.head().position,
        **more,
        "message": message,
    }
    emit(ctx, document, text=message)


def _decided(
    opened: Application, name: str, verb: Decide, reason: str | None
) -> tuple[JobState, list[Event]]:
    """Append what an operator decides; return how the job stands now, and the events, if any."""
    ledger = opened.store().ledger
    require_current(ledger)

    def decide() -> tuple[JobState, list[Event]]:
        state = _found(opened, name)
        events = verb(state, opened.operator, reason)
        if events:
            ledger.append(Write(job_stream(state.name), tuple(events), expected=state.version))
            state = _found(opened, state.name)
        return as_defined(opened, state), events

    return despite_conflicts(decide)


def _found(opened: Application, name: str) -> JobState:
    with opened.views().reading() as connection:
        return find_state(opened, job_status.all_jobs(connection), name)
