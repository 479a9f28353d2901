"""What an adapter is asked, how it counts, and the one line of JSON that it answers with."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

GRACE_SECONDS = 3.0
"""How long after the last due second a start still counts."""


@dataclass(frozen=True)
class Asked:
    """A piece of work: so many jobs on a database, for so many due seconds."""

    url: str
    jobs: int
    seconds: int
    options: dict[str, str]

    def number(self, option: str) -> int:
        """Return an option that is a number."""
        return int(self.options[option])

    def url_for(self, driver: str) -> str:
        """Return the URL as SQLAlchemy wants it for a driver of PostgreSQL."""
        return self.url.replace("postgresql://", f"postgresql+{driver}://")


Answer = dict[str, Any]
Work = Callable[[Asked], Coroutine[Any, Any, Answer]]
Run = Callable[[Coroutine[Any, Any, Answer]], Answer]


class Runs:
    """Counts no-op runs, from any thread, and takes the time from before the first enqueueing."""

    def __init__(self, goal: int) -> None:
        self.goal = goal
        self._ended: list[None] = []
        self._began = time.perf_counter()
        self._enqueued = self._began
        self._cpu = time.process_time()

    def add(self) -> None:
        """Count one: its body has been run."""
        self._ended.append(None)

    def enqueued(self) -> None:
        """Say that all have been enqueued, durably if the peer does so at all."""
        self._enqueued = time.perf_counter()

    async def all_ended(self, recorded: Callable[[], Awaitable[int]] | None = None) -> None:
        """Wait until all bodies have been run and, asked only then, the peer has recorded as many ends.

        It looks from time to time, because being woken by each job would be a cost that is not the peer's.
        """
        while len(self._ended) < self.goal:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        while recorded is not None and await recorded() < self.goal:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    def answer(self) -> Answer:
        """Return what was measured: to be called at once when all have ended."""
        now = time.perf_counter()
        return {
            "work": "throughput",
            "jobs": self.goal,
            "enqueue_seconds": self._enqueued - self._began,
            "drain_seconds": now - self._enqueued,
            "cpu_seconds": time.process_time() - self._cpu,
        }


class Starts:
    """Notes when each job starts, and judges a window of due seconds that is opened when all is set up."""

    def __init__(self, jobs: int, seconds: int) -> None:
        self._jobs = jobs
        self._seconds = seconds
        self._noted: list[tuple[str, float, float]] = []

    def add(self, job: object, due: float, *, at: float | None = None) -> None:
        """Note that the body of a job that was due then starts now, or started at another time."""
        self._noted.append((str(job), due, time.time() if at is None else at))

    async def window(self, *, opens_at: float | None = None) -> Answer:
        """Let the window pass, from the next whole second but one on, and return what was started in it."""
        first = opens_at or math.ceil(time.time()) + 1
        await asyncio.sleep(first - 0.5 - time.time())
        cpu = time.process_time()
        await asyncio.sleep(first + self._seconds + GRACE_SECONDS - time.time())
        return self._judged(range(int(first), int(first) + self._seconds), time.process_time() - cpu)

    def _judged(self, window: range, cpu_seconds: float) -> Answer:
        late: dict[tuple[str, int], float] = {}
        doubled = 0
        for job, due, at in self._noted:
            if round(due) in window:
                doubled += (job, round(due)) in late
                late.setdefault((job, round(due)), (at - due) * 1000)
        return {
            "work": "lateness",
            "jobs": self._jobs,
            "due": self._jobs * self._seconds,
            "late_ms": sorted(round(each, 2) for each in late.values()),
            "doubled": doubled,
            "cpu_seconds": cpu_seconds,
        }


def main(throughput: Work, lateness: Work, run: Run = asyncio.run) -> None:
    """Do what the command line asks for and print the answer."""
    options = argparse.ArgumentParser()
    options.add_argument("work", choices=("throughput", "lateness"))
    options.add_argument("--url", required=True)
    options.add_argument("--jobs", type=int, required=True)
    options.add_argument("--seconds", type=int, default=1)
    options.add_argument("--option", action="append", default=[], metavar="NAME=VALUE")
    chosen = options.parse_args()
    named = dict(each.split("=", 1) for each in chosen.option)
    work = throughput if chosen.work == "throughput" else lateness
    answer = run(work(Asked(chosen.url, chosen.jobs, chosen.seconds, named)))
    print(json.dumps(answer), flush=True)
    os._exit(0)  # an ended measure need not wait for a peer's threads
