"""APScheduler 3: date jobs that are due at once, and interval jobs of one second, with asyncio."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.jobstores.base import BaseJobStore
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from .told import Answer, Asked, Runs, Starts, main

_started_at: dict[str, float] = {}


async def nothing() -> None:
    """Do nothing."""


async def tick(job: str) -> None:
    """Note the start; when it was due is told by the event that follows."""
    _started_at[job] = time.time()


async def throughput(asked: Asked) -> Answer:
    """Add date jobs to the paused scheduler, then let it go on; without a grace, lest it misfires them."""
    scheduler = AsyncIOScheduler(jobstores={"default": _store(asked)}, timezone=UTC)
    scheduler.add_listener(lambda _: runs.add(), EVENT_JOB_EXECUTED)
    scheduler.start(paused=True)
    runs = Runs(asked.jobs)
    for _ in range(asked.jobs):
        scheduler.add_job(nothing, "date", run_date=datetime.now(UTC), misfire_grace_time=None)
    runs.enqueued()
    scheduler.resume()
    await runs.all_ended()
    return runs.answer()


async def lateness(asked: Asked) -> Answer:
    """Add the jobs with the settings that they have by default, a grace of one second among them."""
    scheduler = AsyncIOScheduler(jobstores={"default": _store(asked)}, timezone=UTC)
    starts = Starts(asked.jobs, asked.seconds)

    def note(event: Any) -> None:
        starts.add(event.job_id, event.scheduled_run_time.timestamp(), at=_started_at[event.job_id])

    scheduler.add_listener(note, EVENT_JOB_EXECUTED)
    scheduler.start(paused=True)
    whole = datetime.now(UTC).replace(microsecond=0)
    for number in range(asked.jobs):
        name = f"tick_{number}"
        scheduler.add_job(tick, "interval", [name], id=name, seconds=1, start_date=whole)
    scheduler.resume()
    return await starts.window()


def _store(asked: Asked) -> BaseJobStore:
    if asked.url == "memory":
        return MemoryJobStore()
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore  # noqa: PLC0415 - only with a database
    from sqlalchemy import create_engine, event  # noqa: PLC0415

    engine = create_engine(asked.url_for("psycopg"))
    if asked.url.startswith("sqlite"):

        @event.listens_for(engine, "connect")
        def wal(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

    return SQLAlchemyJobStore(engine=engine)


if __name__ == "__main__":
    main(throughput, lateness)
