"""Every run: why it was triggered, who performed it, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from cronledger.domain import run
from cronledger.domain.events import Cause, Recorded
from cronledger.domain.ids import JobName, RunId
from cronledger.domain.run import Outcome, Phase, RunState
from cronledger.ledger.instants import to_micros
from cronledger.projections.moments import fire_time, moment
from cronledger.projections.projection import Projection
from cronledger.projections.rows import Key
from cronledger.projections.tables import RUN_HISTORY, UNFINISHED

GOING = (Phase.WAITING, Phase.RUNNING)
"""What `outcome` may ask for beside outcomes."""

_c = RUN_HISTORY.table.c


def _run(recorded: Recorded) -> Key | None:
    return None if recorded.run_id is None else (recorded.run_id,)


PROJECTION = Projection(name="run_history", version=1, rows=RUN_HISTORY, key=_run, evolve=run.evolve)


def one(connection: Connection, run_id: RunId) -> RunState | None:
    """Return a run, None if there is none of that name."""
    return RUN_HISTORY.find(connection, [(run_id,)]).get((run_id,))


def unfinished(connection: Connection) -> list[RunState]:
    """Return the runs that wait or run, oldest trigger first."""
    statement = RUN_HISTORY.select().where(UNFINISHED).order_by(_c.position)
    return RUN_HISTORY.read(connection, statement)


def history(
    connection: Connection,
    *,
    job: JobName | None = None,
    outcome: Outcome | Phase | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    cause: Cause | str | None = None,
    limit: int = 20,
) -> tuple[list[RunState], int]:
    """Return the newest runs, newest trigger first, and how many there are without the limit.

    `since` (included) and `until` (not included) are about the trigger; `outcome` may also be `waiting` or
    `running`.
    """
    where = _matching(job=job, outcome=outcome, since=since, until=until, cause=cause)
    newest = RUN_HISTORY.select().where(*where).order_by(_c.position.desc()).limit(limit)
    total = connection.execute(select(func.count()).select_from(RUN_HISTORY.table).where(*where)).scalar_one()
    return RUN_HISTORY.read(connection, newest), total


def of_fire_times(connection: Connection, job: JobName, since: datetime, until: datetime) -> list[RunState]:
    """Return the runs for the fire times of a job from `since` to before `until`, oldest trigger first."""
    between = (_c.fire_at >= to_micros(since), _c.fire_at < to_micros(until))
    return RUN_HISTORY.read(
        connection, RUN_HISTORY.select().where(_c.job == job, *between).order_by(_c.position)
    )


def document(state: RunState) -> dict[str, Any]:
    """Return a run as `infra jobs history` shows it; its outcome is null until it has ended."""
    return {
        "run_id": state.run_id,
        "job": state.job,
        "cause": state.cause.value,
        "fire_at": fire_time(state.fire_at),
        "triggered_at": moment(state.triggered_at),
        "started_at": moment(state.started_at),
        "ended_at": moment(state.ended_at),
        "outcome": state.outcome.value if state.outcome else None,
        "attempt": state.attempt,
        "instance": state.instance,
        "message": state.message,
        "error": state.error,
        "items_processed": state.items_processed,
        "items_failed": state.items_failed,
        "duration_ms": state.duration_ms,
    }


def _matching(
    *,
    job: JobName | None,
    outcome: Outcome | Phase | str | None,
    since: datetime | None,
    until: datetime | None,
    cause: Cause | str | None,
) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if job is not None:
        where.append(_c.job == job)
    if outcome is not None:
        where.append((_c.phase if outcome in GOING else _c.outcome) == str(outcome))
    if since is not None:
        where.append(_c.triggered_at >= to_micros(since))
    if until is not None:
        where.append(_c.triggered_at < to_micros(until))
    if cause is not None:
        where.append(_c.cause == str(cause))
    return where
