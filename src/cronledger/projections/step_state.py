"""A step of a run, as the events of the run tell it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeGuard

import msgspec

from cronledger.domain import events as e
from cronledger.domain.ids import JobName, Position, RunId


class StepOutcome(StrEnum):
    """What became of a step."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


class StepRow(msgspec.Struct, frozen=True, gc=False):
    """One try at a step: a row of the steps of a run.

    Attributes:
        attempt: The attempt of the run that tried it, 0 if the event does not say.
        position: Of the first event about it: the order of the steps.
    """

    run_id: RunId
    attempt: int
    name: str
    job: JobName | None
    position: Position
    outcome: StepOutcome = StepOutcome.RUNNING
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: int | None = None
    items_processed: int | None = None
    items_failed: int | None = None
    message: str | None = None
    error: str | None = None
    result: Any = None


NAME_LENGTH = 200
"""A longer name would not fit into an index of PostgreSQL."""

Step = e.StepStarted | e.StepSucceeded | e.StepFailed | e.StepSkipped
BODIES = frozenset(Step.__args__)


def is_of_step(body: e.Body) -> TypeGuard[Step]:
    """Whether a body is about a step."""
    return type(body) in BODIES


def evolve(step: StepRow | None, recorded: e.Recorded) -> StepRow | None:
    """Fold one event about a step; begun again under the same name and attempt, it begins anew."""
    body = recorded.body
    if recorded.run_id is None or not is_of_step(body):
        return step
    if step is None or type(body) is e.StepStarted:
        step = _begun(step, recorded, recorded.run_id, kept_name(body.name))
    if isinstance(body, e.StepStarted):
        return msgspec.structs.replace(step, started_at=recorded.recorded_at)
    return msgspec.structs.replace(
        step,
        outcome=_outcome(body),
        ended_at=recorded.recorded_at,
        duration_ms=body.duration_ms,
        items_processed=body.items_processed,
        items_failed=body.items_failed,
        message=body.message or (body.reason if type(body) is e.StepSkipped else None),
        error=body.error if type(body) is e.StepFailed else None,
        result=body.result if type(body) is e.StepSucceeded else None,
    )


def kept_name(name: str) -> str:
    """Return the name under which a step is kept: of a long one, the beginning and a digest of it all.

    >>> kept_name("build"), kept_name("x" * 5000)[181:]
    ('build', 'xx…c59d3c0480cc2d71')
    """
    if len(name) <= NAME_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name[: NAME_LENGTH - 17]}…{digest}"


def _begun(step: StepRow | None, recorded: e.Recorded, run_id: RunId, name: str) -> StepRow:
    return StepRow(
        run_id=run_id,
        attempt=recorded.attempt or 0,
        name=name,
        job=recorded.job,
        position=step.position if step else recorded.position,
    )


def _outcome(body: e.StepSucceeded | e.StepFailed | e.StepSkipped) -> StepOutcome:
    match body:
        case e.StepSucceeded():
            return StepOutcome.SUCCEEDED
        case e.StepFailed():
            return StepOutcome.FAILED
        case e.StepSkipped():
            return StepOutcome.SKIPPED
