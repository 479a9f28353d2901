"""The runs that ended in a period, counted: one question about many rows of the history of runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, func, select

from cronledger.jobs.history import FAILING, EndedRun, JobRuns, RunsSummary, UnfinishedRun
from cronledger.ledger.instants import from_micros, to_micros
from cronledger.projections.run_history import triggered_before
from cronledger.projections.tables import RUN_HISTORY, UNFINISHED

LOOKS_BACK = timedelta(days=31)
"""A run that took longer than this is not found: there is no index by the time of the end."""

SLOWEST = 5
UNFINISHED_SHOWN = 20

_c = RUN_HISTORY.table.c
_Where = Sequence[ColumnElement[bool]]


def between(connection: Connection, since: datetime, until: datetime) -> RunsSummary:
    """Return the runs that ended from `since` to before `until`, and those that have not ended."""
    where = (
        _c.position > triggered_before(since - LOOKS_BACK, "since"),
        _c.ended_at >= to_micros(since),
        _c.ended_at < to_micros(until),
    )
    going = select(func.count()).select_from(RUN_HISTORY.table).where(UNFINISHED)
    return RunsSummary(
        since=since,
        until=until,
        jobs=_jobs(connection, where),
        slowest=_slowest(connection, where),
        unfinished=_unfinished(connection),
        unfinished_total=connection.execute(going).scalar_one(),
    )


def _jobs(connection: Connection, where: _Where) -> tuple[JobRuns, ...]:
    errors = _newest_errors(connection, where)
    items = [func.coalesce(func.sum(each), 0) for each in (_c.items_processed, _c.items_failed)]
    counting = select(_c.job, _c.outcome, func.count(), *items).where(*where).group_by(_c.job, _c.outcome)
    found: dict[str, JobRuns] = {}
    for job, outcome, count, processed, failed in connection.execute(counting.order_by(_c.job, _c.outcome)):
        before = found.get(job) or JobRuns(job=job, outcomes={}, error=errors.get(job))
        found[job] = JobRuns(
            job=job,
            outcomes=before.outcomes | {outcome: count},
            items_processed=before.items_processed + int(processed),
            items_failed=before.items_failed + int(failed),
            error=before.error,
        )
    return tuple(found.values())


def _newest_errors(connection: Connection, where: _Where) -> dict[str, str]:
    """Return, by job, what its newest run that did not go well said."""
    place = func.row_number().over(partition_by=_c.job, order_by=(_c.ended_at.desc(), _c.position.desc()))
    ranked = select(_c.job, _c.error, place.label("place")).where(*where, _c.outcome.in_(FAILING)).subquery()
    newest = select(ranked.c.job, ranked.c.error).where(ranked.c.place == 1, ranked.c.error.is_not(None))
    return {row.job: row.error for row in connection.execute(newest)}


def _slowest(connection: Connection, where: _Where) -> tuple[EndedRun, ...]:
    order = (_c.duration_ms.desc(), _c.position)
    columns = (_c.run_id, _c.job, _c.outcome, _c.ended_at, _c.duration_ms)
    slowest = select(*columns).where(*where, _c.duration_ms.is_not(None)).order_by(*order).limit(SLOWEST)
    return tuple(
        EndedRun(run_id=run_id, job=job, outcome=outcome, ended_at=from_micros(at), duration_ms=took)
        for run_id, job, outcome, at, took in connection.execute(slowest)
    )


def _unfinished(connection: Connection) -> tuple[UnfinishedRun, ...]:
    columns = (_c.run_id, _c.job, _c.phase, _c.triggered_at)
    oldest = select(*columns).where(UNFINISHED).order_by(_c.position).limit(UNFINISHED_SHOWN)
    return tuple(
        UnfinishedRun(run_id=run_id, job=job, phase=phase, triggered_at=from_micros(at))
        for run_id, job, phase, at in connection.execute(oldest)
    )
