"""APScheduler 4 (alpha) on PostgreSQL: jobs added one by one, and interval schedules of one second.

Its asyncpg broker delivers no events with current versions, so the events go through psycopg; the store is
fastest with asyncpg. A task runs once at a time unless told otherwise, and then each look for jobs reads all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from apscheduler import AsyncScheduler, current_job
from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore
from apscheduler.eventbrokers.psycopg import PsycopgEventBroker
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from .told import Answer, Asked, Runs, Starts, main

_runs = Runs(0)
_starts = Starts(0, 0)


async def nothing() -> None:
    """Count, and do nothing."""
    _runs.add()


async def tick() -> None:
    """Note the start; the job at hand knows when it was due."""
    job = current_job.get()
    _starts.add(job.schedule_id, job.scheduled_fire_time.timestamp())


async def throughput(asked: Asked) -> Answer:
    """Add the jobs, start, and wait until the table of jobs is empty: a job that has ended leaves it."""
    global _runs  # noqa: PLW0603 - its tasks are named by module, so this is where they find it
    async with _scheduler(asked) as (scheduler, engine):

        async def recorded() -> int:
            async with engine.connect() as connection:
                left = await connection.scalar(text("SELECT count(*) FROM jobs"))
            return asked.jobs - int(left or 0)

        await scheduler.configure_task("nothing", func=nothing, max_running_jobs=None)
        _runs = Runs(asked.jobs)
        for _ in range(asked.jobs):
            await scheduler.add_job("nothing")
        _runs.enqueued()
        await scheduler.start_in_background()
        await _runs.all_ended(recorded)
        return _runs.answer()


async def lateness(asked: Asked) -> Answer:
    """Add the schedules with the settings that they have by default."""
    global _starts  # noqa: PLW0603
    async with _scheduler(asked) as (scheduler, _):
        _starts = Starts(asked.jobs, asked.seconds)
        await scheduler.configure_task("tick", func=tick, max_running_jobs=None)
        trigger_start = datetime.now(UTC).replace(microsecond=0)
        for number in range(asked.jobs):
            trigger = IntervalTrigger(seconds=1, start_time=trigger_start)
            await scheduler.add_schedule("tick", trigger, id=f"tick_{number}")
        await scheduler.start_in_background()
        return await _starts.window()


@asynccontextmanager
async def _scheduler(asked: Asked) -> AsyncIterator[tuple[AsyncScheduler, AsyncEngine]]:
    engine = create_async_engine(asked.url_for("asyncpg"))
    store, broker = SQLAlchemyDataStore(engine), PsycopgEventBroker(asked.url)
    most = asked.number("max_concurrent_jobs")
    async with AsyncScheduler(store, broker, max_concurrent_jobs=most) as scheduler:
        yield scheduler, engine
    await engine.dispose()


if __name__ == "__main__":
    main(throughput, lateness)
