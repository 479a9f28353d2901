"""Procrastinate: a batch of deferred jobs, and periodic tasks of one second."""

from __future__ import annotations

import asyncio

from procrastinate import App, PsycopgConnector

from .told import Answer, Asked, Runs, Starts, main


async def throughput(asked: Asked) -> Answer:
    """Defer the batch, then let one process work until nothing is left: each job ends in the database."""
    app = App(connector=PsycopgConnector(conninfo=asked.url))

    @app.task(name="nothing")
    async def nothing() -> None:
        runs.add()

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        runs = Runs(asked.jobs)
        await nothing.batch_defer_async(*[{}] * asked.jobs)
        runs.enqueued()
        await app.run_worker_async(wait=False, concurrency=asked.number("concurrency"))
        await runs.all_ended()
        return runs.answer()


async def lateness(asked: Asked) -> Answer:
    """Register the periodic tasks; the sixth field of its cron expressions is the second."""
    app = App(connector=PsycopgConnector(conninfo=asked.url))
    starts = Starts(asked.jobs, asked.seconds)

    @app.task(name="tick")
    async def tick(timestamp: int, number: int) -> None:
        starts.add(number, timestamp)

    for number in range(asked.jobs):
        app.periodic(cron="* * * * * *", periodic_id=str(number), task_kwargs={"number": number})(tick)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        working = asyncio.create_task(app.run_worker_async(concurrency=asked.number("concurrency")))
        answer = await starts.window()
        working.cancel()
        return answer


if __name__ == "__main__":
    main(throughput, lateness)
