"""A hundred thousand jobs: registering them, loading them, and looking at none of them.

Whoever has so many writes a program that writes the files: each entry names the same code with a schedule and
parameters of its own, a thousand or so in a file, and `includes` names the files. The leader makes events of
the definitions, once; every instance that starts later loads them from the ledger. This is the row's figure:
what an instance needs from the ledger's answer to the first plan, and what it has grown by then, in a process
of its own. Reading and checking the files is told beside it.

    PYTHONPATH=. python -m bench.registration [--jobs 100000] [--database sqlite]
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import msgspec

from bench.cron import jobs as schedules
from bench.cron import megabytes
from bench.figures import Bar, Figure, Scale, Spread
from bench.places import INSTANCE, Places, opened, places
from cronledger import Scheduler
from cronledger.clock import SystemClock
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, Term
from cronledger.engine.board import Board
from cronledger.engine.definitions import Configuration
from cronledger.engine.planner import Planner
from cronledger.ledger.database import Store
from cronledger.projections import fold
from cronledger.world import ProcessWorld
from tests.events import election
from tests.performance.test_round_trips import cluster_of
from tests.simulation.loop import run as in_virtual_time

ENTRIES_A_FILE = 1250
LOADS = 3
WAKE_UPS = 2000
SECONDS, MEGABYTES = Bar(4.0), Bar(80.0)
CODE = "from cronledger import job\n\n\n@job(extension='bench')\nasync def nothing():\n    pass\n"


def figures(places: Places, scale: Scale) -> Iterator[Figure]:
    """Yield the lines of rows 8 and 9."""
    for count in scale.of((500,), (10_000,), (10_000, 100_000)):
        for database in places.databases:
            yield from _known(places, database, count, scale.of(1, LOADS, LOADS))
        yield from _files(places.subfolder(), count)
    for count in scale.of((10,), (1_000, 10_000), (1_000, 10_000, 100_000)):
        takes = [wake_up(count, scale.of(100, WAKE_UPS, WAKE_UPS)) * 1000 for _ in range(scale.pairs)]
        yield Figure(
            row=9,
            measure="a wake-up with nothing due",
            unit="ms",
            ours=Spread.of(takes),
            bar=Bar(0.1),
            n=count,
        )


def _known(places: Places, database: str, count: int, takes: int) -> Iterator[Figure]:
    with places.ledger(database) as url:
        yield Figure(
            row=8,
            measure=f"{database}: register jobs",
            unit="s",
            ours=Spread.of([register(url, count)]),
            n=count,
        )
        loads = [_apart("--load", url, count) for _ in range(takes)]
        for key, unit, bar in (("seconds", "s", SECONDS), ("megabytes", "MB", MEGABYTES)):
            ours = Spread.of(each[key] for each in loads)
            yield Figure(
                row=8, measure=f"{database}: load and plan jobs", unit=unit, ours=ours, bar=bar, n=count
            )


def _files(folder: Path, count: int) -> Iterator[Figure]:
    config = written(folder, count)
    found = _apart("--read", str(config), count)
    for key, unit in (("seconds", "s"), ("megabytes", "MB")):
        yield Figure(
            row=8, measure="read and check the files", unit=unit, ours=Spread.of([found[key]]), n=count
        )


# --- the ledger -----------------------------------------------------------------------------------------


def definitions(count: int) -> list[JobDefinition]:
    """Return jobs with the schedules that people have."""
    return [
        JobDefinition(
            name=JobName(f"job_{number}"), extension="bench", job="nothing", schedule=text, timezone=zone
        )
        for number, (text, zone) in enumerate(schedules(count))
    ]


def register(url: str, count: int) -> float:
    """Make jobs known to a fresh ledger as the leader does; return the seconds until the views have them."""
    many = definitions(count)
    store = opened(url)
    try:
        store.ledger.submit([store.ledger.prepare(election(fence=0, expected=0, leader=INSTANCE))])
        began = time.perf_counter()
        anyio.run(_apply, store, Configuration(many, "000000000000"))
        fold.catch_up(store)
        return time.perf_counter() - began
    finally:
        store.close()


async def _apply(store: Store, configuration: Configuration) -> None:
    world, board = _world(store), Board()
    is_done = False
    while not is_done:
        is_done = await configuration.apply(world, board, Term(1))
    world.close()


def load(url: str) -> dict[str, float]:
    """Load the jobs of a ledger and find each next fire time, as an instance does that begins to lead."""
    store = opened(url)
    found = anyio.run(_load, store)
    store.close()
    return found


async def _load(store: Store) -> dict[str, float]:
    world, board = _world(store), Board()
    planner = Planner(world, board)
    await world.learn_clock()
    gc.collect()
    before, began = megabytes(), time.perf_counter()
    board.load(await world.load())
    planner.begin()
    # Nothing is due so long ago: what is left is to learn when something will be.
    await planner.tick(
        datetime(1970, 1, 2, tzinfo=UTC), Term(1), may_claim=lambda *_: False, claimed=lambda *_: None
    )
    took = time.perf_counter() - began
    gc.collect()
    assert planner.next_due() is not None
    found = {"seconds": took, "megabytes": megabytes() - before, "jobs": len(board.jobs)}
    world.close()
    return found


def _world(store: Store) -> ProcessWorld:
    return ProcessWorld(store, instance=INSTANCE, clock=SystemClock(), build="bench")


# --- the files ------------------------------------------------------------------------------------------


def written(folder: Path, count: int) -> Path:
    """Write the configuration of so many jobs into files; return the one that includes the others."""
    entries = [
        f'    - {{name: {each.name}, extension: bench, job: nothing, schedule: "{each.schedule}", '
        f"timezone: {each.timezone}}}\n"
        for each in definitions(count)
    ]
    names = [f"jobs-{start // ENTRIES_A_FILE:03}.yaml" for start in range(0, count, ENTRIES_A_FILE)]
    for number, name in enumerate(names):
        part = entries[number * ENTRIES_A_FILE : (number + 1) * ENTRIES_A_FILE]
        (folder / name).write_text("scheduler:\n  jobs:\n" + "".join(part))
    config = folder / "config.yaml"
    config.write_text("includes:\n" + "".join(f"  - {name}\n" for name in names))
    (folder / "bench_nothing.py").write_text(CODE)
    return config


def read(config: Path) -> dict[str, float]:
    """Read and check a configuration, as every instance does that starts."""
    sys.path.insert(0, str(config.parent))
    scheduler = Scheduler(database_url="memory://bench", config=config, app=["bench_nothing"])
    gc.collect()
    before, began = megabytes(), time.perf_counter()
    count = len(scheduler.resolution.definitions)
    took = time.perf_counter() - began
    gc.collect()
    return {"seconds": took, "megabytes": megabytes() - before, "jobs": count}


def _apart(option: str, what: str, count: int) -> dict[str, float]:
    """Do it in a fresh process, so that nobody has paid for anything before."""
    command = [sys.executable, "-m", "bench.registration", option, what]
    done = subprocess.run(command, check=True, capture_output=True)
    found: dict[str, float] = msgspec.json.decode(done.stdout)
    assert count == found["jobs"], found
    return found


# --- nothing due ----------------------------------------------------------------------------------------


def wake_up(count: int, times: int) -> float:
    """Return the seconds that a leader of many jobs needs to be woken and find that nothing is due.

    In virtual time and on a ledger in memory: what is measured is the engine's whole pass, and the loop's.
    """
    cluster = cluster_of("0 0 0 1 1 *", jobs=count)
    took = 0.0

    async def woken() -> None:
        nonlocal took
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.instance)
            await anyio.sleep(60)
            (engine,), (world,) = cluster.engines, cluster.worlds
            looked, before = world.asked.total(), time.process_time()
            for _ in range(times):
                engine.wake()
                await anyio.sleep(0.001)
            took = time.process_time() - before
            assert world.asked.total() - looked >= times, "an instance that was woken did not look"
            cluster.stop(world)

    in_virtual_time(woken)
    return took / times


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scale", choices=list(Scale), default=Scale.QUICK, type=Scale)
    options.add_argument("--database", choices=["sqlite", "postgres"], action="append")
    options.add_argument("--load", help=argparse.SUPPRESS)
    options.add_argument("--read", help=argparse.SUPPRESS, type=Path)
    asked: Any = options.parse_args()
    if asked.load or asked.read:
        print(json.dumps(load(asked.load) if asked.load else read(asked.read)))
        return
    with places(tuple(asked.database or ("sqlite", "postgres"))) as where:
        for figure in figures(where, asked.scale):
            print(
                f"{figure.row:3} {figure.measure:32} n={figure.n:<7} {figure.ours} {figure.unit}", flush=True
            )


if __name__ == "__main__":
    main()
