"""Oban for Python: jobs enqueued in bulk, and cron by the minute, with uvloop as its own program.

It has no other cron, so its lateness is that of all jobs at one boundary between minutes.
"""

from __future__ import annotations

import time
from datetime import datetime

import uvloop
from oban import Oban, worker
from oban.job import Job
from oban.schema import install

from .told import Answer, Asked, Runs, Starts, main

ENQUEUED_AT_ONCE = 1000
ENDED = "SELECT count(*) FROM oban_jobs WHERE state = 'completed'"


async def throughput(asked: Asked) -> Answer:
    """Enqueue in bulk, then start the queue, and wait until all rows say that they are completed."""
    pool = await Oban.create_pool(asked.url)
    await install(pool)

    @worker(queue="default")
    class Nothing:
        async def process(self, _: Job) -> None:
            runs.add()

    async def recorded() -> int:
        async with pool.connection() as connection:
            found = await (await connection.execute(ENDED)).fetchone()
        return int(found[0])

    oban = Oban(pool=pool, queues={"default": asked.number("limit")})
    runs = Runs(asked.jobs)
    for first in range(0, asked.jobs, ENQUEUED_AT_ONCE):
        count = min(ENQUEUED_AT_ONCE, asked.jobs - first)
        await oban.enqueue_many(Nothing.new() for _ in range(count))
    runs.enqueued()
    async with oban:
        await runs.all_ended(recorded)
        return runs.answer()


async def lateness(asked: Asked) -> Answer:
    """Register the jobs for each minute and wait for the next."""
    pool = await Oban.create_pool(asked.url)
    await install(pool)
    starts = Starts(asked.jobs, 1)

    class Tick:
        async def process(self, job: Job) -> None:
            starts.add(job.worker, datetime.fromisoformat(job.meta["cron_at"]).timestamp())

    for number in range(asked.jobs):
        named = type(f"Tick{number}", (Tick,), {"__qualname__": f"Tick{number}"})
        worker(queue="default", cron="* * * * *")(named)
    async with Oban(pool=pool, queues={"default": asked.number("limit")}):
        soon = time.time() + 2
        return await starts.window(opens_at=soon - soon % 60 + 60)


if __name__ == "__main__":
    main(throughput, lateness, uvloop.run)
