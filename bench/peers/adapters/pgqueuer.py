"""PGQueuer: jobs enqueued in batches and drained, and schedules of one second, with uvloop as its program.

A schedule's body is given its row, which already names the next due time. So the time that made it due is
the one that its row named before.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.models import Job, Schedule
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

from .told import Answer, Asked, Runs, Starts, main

ENQUEUED_AT_ONCE = 1000


async def throughput(asked: Asked) -> Answer:
    """Enqueue in batches and drain; when it returns, its buffers of ended jobs have been written."""
    connection = await asyncpg.connect(asked.url)
    queuer = PgQueuer.from_asyncpg_connection(connection)
    queries = Queries.from_asyncpg_connection(connection)
    await queries.install()

    @queuer.entrypoint("nothing")
    async def nothing(_: Job) -> None:
        runs.add()

    async def recorded() -> int:
        log = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"
        async with asyncpg.create_pool(asked.url, min_size=1, max_size=1) as pool:
            return int(await pool.fetchval(log))

    runs = Runs(asked.jobs)
    for first in range(0, asked.jobs, ENQUEUED_AT_ONCE):
        count = min(ENQUEUED_AT_ONCE, asked.jobs - first)
        await queries.enqueue(["nothing"] * count, [None] * count, [0] * count)
    runs.enqueued()
    batch = asked.number("batch_size")
    await queuer.qm.run(mode=QueueExecutionMode.drain, batch_size=batch, dequeue_timeout=timedelta(seconds=1))
    await runs.all_ended(recorded)
    return runs.answer()


async def lateness(asked: Asked) -> Answer:
    """Register the schedules; the sixth field of its cron expressions is the second."""
    connection = await asyncpg.connect(asked.url)
    queuer = PgQueuer.from_asyncpg_connection(connection)
    await Queries.from_asyncpg_connection(connection).install()
    starts = Starts(asked.jobs, asked.seconds)
    named: dict[str, float] = {}

    async def tick(schedule: Schedule) -> None:
        due = named.get(schedule.entrypoint)
        named[schedule.entrypoint] = schedule.next_run.timestamp()
        if due is not None:
            starts.add(schedule.entrypoint, due)

    for number in range(asked.jobs):
        queuer.schedule(f"tick_{number}", "* * * * * *")(tick)
    working = asyncio.create_task(queuer.run())
    while len(named) < asked.jobs:  # noqa: ASYNC110 - set up means that each row has named a time
        await asyncio.sleep(0.1)
    answer = await starts.window()
    queuer.shutdown.set()
    working.cancel()
    return answer


if __name__ == "__main__":
    main(throughput, lateness, uvloop.run)
