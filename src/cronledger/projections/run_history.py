"""Every run: why it was triggered, who performed it, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, TextClause, func, select, text

from cronledger.domain import run
from cronledger.domain.events import Cause, Recorded
from cronledger.domain.ids import JobName, RunId
from cronledger.domain.run import Outcome, Phase, RunState
from cronledger.ledger.instants import to_micros
from cronledger.projections.moments import fire_time, moment
from cronledger.projections.projection import Projection
from cronledger.projections.rows import Key
from cronledger.projections.tables import JOB_STATUS, RUN_HISTORY, UNFINISHED

GOING = (Phase.WAITING, Phase.RUNNING)
"""What `outcome` may ask for beside outcomes."""

LAST_LETTER = "\U0010ffff"
"""Stands behind every other one."""

_c = RUN_HISTORY.table.c
_jobs = JOB_STATUS.table.c

_HALVING = f"""(
WITH RECURSIVE halves (low, step) AS (
  SELECT CAST(0 AS bigint), CAST({2**36} AS bigint)
  UNION ALL
  SELECT CASE WHEN coalesce((
           SELECT triggered_at FROM run_history WHERE position <= low + step ORDER BY position DESC LIMIT 1
         ), 0) < :NAME THEN low + step ELSE low END, step / 2
    FROM halves WHERE step > 0
)
SELECT low FROM halves WHERE step = 0
)"""  # noqa: S608 - of constants
"""The position up to which every run was triggered before an instant, and none of those after it.

Runs are triggered in the order of their positions, so halving finds it, and no index by time is needed.
"""


def _run(recorded: Recorded) -> Key | None:
    return None if recorded.run_id is None else (recorded.run_id,)


PROJECTION = Projection(
    name="run_history", version=1, rows=RUN_HISTORY, key=_run, evolve=run.evolve, of_runs=True
)


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
    found = _newest(connection, where, limit)
    if len(found) < limit:
        return found, len(found)
    if since is None and until is None and cause is None and outcome not in GOING:
        return found, _counted(connection, job, outcome)
    return found, _count(connection, where)


def newest(
    connection: Connection,
    *,
    job: JobName | None = None,
    outcome: Outcome | Phase | str | None = None,
    since: datetime | None = None,
    limit: int = 20,
) -> list[RunState]:
    """Return the runs that `history` returns, where nobody asks how many there are."""
    return _newest(connection, _matching(job=job, outcome=outcome, since=since), limit)


def begun_with(connection: Connection, text: str, *, limit: int) -> tuple[list[RunState], int]:
    """Return the first runs, by their ids, whose id begins with a text, and how many there are."""
    where = _c.run_id >= text, _c.run_id < text + LAST_LETTER
    first = RUN_HISTORY.select().where(*where).order_by(_c.run_id).limit(limit)
    return RUN_HISTORY.read(connection, first), _count(connection, where)


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
    job: JobName | None = None,
    outcome: Outcome | Phase | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    cause: Cause | str | None = None,
) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if job is not None:
        where.append(_c.job == job)
    if outcome in GOING:
        where += [UNFINISHED, _c.phase == str(outcome)]
    elif outcome is not None:
        where.append(_c.outcome == str(outcome))
    if since is not None:
        where.append(_c.position > triggered_before(since, "since"))
    if until is not None:
        where.append(_c.position <= triggered_before(until, "until"))
    if cause is not None:
        where.append(_c.cause == str(cause))
    return where


def triggered_before(at: datetime, name: str) -> TextClause:
    """Return, as SQL, the position of the last run that was triggered before an instant; `name` binds it."""
    return text(_HALVING.replace("NAME", name)).bindparams(**{name: to_micros(at)})


def _newest(connection: Connection, where: Sequence[ColumnElement[bool]], limit: int) -> list[RunState]:
    statement = RUN_HISTORY.select().where(*where).order_by(_c.position.desc()).limit(limit)
    return RUN_HISTORY.read(connection, statement)


def _count(connection: Connection, where: Sequence[ColumnElement[bool]]) -> int:
    counting = select(func.count()).select_from(RUN_HISTORY.table).where(*where)
    return connection.execute(counting).scalar_one()


def _counted(connection: Connection, job: JobName | None, outcome: Outcome | Phase | str | None) -> int:
    """Return how many runs there are as the jobs have counted them: nobody counts millions of rows twice."""
    counts = _jobs.triggered if outcome is None else _jobs[str(outcome)]
    counting = select(func.coalesce(func.sum(counts), 0))
    return int(
        connection.execute(counting if job is None else counting.where(_jobs.name == job)).scalar_one()
    )
