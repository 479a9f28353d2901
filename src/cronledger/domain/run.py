"""A run: one intended execution of a job, one trigger, in the end one outcome.

    (no event) --trigger--> waiting --start--> running --finish--> ended
                               ^                  |
                               +-- fail, lose, interrupt (an attempt is left)

Verbs decide and return events; `evolve` folds what happened and never refuses. A verb called in a state in
which it makes no sense returns nothing: somebody else was faster, and that is recorded already.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from functools import reduce
from typing import Any

import msgspec
from msgspec.structs import replace

from cronledger.domain import events as e
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import InstanceId, JobName, Position, RunId
from cronledger.domain.retry import RetryOn, pause, stable_fraction

CLAIMED = e.Actor.engine("dispatcher")


class Phase(StrEnum):
    """Where a run stands."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


class Outcome(StrEnum):
    """What became of a run."""

    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"


class RunState(msgspec.Struct, frozen=True, gc=False):
    """A run as the ledger tells it: the fold of its stream, and a row of history.

    Attributes:
        position: Of the trigger: the order of history.
        version: Of the stream: what the next append expects.
        failures: Attempts that failed or timed out; losses: those whose instance fell silent.
        claim_from: Nobody claims the run before this instant.
        bound_to: Only this instance may claim it.
    """

    run_id: RunId
    job: JobName
    cause: e.Cause
    position: Position
    version: int
    phase: Phase
    triggered_at: datetime
    fire_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    attempt: int = 0
    instance: InstanceId | None = None
    failures: int = 0
    losses: int = 0
    claim_from: datetime | None = None
    bound_to: InstanceId | None = None
    cancel_requested: bool = False
    actor: str = ""
    reason: str | None = None
    of: RunId | None = None
    parent: RunId | None = None
    parameters: dict[str, Any] = {}
    message: str | None = None
    error: str | None = None
    items_processed: int | None = None
    items_failed: int | None = None
    duration_ms: int | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How an attempt's code came out, as its instance saw it.

    Attributes:
        duration_ms: What the code says that it took, else what it took.
        took_ms: What it took by the instance's clock: the pause before the next attempt begins then.
    """

    outcome: Outcome
    retry_on: RetryOn | None = None
    message: str | None = None
    error: str | None = None
    items_processed: int | None = None
    items_failed: int | None = None
    duration_ms: int = 0
    took_ms: int = 0


# --- verbs ----------------------------------------------------------------------------------------------


def trigger(
    definition: JobDefinition,
    run_id: RunId,
    cause: e.Cause,
    actor: e.Actor,
    *,
    fire_at: datetime | None = None,
    now: datetime | None = None,
    parameters: dict[str, Any] | None = None,
    of: RunId | None = None,
    from_step: str | None = None,
    instance: InstanceId | None = None,
    reason: str | None = None,
) -> e.Event:
    """Intend a run; `now` (or the fire time) is what its jitter is counted from."""
    base = fire_at or now
    claim_from = None
    if definition.jitter_seconds and base is not None and cause is e.Cause.SCHEDULE:
        claim_from = base + timedelta(seconds=int(definition.jitter_seconds * stable_fraction(run_id)))
    body = e.RunTriggered(
        parameters=parameters or {},
        of=of,
        from_step=from_step,
        instance=instance,
        claim_from=claim_from,
        reason=reason,
    )
    return e.Event(body=body, actor=actor, job=definition.name, run_id=run_id, fire_at=fire_at, cause=cause)


def start(run: RunState) -> list[e.Event]:
    """Claim a waiting run: its next attempt begins."""
    if run.phase is not Phase.WAITING:
        return []
    return [about(run, e.RunStarted(), CLAIMED, attempt=run.attempt + 1)]


def start_of(triggered: e.Event) -> e.Event:
    """Claim a run in the same append that triggers it."""
    return replace(triggered, body=e.RunStarted(), actor=CLAIMED, attempt=1)


def finish(run: RunState, ended: Ended, definition: JobDefinition) -> list[e.Event]:
    """Record how the attempt came out: an outcome, or a pause before the next attempt."""
    if run.phase is not Phase.RUNNING:
        return []
    actor = e.Actor.of_job(run.job)
    retry = definition.retry
    wants_retry = ended.retry_on in retry.on and run.failures + 1 < retry.max_attempts
    if wants_retry and not run.cancel_requested:
        claim_from = None
        if run.started_at is not None:
            elapsed = timedelta(milliseconds=ended.took_ms)
            claim_from = run.started_at + elapsed + pause(retry, run.run_id, run.attempt)
        failed = e.AttemptFailed(error=ended.error, duration_ms=ended.duration_ms, claim_from=claim_from)
        return [about(run, failed, actor)]
    body = _BODY_OF[ended.outcome](
        message=ended.message,
        items_processed=ended.items_processed,
        items_failed=ended.items_failed,
        duration_ms=ended.duration_ms,
        error=ended.error,
    )
    return [about(run, body, actor)]


def lose(run: RunState, definition: JobDefinition, actor: e.Actor, *, now: datetime) -> list[e.Event]:
    """Give up an attempt whose instance fell silent: try again if the job may be repeated.

    At once after the first loss; after another the job itself is suspect, and the pauses of `retry` apply.
    Not a run that is bound to the instance: nobody else may perform it.
    """
    if run.phase is not Phase.RUNNING:
        return []
    error = f"instance {run.instance} fell silent during attempt {run.attempt}"
    may_repeat = definition.idempotent and run.bound_to is None and not run.cancel_requested
    if may_repeat and run.losses < definition.recovery_attempts:
        claim_from = now + pause(definition.retry, run.run_id, run.losses) if run.losses else None
        return [about(run, e.AttemptLost(error=error, claim_from=claim_from), actor)]
    return [about(run, e.RunLost(error=error), actor)]


def interrupt(run: RunState, definition: JobDefinition, actor: e.Actor) -> list[e.Event]:
    """Hand back a run at shutdown: it waits if another instance may repeat it, else it ends cancelled."""
    if run.phase is not Phase.RUNNING:
        return []
    if definition.idempotent and run.bound_to is None:
        return [about(run, e.AttemptInterrupted(reason="drain"), actor)]
    return [about(run, e.RunCancelled(reason="drain"), actor)]


def request_cancel(run: RunState, actor: e.Actor, reason: str | None) -> list[e.Event]:
    """Ask a run to stop; its owner, or the leader while it waits, ends it."""
    if run.phase is Phase.ENDED or run.cancel_requested:
        return []
    return [about(run, e.RunCancelRequested(reason=reason), actor)]


def cancel_waiting(run: RunState, actor: e.Actor) -> list[e.Event]:
    """End a waiting run that somebody asked to stop."""
    if run.phase is not Phase.WAITING or not run.cancel_requested:
        return []
    return [about(run, e.RunCancelled(reason=run.reason), actor)]


def withdraw(run: RunState, actor: e.Actor, reason: str = "drain") -> list[e.Event]:
    """End a run that waits for a process that goes, or is gone: nobody else may perform it."""
    if run.phase is not Phase.WAITING or run.bound_to is None:
        return []
    return [about(run, e.RunCancelled(reason=reason), actor)]


def expire(
    run: RunState,
    definition: JobDefinition | None,
    now: datetime,
    actor: e.Actor,
    *,
    free_since: datetime | None = None,
) -> list[e.Event]:
    """End a run that nobody has been able to claim: no living instance provides its job.

    `free_since`: when the run of the job that it stood in line behind ended, if there was one.
    """
    seconds = definition.claim_timeout_seconds if definition else 3600
    since = max(at for at in (run.triggered_at, run.claim_from, free_since) if at is not None)
    if run.phase is not Phase.WAITING or now < since + timedelta(seconds=seconds):
        return []
    error = f"unprovided: no instance that provides job '{run.job}' claimed the run within {seconds} s"
    return [about(run, e.RunFailed(error=error, reason="unprovided"), actor)]


def late(run: RunState, attempt: int, ended: Ended, actor: e.Actor) -> list[e.Event]:
    """Record what an attempt that had lost its claim reports after all; the outcome stands."""
    body = e.RunLateResult(
        outcome=ended.outcome,
        message=ended.message,
        error=ended.error,
        items_processed=ended.items_processed,
        items_failed=ended.items_failed,
        duration_ms=ended.duration_ms,
    )
    return [about(run, body, actor, attempt=attempt)]


def about(run: RunState, body: e.Body, actor: e.Actor, *, attempt: int | None = None) -> e.Event:
    """Say something about a run."""
    return e.Event(
        body=body,
        actor=actor,
        job=run.job,
        run_id=run.run_id,
        attempt=attempt or run.attempt or None,
        fire_at=run.fire_at,
        cause=run.cause,
    )


# --- fold -----------------------------------------------------------------------------------------------


def evolve(run: RunState | None, recorded: e.Recorded) -> RunState | None:
    """Fold one event of a run's stream. What happened, happened: nothing is refused here."""
    body = recorded.body
    if type(body) is e.RunTriggered:
        return _triggered(recorded, body)
    if run is None:
        return None
    version = recorded.version
    if type(body) is e.RunStarted:
        attempt = recorded.attempt or run.attempt + 1
        return started(run, recorded.instance, recorded.recorded_at, version=version, attempt=attempt)
    if e.has_ended_run(body):
        return _ended(run, recorded, body)
    if e.has_ended_attempt(body):
        return replace(
            run,
            version=version,
            phase=Phase.WAITING,
            failures=run.failures + isinstance(body, e.AttemptFailed),
            losses=run.losses + isinstance(body, e.AttemptLost),
            claim_from=body.claim_from,
            error=body.error or run.error,
        )
    if type(body) is e.RunCancelRequested:
        return replace(run, version=version, cancel_requested=True, reason=body.reason)
    return replace(run, version=version)


def folded(stream: Iterable[e.Recorded]) -> RunState | None:
    """Return a run as its stream tells it."""
    return reduce(evolve, stream, None)


def started(run: RunState, instance: InstanceId, at: datetime, *, version: int, attempt: int) -> RunState:
    """Return a run whose next attempt has begun."""
    return replace(
        run,
        version=version,
        phase=Phase.RUNNING,
        attempt=attempt,
        instance=instance,
        started_at=at,
        claim_from=None,
    )


def _triggered(recorded: e.Recorded, body: e.RunTriggered) -> RunState | None:
    if recorded.run_id is None or recorded.job is None:
        return None
    return RunState(
        run_id=recorded.run_id,
        job=recorded.job,
        cause=recorded.cause or e.Cause.MANUAL,
        position=recorded.position,
        version=recorded.version,
        phase=Phase.WAITING,
        triggered_at=recorded.recorded_at,
        fire_at=recorded.fire_at,
        claim_from=body.claim_from,
        bound_to=body.instance,
        actor=str(recorded.actor),
        reason=body.reason,
        of=body.of,
        parent=body.parent,
        parameters=body.parameters,
    )


def _ended(run: RunState, recorded: e.Recorded, body: e.RunEnded) -> RunState:
    if run.phase is Phase.ENDED:
        return replace(run, version=recorded.version)
    return replace(
        run,
        version=recorded.version,
        phase=Phase.ENDED,
        outcome=outcome_of(body),
        ended_at=recorded.recorded_at,
        message=body.message,
        error=body.error,
        items_processed=body.items_processed,
        items_failed=body.items_failed,
        duration_ms=body.duration_ms,
        reason=body.reason or run.reason,
    )


def outcome_of(body: e.RunEnded) -> Outcome:
    """Return the outcome that an ending event stands for."""
    return _OUTCOME_OF[type(body)]


_BODY_OF: dict[Outcome, type[e.RunEnded]] = {
    Outcome.SUCCEEDED: e.RunSucceeded,
    Outcome.PARTIAL: e.RunPartial,
    Outcome.FAILED: e.RunFailed,
    Outcome.TIMED_OUT: e.RunTimedOut,
    Outcome.CANCELLED: e.RunCancelled,
    Outcome.LOST: e.RunLost,
}
_OUTCOME_OF: dict[type[e.RunEnded], Outcome] = {body: outcome for outcome, body in _BODY_OF.items()}
