"""The runs that ended in a period, counted: one question about many rows of the history of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, func, select

from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName
from cronledger.jobs.history import FAILING, EndedRun, JobRuns, RunsSummary, UnfinishedRun
from cronledger.ledger.instants import from_micros, to_micros
from cronledger.projections.run_history import triggered_before
from cronledger.projections.tables import JOB_STATUS, RUN_HISTORY, UNFINISHED

LOOKS_BACK = timedelta(days=31)
"""A run that took longer than this is not found: there is no index by the time of the end."""

SLOWEST = 5
UNFINISHED_SHOWN = 20
_HALF = 2**32
"""Items are summed in halves: a sum of SQLite's may not be longer than what it adds up."""

_c = RUN_HISTORY.table.c
_Where = Sequence[ColumnElement[bool]]


def between(
    connection: Connection, since: datetime, until: datetime, own: Mapping[JobName, JobDefinition]
) -> RunsSummary:
    """Return the runs that ended from `since` to before `until`, and those that have not ended.

    `own` are the definitions of whoever asks, for jobs of which no instance has told the ledger.
    """
    where = (
        _c.position > triggered_before(since - LOOKS_BACK, "since"),
        _c.ended_at >= to_micros(since),
        _c.ended_at < to_micros(until),
    )
    going = select(func.count()).select_from(RUN_HISTORY.table).where(UNFINISHED)
    return RunsSummary(
        since=since,
        until=until,
        jobs=_with_code(connection, _jobs(connection, where), own),
        slowest=_slowest(connection, where),
        unfinished=_unfinished(connection),
        unfinished_total=connection.execute(going).scalar_one(),
    )


def _jobs(connection: Connection, where: _Where) -> dict[JobName, JobRuns]:
    errors = _newest_errors(connection, where)
    items = [
        func.coalesce(func.sum(part), 0)
        for each in (_c.items_processed, _c.items_failed)
        for part in (each // _HALF, each % _HALF)
    ]
    counting = select(_c.job, _c.outcome, func.count(), *items).where(*where).group_by(_c.job, _c.outcome)
    found: dict[JobName, JobRuns] = {}
    for job, outcome, count, *parts in connection.execute(counting.order_by(_c.job, _c.outcome)):
        processed, rest_processed, failed, rest_failed = map(int, parts)
        before = found.get(job) or JobRuns(job=job, outcomes={}, error=errors.get(job))
        found[job] = JobRuns(
            job=job,
            outcomes=before.outcomes | {outcome: count},
            items_processed=before.items_processed + processed * _HALF + rest_processed,
            items_failed=before.items_failed + failed * _HALF + rest_failed,
            error=before.error,
        )
    return found


def _with_code(
    connection: Connection, found: Mapping[JobName, JobRuns], own: Mapping[JobName, JobDefinition]
) -> tuple[JobRuns, ...]:
    """Say which job in code the runs are of, as far as anybody knows."""
    known = JOB_STATUS.find(connection, [(name,) for name in found])
    told: list[JobRuns] = []
    for name, runs in found.items():
        state = known.get((name,))
        definition = (state.definition if state else None) or own.get(name)
        told.append(runs if definition is None else _of(definition, runs))
    return tuple(told)


def _of(definition: JobDefinition, runs: JobRuns) -> JobRuns:
    return replace(runs, extension=definition.extension, code=definition.code)


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
