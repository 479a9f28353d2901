"""A million fires of the real engine on a real ledger, in virtual time: does it keep anything?

Five hundred jobs fire every second; the engine plans, claims, performs and records them, and folds the views,
on a SQLite ledger. Only time is not real: nobody waits for the next second. What the process holds is looked
at all along; once it has warmed up, over the first fifth, it must not grow any more.

    PYTHONPATH=. python -m bench.soak [--fires 1000000]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import anyio

from bench.cron import megabytes
from bench.figures import Bar, Figure, Scale, Spread
from bench.places import INSTANCE, Places, places
from cronledger import job
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, RunId
from cronledger.domain.line import Line
from cronledger.domain.overlap import Overlap
from cronledger.domain.progress import Progress
from cronledger.engine.definitions import Configuration
from cronledger.engine.executor import Provision
from cronledger.engine.loop import Engine
from cronledger.engine.plan import Plan
from cronledger.engine.world import Notes
from cronledger.entropy import SeededEntropy
from cronledger.ledger.api import Answer, Item, Prepared
from cronledger.ledger.database import open_store
from cronledger.projections import fold
from cronledger.world import ProcessWorld
from tests.simulation.loop import elapsed, run

T = TypeVar("T")
JOBS = 500
FLAT = Bar(4.0)
START = datetime(2026, 1, 1, tzinfo=UTC)
SAMPLES = 20


@job
async def nothing() -> None:
    """Do nothing."""


def figures(places: Places, scale: Scale) -> Iterator[Figure]:
    """Yield the line of the soak."""
    fires = scale.of(1_000, 10_000, 1_000_000)
    found = soak(places, fires)
    held: list[float] = found["megabytes"]
    warm = held[SAMPLES // 5 :]
    grown = Spread.of([max(warm) - warm[0]])
    yield Figure(
        row=21, measure="growth of a warm process", unit="MB", ours=grown, bar=FLAT, n=fires, details=found
    )


def soak(places: Places, fires: int) -> dict[str, Any]:
    """Let so many fire times come; return what the process held meanwhile, and how fast it was."""
    with places.ledger("sqlite") as url:
        return run(_soak, url, fires)


async def _soak(url: str, fires: int) -> dict[str, Any]:
    clock = VirtualClock()
    store = open_store(url, instance=INSTANCE, clock=clock, entropy=SeededEntropy(1))
    world = VirtualWorld(store, instance=INSTANCE, clock=clock, build="bench")
    definitions = [
        JobDefinition(name=JobName(f"nothing_{number}"), schedule="* * * * * *", overlap=Overlap.ALLOW)
        for number in range(JOBS)
    ]
    provision = Provision(find=lambda _extension, _name: nothing)
    engine = Engine(world, Configuration(definitions, "000000000000"), provision, Plan(max_runs=2 * JOBS))
    held = []
    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.run)
        for _ in range(SAMPLES):
            await anyio.sleep(fires / JOBS / SAMPLES)
            gc.collect()
            held.append(round(megabytes(), 2))
        took = time.perf_counter() - began
        engine.stop()
    triggered = sum(state.triggered for state in engine.board.jobs.values())
    left = sum(len(state.in_flight) for state in engine.board.jobs.values())
    events = store.ledger.head().position
    lag = max(fold.lag(store).values())
    world.close()
    store.close()
    assert triggered >= fires - JOBS, f"of {fires} fire times only {triggered} were triggered"
    assert (left, lag) == (0, 0), f"{left} runs have not ended, the views are {lag} events behind"
    return {"megabytes": held, "fires": triggered, "events": events, "fires_per_second": triggered / took}


class VirtualClock:
    """The loop's own time, on all three clocks."""

    def now(self) -> datetime:
        """Return the instant in UTC."""
        return START + timedelta(seconds=elapsed())

    def monotonic(self) -> float:
        """Return the seconds since the beginning."""
        return elapsed()

    def boottime(self) -> float:
        """Return the seconds since the beginning."""
        return elapsed()


class VirtualWorld(ProcessWorld):
    """The world of a process, but for its threads: what it asks is answered at once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.notes.close()
        self.notes: Notes = Silence()
        self.leader_lock: Any = Alone()
        self._asked: list[tuple[Sequence[Item | Prepared], asyncio.Future[list[Answer]]]] = []

    def submit(self, items: Sequence[Item | Prepared]) -> asyncio.Future[list[Answer]]:
        """Append each item or have it refused; what is asked in one turn of the loop is appended together."""
        loop = asyncio.get_running_loop()
        answers: asyncio.Future[list[Answer]] = loop.create_future()
        if not self._asked:
            loop.call_soon(self._append)
        self._asked.append((items, answers))
        return answers

    def _append(self) -> None:
        asked, self._asked = self._asked, []
        items = [each for some, _ in asked for each in some]
        prepared = [each if isinstance(each, Prepared) else self.prepare(each) for each in items]
        given = iter(self.store.ledger.submit(prepared))
        for some, answers in asked:
            answers.set_result([next(given) for _ in some])

    async def read(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function."""
        return function(*args)

    async def release_lock(self) -> None:
        """Nobody else wants it."""


class Silence:
    """Keeps no log lines and no progress."""

    def say(self, line: Line) -> None:
        """Forget a line."""

    def report(self, report: Progress) -> None:
        """Forget how far a run is."""

    def end(self, run_id: RunId, attempt: int) -> None:
        """Forget that an attempt is over."""

    def close(self) -> None:
        """There is nothing to close."""


class Alone:
    """A lock that nobody else wants."""

    session = None
    held = False

    def contend(self, on_change: Callable[[], None]) -> None:
        """Hold it."""
        self.held = True
        on_change()


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--fires", type=int, default=1_000_000)
    asked = options.parse_args()
    with places(("sqlite",)) as where:
        found = soak(where, asked.fires)
    print(f"{found['fires']} fires, {found['fires_per_second']:.0f} a second, {found['events']} events")
    print("MB:", *found["megabytes"])


if __name__ == "__main__":
    main()
