"""For tests of jobs and schedules: a clock that is set by hand, a ledger in memory, one job performed.

>>> from cronledger import JobResult, job
>>> @job
... def count() -> JobResult:
...     return JobResult.success().with_stats(3, 0)
>>> import asyncio
>>> asyncio.run(perform(count)).items_processed
3
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from cronledger.domain.run import RunState
from cronledger.entropy import SeededEntropy, SystemEntropy
from cronledger.jobs.api import Job, member
from cronledger.ledger.memory import MemoryLedger
from cronledger.scheduler import Scheduler

__all__ = ["ManualClock", "MemoryLedger", "SeededEntropy", "perform"]


class ManualClock:
    """A clock that stands still until it is moved; all three of its readings move together."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._elapsed = 0.0

    def now(self) -> datetime:
        """Return the instant the clock was moved to."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds by which the clock was advanced."""
        return self._elapsed

    def boottime(self) -> float:
        """Return the seconds by which the clock was advanced."""
        return self._elapsed

    def advance(self, seconds: float) -> datetime:
        """Let time pass."""
        self._elapsed += seconds
        self._now += timedelta(seconds=seconds)
        return self._now

    def step(self, seconds: float) -> datetime:
        """Move only the wall clock, as an administrator or a time server does."""
        self._now += timedelta(seconds=seconds)
        return self._now


async def perform(
    job: Job,
    *,
    params: Mapping[str, str] | None = None,
    db: Any = None,
    services: Sequence[object] = (),
) -> RunState:
    """Perform a job once on a ledger in memory and return the run with its outcome, counts and error."""
    url = f"memory://perform-{SystemEntropy().token().hex()}"
    scheduler = Scheduler(database_url=url, jobs=[job], db=db, services=services)
    (run,) = await scheduler.run_manually(
        [str(member(job, "name"))], parameters=params, actor="test", local=True
    )
    return run
