"""An instance in a process of its own: `cronledger up` with no-op jobs that remember when they began.

The jobs live here, and so does a thread that answers the benchmark: each line on the standard input is
answered with one line of JSON. `cpu`: the seconds of processor time used so far. `starts`: for each fire
time, the milliseconds that every start was late, since it was last asked. At the end of the input the
instance is told to stop.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cronledger import JobContext, job

JOBS_A_FILE = 2000
ANSWERS = "CRONLEDGER_BENCH_ANSWERS"
_late: dict[float, list[float]] = defaultdict(list)


@job(extension="bench")
async def nothing(ctx: JobContext) -> None:
    """Do nothing but look at the clock: what is left is the scheduler."""
    assert ctx.run.fire_at is not None
    due = ctx.run.fire_at.timestamp()
    _late[due].append((time.time() - due) * 1000)


def config_for(folder: Path, jobs: int, schedule: str) -> Path:
    """Write a configuration of so many no-op jobs, in files of a size that is read."""
    names = []
    for start in range(0, jobs, JOBS_A_FILE):
        path = folder / f"jobs-{start}.yaml"
        entries = [
            f" - {{name: nothing_{n}, extension: bench, job: nothing, schedule: '{schedule}'}}\n"
            for n in range(start, min(start + JOBS_A_FILE, jobs))
        ]
        path.write_text("scheduler:\n jobs:\n" + "".join(entries))
        names.append(path.name)
    config = folder / "config.yaml"
    config.write_text(f"includes: [{', '.join(names)}]\nscheduler:\n  max_runs: {max(jobs, 32)}\n")
    return config


class Process:
    """An instance as its parent sees it."""

    def __init__(self, url: str, config: Path) -> None:
        environment = os.environ | {
            "CRONLEDGER_DATABASE_URL": url,
            "CRONLEDGER_CONFIG": str(config),
            "CRONLEDGER_APP": "bench.instance",
            ANSWERS: "1",
        }
        command = [sys.executable, "-m", "cronledger", "--log-level", "warning", "up"]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def cpu(self) -> float:
        """Return the seconds of processor time used so far."""
        return float(self._ask("cpu"))

    def starts(self) -> dict[float, list[float]]:
        """Return how late every start was, in milliseconds, by fire time; since the last question."""
        return {float(due): late for due, late in self._ask("starts").items()}

    def end(self) -> None:
        """Let it drain and end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _ask(self, word: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def instances(url: str, config: Path, count: int = 1) -> Iterator[list[Process]]:
    """Give so many instances, and end them afterwards."""
    processes = [Process(url, config) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.end()


def _answer() -> None:
    for line in sys.stdin:
        if line.strip() == "cpu":
            told: Any = time.process_time()
        else:
            told = {due: _late.pop(due) for due in list(_late)}
        print(json.dumps(told), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)


if os.environ.get(ANSWERS):
    threading.Thread(target=_answer, daemon=True).start()
