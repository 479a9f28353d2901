"""How late jobs start that are due in the same second, from the fire time to the first line of their code.

Bursts of up to 5,000 jobs, then 5,000 jobs due in each of ten seconds; no fire time may be missed, and none
may run twice. The floor makes the triggers and starts of as many runs durable by the driver alone, `BATCH`
runs a commit: before that no code may begin. Besides, what an instance costs that fires 1,000 jobs a second.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from bench import floor
from bench.figures import Bar, Figure, Scale, Spread, percentile
from bench.instance import Process, config_for, instances
from bench.places import Places, opened
from bench.throughput import (
    BATCH,
    next_due,
    period_of,
    succeeded_at,
    wait_until_quiet,
    wait_until_registered,
)
from cronledger.ledger.database import Store

SECONDS = 10


def figures(places: Places, scale: Scale) -> Iterator[Figure]:
    """Measure every database."""
    for database in places.databases:
        for jobs in scale.of((20,), (1000,), (100, 1000, 5000)):
            yield _bursts(places, database, jobs, scale)
        yield from _each_second(places, database, scale.of(20, 1000, 1000), scale)
        if scale is Scale.FULL:
            yield from _each_second(places, database, 5000, scale)


def _bursts(places: Places, database: str, jobs: int, scale: Scale) -> Figure:
    """Let jobs be due in the same second, several times, with a floor after each."""
    period = period_of(scale)
    config = config_for(places.subfolder(), jobs, f"*/{period} * * * * *")
    ours, raw = [], []
    with places.ledger(database) as url, places.ledger(database) as other:
        store = opened(url)
        with instances(url, config) as (process,):
            wait_until_registered(store, jobs)
            for number in range(scale.pairs):
                due = next_due(period)
                time.sleep(due - time.time() + period / 2)
                ours.append(percentile(_starts(process, store, due, jobs), 99))
                raw.append(1000 * percentile(floor.starts_of(other, jobs, BATCH, after=number * jobs), 99))
        store.close()
    return Figure(
        row=5,
        measure=f"start of jobs due in one second, p99, {database}",
        unit="ms",
        ours=Spread.of(ours),
        floor=Spread.of(raw),
        ratio=Spread.of(mine / one for mine, one in zip(ours, raw, strict=True)),
        bar=Bar(2.5, of_floor=True) if jobs == 1000 else None,
        n=jobs,
    )


def _each_second(places: Places, database: str, jobs: int, scale: Scale) -> Iterator[Figure]:
    """Let jobs be due in each of ten seconds, and in no others."""
    seconds = scale.of(2, SECONDS // 2, SECONDS)
    ahead = scale.of(10, 4, 4)  # registered by then, beside other tests as well
    first = _first_of(seconds, time.time() + ahead + jobs / 500)
    at = datetime.fromtimestamp(first, UTC)
    window = f"{at.second}-{at.second + seconds - 1} {at.minute} * * * *"
    config = config_for(places.subfolder(), jobs, window)
    with places.ledger(database) as url, places.ledger(database) as other:
        store = opened(url)
        with instances(url, config) as (process,):
            wait_until_registered(store, jobs)
            assert time.time() < first, "the jobs are due before they are registered"
            time.sleep(first - time.time() - 0.1)
            used = process.cpu()
            time.sleep(first - time.time() + seconds - 0.1)
            used = (process.cpu() - used) / seconds
            wait_until_quiet(store)
            all_starts = process.starts()
            succeeded = [succeeded_at(store, first + number) for number in range(seconds)]
            assert succeeded == [len(all_starts.get(first + number, [])) for number in range(seconds)]
            ours = [percentile(all_starts[first + number], 99) for number in range(seconds)]
            raw = [
                1000 * percentile(floor.starts_of(other, jobs, BATCH, after=number * jobs), 99)
                for number in range(scale.pairs)
            ]
        store.close()
    floors = Spread.of(raw)
    yield Figure(
        row=6,
        measure=f"the same in each of {seconds} seconds, {database}",
        unit="ms",
        ours=Spread.of(ours),
        floor=floors,
        ratio=Spread.of(one / floors.median for one in ours),
        bar=Bar(3, of_floor=True) if jobs == 5000 else None,
        n=jobs,
    )
    yield Figure(
        row=6,
        measure=f"fire times without a run, {database}",
        unit="",
        ours=Spread.of([jobs * seconds - sum(succeeded)]),
        bar=Bar(0),
        n=jobs,
    )
    if jobs < 5000:
        yield Figure(
            row=7,
            measure=f"processor time at {jobs:,} fires a second, {database}",
            unit="% of a core",
            ours=Spread.of([100 * used]),
            bar=Bar(12),
        )


def _first_of(seconds: int, earliest: float) -> int:
    """Return an instant after which so many whole seconds lie in one minute."""
    first = math.ceil(earliest)
    return first if first % 60 + seconds <= 60 else first + 60 - first % 60


def _starts(process: Process, store: Store, due: float, jobs: int) -> list[float]:
    """Return how late the starts of one fire time were, once every run has its outcome."""
    late = process.starts()[due]
    assert (jobs, jobs) == (len(late), succeeded_at(store, due)), f"{len(late)} starts of {jobs} jobs"
    return late
