"""An instance of its own process, for the benchmarks: no-op jobs, and what their first lines have seen.

    python -m bench.instance URL CONFIG

Answers each line on its standard input with one line of JSON: `cpu` with the seconds of processor time used
so far, `starts` with the milliseconds of lateness of every start since it was last asked. Ends at the end of
its input.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cronledger import JobContext, Scheduler, job

JOBS_A_FILE = 2000
_starts: list[tuple[float, float]] = []


@job(extension="bench")
async def nothing(ctx: JobContext) -> None:
    """Do nothing but look at the clock: what is left is the scheduler."""
    assert ctx.run.fire_at is not None
    _starts.append((time.time(), ctx.run.fire_at.timestamp()))


def config_for(folder: Path, jobs: int, schedule: str) -> Path:
    """Write a configuration of so many no-op jobs, in files of a size that is read."""
    names = []
    for start in range(0, jobs, JOBS_A_FILE):
        path = folder / f"jobs-{start}.yaml"
        numbers = range(start, min(start + JOBS_A_FILE, jobs))
        entries = [
            f" - {{name: nothing_{n}, extension: bench, job: nothing, schedule: '{schedule}'}}\n"
            for n in numbers
        ]
        path.write_text("scheduler:\n jobs:\n" + "".join(entries))
        names.append(path.name)
    config = folder / "config.yaml"
    config.write_text(f"includes: [{', '.join(names)}]\nscheduler:\n  max_runs: {max(jobs, 32)}\n")
    return config


class Process:
    """An instance as its parent sees it."""

    def __init__(self, url: str, config: Path) -> None:
        command = [sys.executable, "-m", "bench.instance", url, str(config)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, word: str) -> Any:
        """Ask for `cpu` or `starts`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """Let it drain and end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


@contextmanager
def instances(url: str, config: Path, count: int = 1) -> Iterator[list[Process]]:
    """Give so many instances, and end them afterwards."""
    processes = [Process(url, config) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.end()


def _answer(word: str) -> Any:
    if word == "cpu":
        return time.process_time()
    seen, _starts[:] = _starts[:], []
    return [(at - fire_at) * 1000 for at, fire_at in seen]


async def _main(url: str, config: Path) -> None:
    scheduler = Scheduler(database_url=url, config=config, jobs=[nothing])
    async with scheduler.running(migrate=False):
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(_answer(line.strip())), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2])))
