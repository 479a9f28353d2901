"""Ourselves, asked for the same work: a burst of jobs that are due in one second, and jobs of every second.

The trigger of a fire is its enqueueing, so the time runs from the due second to the last recorded success.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.places import opened
from cronledger import JobContext, Scheduler, job

from .told import Answer, Asked, Runs, Starts, main

EVENTS = 3
"""What the ledger says of a run: triggered, started, succeeded."""

_runs = Runs(0)
_starts = Starts(0, 0)


@job(extension="peers")
async def nothing() -> None:
    """Count, and do nothing."""
    _runs.add()


@job(extension="peers")
async def tick(ctx: JobContext) -> None:
    """Note the start."""
    assert ctx.run.fire_at is not None
    _starts.add(ctx.run.job, ctx.run.fire_at.timestamp())


async def throughput(asked: Asked) -> Answer:
    """Let all jobs be due in one second, which comes once the instance is ready."""
    global _runs  # noqa: PLW0603 - the job stands above, as it would in a user's module
    due = math.ceil(time.time()) + 3 + asked.jobs // 400
    schedule = datetime.fromtimestamp(due, UTC).strftime("%-S %-M %-H * * *")
    async with _instance(asked, "nothing", schedule):
        assert time.time() < due, "the instance was not ready before the due second"
        ledger = opened(asked.url).ledger
        before = ledger.head().position

        async def recorded() -> int:
            return (ledger.head().position - before) // EVENTS

        await asyncio.sleep(due - time.time())
        _runs = Runs(asked.jobs)
        _runs.enqueued()
        await _runs.all_ended(recorded)
        return _runs.answer()


async def lateness(asked: Asked) -> Answer:
    """Let the jobs be due each second."""
    global _starts  # noqa: PLW0603
    _starts = Starts(asked.jobs, asked.seconds)
    async with _instance(asked, "tick", "* * * * * *"):
        return await _starts.window()


@asynccontextmanager
async def _instance(asked: Asked, code: str, schedule: str) -> AsyncIterator[None]:
    entry = "  - {{name: {0}_{1}, extension: peers, job: {0}, schedule: '{2}'}}\n"
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"jobs_{first}.yaml" for first in range(0, asked.jobs, 2000)]
        for number, path in enumerate(files):
            names = range(number * 2000, min(asked.jobs, number * 2000 + 2000))
            path.write_text("scheduler:\n jobs:\n" + "".join(entry.format(code, n, schedule) for n in names))
        config = Path(folder) / "config.yaml"
        config.write_text(
            f"includes: {[path.name for path in files]}\nscheduler: {{max_runs: {asked.jobs}}}\n"
        )
        scheduler = Scheduler(database_url=asked.url, config=config, jobs=[nothing, tick])
        async with scheduler.running(migrate=True):
            yield


if __name__ == "__main__":
    main(throughput, lateness)
