"""Every job: its definition, what operators decided about it, and what became of its runs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from cronledger.domain import job
from cronledger.domain.events import Recorded
from cronledger.domain.ids import JobName, Position
from cronledger.domain.job import JobState
from cronledger.domain.schedule import schedule_for
from cronledger.domain.sharing import Instants, share
from cronledger.projections.moments import fire_time
from cronledger.projections.projection import Projection
from cronledger.projections.rows import Key
from cronledger.projections.tables import JOB_STATUS


def _job(recorded: Recorded) -> Key | None:
    return None if recorded.job is None else (recorded.job,)


PROJECTION = Projection(name="job_status", version=2, rows=JOB_STATUS, key=_job, evolve=job.evolve)


def all_jobs(connection: Connection) -> dict[JobName, JobState]:
    """Return every job that the ledger has heard of, by name."""
    statement = JOB_STATUS.select().order_by(JOB_STATUS.table.c.name)
    instants: Instants = {}
    return {state.name: share(state, instants) for state in JOB_STATUS.each(connection, statement)}


def one(connection: Connection, name: JobName) -> JobState | None:
    """Return a job, None if the ledger has not heard of it."""
    return JOB_STATUS.find(connection, [(name,)]).get((name,))


def document(states: Iterable[JobState], *, position: Position, now: datetime | None) -> dict[str, Any]:
    """Return the jobs as `infra jobs status` shows them; without `now`, without what comes next.

    >>> tidy = JobState(name=JobName("tidy"), succeeded=2)
    >>> document([tidy], position=Position(9), now=None)["jobs"][0]["succeeded"]
    2
    """
    jobs = [_entry(state, now) for state in sorted(states, key=lambda state: state.name)]
    return {"position": position, "jobs": jobs}


def next_fire_at(state: JobState, now: datetime) -> datetime | None:
    """Return when the job fires next; fire times that have gone by undecided are the planner's business."""
    at = job.next_fire(state)
    schedule = schedule_for(state.definition) if state.is_active and state.definition else None
    if at is None or schedule is None:
        return at if at is not None and at > now else None
    # Of a long time that a calendar takes away, the planner decides now and then.
    return at if at > now and schedule.matches(at) else schedule.next_after(max(at, now))


def _entry(state: JobState, now: datetime | None) -> dict[str, Any]:
    entry = {
        "name": state.name,
        "enabled": state.is_enabled and not state.retired,
        "paused": state.paused,
        "triggered": state.triggered,
        "running": len(state.running),
        "succeeded": state.succeeded,
        "partial": state.partial,
        "failed": state.failed,
        "timed_out": state.timed_out,
        "cancelled": state.cancelled,
        "lost": state.lost,
        "skipped": state.skipped,
        "last_fire_at": fire_time(state.last_fire_at),
        "last_outcome": state.last_outcome.value if state.last_outcome else None,
    }
    return entry if now is None else entry | {"next_fire_at": fire_time(next_fire_at(state, now))}
