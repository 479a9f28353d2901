"""DBOS: workflows without steps in a queue, and scheduled workflows of one second."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import psycopg
from dbos import DBOS, DBOSConfig

from .told import Answer, Asked, Runs, Starts, main

ENDED = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"
QUEUE = "bench"


async def throughput(asked: Asked) -> Answer:
    """Enqueue the workflows one by one (it has no other way), and wait until all rows say SUCCESS."""
    _configure(asked)

    @DBOS.workflow()
    def nothing() -> None:
        runs.add()

    DBOS.launch()
    await DBOS.register_queue_async(QUEUE, polling_interval_sec=float(asked.options["polling_seconds"]))
    connection = await psycopg.AsyncConnection.connect(asked.url, autocommit=True)

    async def recorded() -> int:
        found = await (await connection.execute(ENDED)).fetchone()
        return int(found[0]) if found else 0

    def enqueue() -> None:
        for _ in range(asked.jobs):
            DBOS.enqueue_workflow(QUEUE, nothing)

    runs = Runs(asked.jobs)
    await asyncio.to_thread(enqueue)
    runs.enqueued()
    await runs.all_ended(recorded)
    return runs.answer()


async def lateness(asked: Asked) -> Answer:
    """Create the schedules; each becomes a thread, and its workflows go through DBOS's internal queue."""
    _configure(asked)
    starts = Starts(asked.jobs, asked.seconds)

    @DBOS.workflow()
    def tick(scheduled_at: datetime, context: Any) -> None:
        starts.add(context, scheduled_at.timestamp())

    DBOS.launch()
    for number in range(asked.jobs):
        await DBOS.create_schedule_async(
            schedule_name=f"tick_{number}", workflow_fn=tick, schedule="* * * * * *", context=number
        )
    return await starts.window()


def _configure(asked: Asked) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": asked.url,
        "log_level": "ERROR",
        "application_version": "1",
    }
    DBOS(config=config)


if __name__ == "__main__":
    main(throughput, lateness)
