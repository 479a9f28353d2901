"""What an instance costs that has a thousand jobs and nothing to do: processor time, and statements a second.

The instance is a process of its own and counts what it asks SQLite; PostgreSQL is asked what it was asked, by
its log. Told apart: statements that read or write tables, which is the row's figure; what begins and ends
transactions, and the signs of life of a session's own (`SELECT 1` every three seconds on each of the three
sessions that hold a lock or listen).

    PYTHONPATH=. python -m bench.idle [--seconds 60] [--database sqlite]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from bench.figures import Bar, Figure, Scale, Spread
from bench.places import Places, opened, places
from cronledger import Scheduler
from tests.performance.statements import CONTROL, KEEP_ALIVE, LOGGING, heard_by_sqlite, logged_by
from tests.postgres import own_server

JOBS = 1000
SETTLED_SECONDS = 3.0
PER_CENT, STATEMENTS = Bar(0.3), Bar(1.0)
Ask = Callable[[], object]
CODE = "from cronledger import job\n\n\n@job(extension='bench')\nasync def nothing():\n    pass\n"


def _nothing() -> None:
    pass


def figures(places: Places, scale: Scale) -> Iterator[Figure]:
    """Yield the lines of row 10."""
    seconds = scale.of(0.5, 12.0, 60.0)
    with ThreadPoolExecutor(scale.of(2, 2, 1)) as pool:
        found = pool.map(lambda database: measured(places, database, seconds), places.databases)
        for database, each in zip(places.databases, found, strict=True):
            yield from _rows(database, each)


def _rows(database: str, found: dict[str, float]) -> Iterator[Figure]:
    for key, measure, unit, bar in (
        ("processor", "processor time", "% of a core", PER_CENT),
        ("statements", "statements", "1/s", STATEMENTS),
    ):
        yield Figure(
            row=10,
            measure=f"{database}: {measure}, idle",
            unit=unit,
            ours=Spread.of([found[key]]),
            bar=bar,
            n=JOBS,
            details={name: each for name, each in found.items() if name != key},
        )


def measured(places: Places, database: str, seconds: float) -> dict[str, float]:
    """Let an instance idle on a fresh ledger; return what it used a second."""
    folder = places.subfolder()
    if database == "sqlite":
        with places.ledger(database) as url:
            return _idle(folder, url, seconds)
    server = own_server(lambda url: opened(url, at_head=True).close(), **LOGGING)
    try:
        url = server.make_database()
        logged = logged_by(server, url)
        found = _idle(folder, url, seconds, begin=logged.forget, end=logged.read)
        return found | _told(logged.all, len(logged.statements), seconds)
    finally:
        server.end()


def _idle(
    folder: Path, url: str, seconds: float, *, begin: Ask = _nothing, end: Ask = _nothing
) -> dict[str, float]:
    """Run the instance; `begin` and `end` are called when it says that it begins and has ended to count."""
    config = folder / "config.yaml"
    entries = (
        f'  - {{name: idle_{number}, extension: bench, job: nothing, schedule: "0 0 0 1 1 *"}}\n'
        for number in range(JOBS)
    )
    config.write_text("scheduler:\n jobs:\n" + "".join(entries))
    (folder / "bench_nothing.py").write_text(CODE)
    command = [
        sys.executable,
        "-m",
        "bench.idle",
        "--idle",
        url,
        "--config",
        str(config),
        "--seconds",
        str(seconds),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "settled\n"
        begin()
        found: dict[str, float] = msgspec.json.decode(process.stdout.readline())
        end()
        process.stdin.close()
    return found


async def idle(url: str, config: Path, seconds: float) -> dict[str, float]:
    """Be an instance, and count."""
    sys.path.insert(0, str(config.parent))
    with heard_by_sqlite() as heard:
        scheduler = Scheduler(database_url=url, config=config, app=["bench_nothing"])
        async with scheduler.running(migrate=False):
            await anyio.sleep(SETTLED_SECONDS)
            print("settled", flush=True)
            heard.forget()
            before, began = time.process_time(), time.perf_counter()
            await anyio.sleep(seconds)
            lasted = time.perf_counter() - began
            used = time.process_time() - before
            told = _told(list(heard.all), len(heard.statements), lasted)
            print(json.dumps(told | {"processor": used / lasted * 100, "threads": threading.active_count()}))
            sys.stdout.flush()
            await anyio.to_thread.run_sync(sys.stdin.readline)  # whoever counts elsewhere has done so
    return told


def _told(everything: list[str], statements: int, seconds: float) -> dict[str, float]:
    return {
        "statements": statements / seconds,
        "transaction_control": sum(each.startswith(CONTROL) for each in everything) / seconds,
        "keep_alives": everything.count(KEEP_ALIVE) / seconds,
    }


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scale", choices=list(Scale), default=Scale.QUICK, type=Scale)
    options.add_argument("--database", choices=["sqlite", "postgres"], action="append")
    options.add_argument("--seconds", type=float, default=20.0, help=argparse.SUPPRESS)
    options.add_argument("--idle", help=argparse.SUPPRESS)
    options.add_argument("--config", help=argparse.SUPPRESS, type=Path)
    asked: Any = options.parse_args()
    if asked.idle:
        anyio.run(idle, asked.idle, asked.config, asked.seconds)
        return
    with places(tuple(asked.database or ("sqlite", "postgres"))) as where:
        for figure in figures(where, asked.scale):
            print(
                f"{figure.row:3} {figure.measure:32} {figure.ours} {figure.unit} {figure.details}", flush=True
            )


if __name__ == "__main__":
    main()
