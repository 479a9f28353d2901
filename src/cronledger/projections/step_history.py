"""The steps of every run, one row for each try."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection

from cronledger.domain.events import Recorded
from cronledger.domain.ids import RunId
from cronledger.domain.run import Phase, RunState
from cronledger.projections import run_history
from cronledger.projections.moments import moment
from cronledger.projections.projection import Projection
from cronledger.projections.rows import Key
from cronledger.projections.step_state import (
    BODIES,
    StepOutcome,
    StepRow,
    evolve,
    is_of_step,
    kept_name,
)
from cronledger.projections.tables import STEP_HISTORY

ABANDONED = "the attempt ended before the step did"


def _step(recorded: Recorded) -> Key | None:
    body = recorded.body
    if recorded.run_id is None or not is_of_step(body):
        return None
    return recorded.run_id, recorded.attempt or 0, kept_name(body.name)


PROJECTION = Projection(
    name="step_history",
    version=2,
    rows=STEP_HISTORY,
    key=_step,
    evolve=evolve,
    bodies=BODIES,
    of_runs=True,
)


def of_run(connection: Connection, run_id: RunId) -> list[StepRow]:
    """Return the steps of a run in the order in which they began.

    A step that had begun when its attempt ended has no end of its own: it is shown as failed.
    """
    table = STEP_HISTORY.table
    statement = STEP_HISTORY.select().where(table.c.run_id == run_id).order_by(table.c.position)
    run = run_history.one(connection, run_id)
    return [_settled(step, run) for step in STEP_HISTORY.read(connection, statement)]


def document(step: StepRow) -> dict[str, Any]:
    """Return a step as `runs show` shows it."""
    return {
        "name": step.name,
        "outcome": step.outcome.value,
        "started_at": moment(step.started_at),
        "ended_at": moment(step.ended_at),
        "duration_ms": step.duration_ms,
        "items_processed": step.items_processed,
        "items_failed": step.items_failed,
        "message": step.message,
        "error": step.error,
        "attempt": step.attempt,
    }


def _settled(step: StepRow, run: RunState | None) -> StepRow:
    going = run is not None and run.phase is Phase.RUNNING and run.attempt == step.attempt
    if step.outcome is not StepOutcome.RUNNING or going:
        return step
    return msgspec.structs.replace(step, outcome=StepOutcome.FAILED, error=ABANDONED)
