"""No-op runs a second, from the fire time to the recorded end of all runs with their history visible.

All jobs are due in the same second; every event is durable. One instance, then two and four on PostgreSQL.
The floor writes the rows of as many runs between two bursts, `BATCH` runs a commit, into a ledger of its own
that grows as ours does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench import floor
from bench.figures import Bar, Figure, Scale, Spread
from bench.instance import config_for, instances
from bench.places import Places, opened
from cronledger.domain.run import Outcome
from cronledger.ledger.database import Store
from cronledger.projections import fold, run_history

BATCH = 250
"""Runs a commit of the floor: what our own writer takes at most."""
PERIOD = 5
AHEAD_SECONDS = 1.0
"""So long before a fire time its measure begins."""
BARS = {
    "sqlite": Bar(0.25, at_least=True, of_floor=True),
    "postgres": Bar(0.45, at_least=True, of_floor=True),
}


def figures(places: Places, scale: Scale) -> Iterator[Figure]:
    """Measure every database."""
    runs = scale.of(50, 2000, 5000)
    for row, database in enumerate(places.databases, 1):
        for count in (1, 2, 4) if database == "postgres" and scale is not Scale.SMOKE else (1,):
            yield _figure(places, database, runs, scale, count=count, row=row)


def _figure(places: Places, database: str, runs: int, scale: Scale, *, count: int, row: int) -> Figure:
    period = period_of(scale)
    config = config_for(places.subfolder(), runs, f"*/{period} * * * * *")
    ours, raw = [], []
    with places.ledger(database) as url, places.ledger(database) as other:
        store = opened(url)
        with instances(url, config, count):
            wait_until_registered(store, runs)
            for number in range(scale.pairs):
                ours.append(burst(store, runs, period))
                raw.append(floor.runs_per_second(other, runs, BATCH, after=number * runs))
        store.close()
    return Figure(
        row=row,
        measure=f"no-op runs to recorded completion, {database}, {count} instance{'s' * (count > 1)}",
        unit="runs/s",
        ours=Spread.of(ours),
        floor=Spread.of(raw),
        ratio=Spread.of(mine / one for mine, one in zip(ours, raw, strict=True)),
        bar=BARS[database] if count == 1 else None,
        n=count,
    )


def period_of(scale: Scale) -> int:
    """Return the seconds between two bursts; a quick run has five minutes for everything."""
    return int(scale.of(PERIOD, PERIOD - 1, PERIOD))


def wait_until_registered(store: Store, jobs: int) -> None:
    """Wait until the leader knows all jobs."""
    while store.ledger.head().position < jobs:
        time.sleep(0.05)
    time.sleep(1)


def next_due(period: int = PERIOD) -> float:
    """Return the next instant at which the jobs are due, so far ahead that nothing has begun by then."""
    soon = time.time() + AHEAD_SECONDS
    return (soon // period + 1) * period


def burst(store: Store, runs: int, period: int = PERIOD) -> float:
    """Wait for the next fire time and for all its runs; return runs a second."""
    due = next_due(period)
    time.sleep(max(0.0, due - time.time() - AHEAD_SECONDS))
    fold.catch_up(store)
    before = store.ledger.head().position
    time.sleep(max(0.0, due - time.time()))
    while store.ledger.head().position < before + 3 * runs:
        time.sleep(0.005)
        assert time.time() < due + period, "the runs have not ended when the next ones are due"
    fold.catch_up(store)
    took = time.time() - due
    assert runs == succeeded_at(store, due)
    return runs / took


def succeeded_at(store: Store, due: float) -> int:
    """Return how many runs of a fire time have succeeded, as their history says."""
    fold.catch_up(store)
    rows = run_history.PROJECTION.rows
    columns = rows.table.c
    chosen = rows.select().where(columns.fire_at == round(due * 1_000_000))
    with store.reading() as connection:
        return len([each for each in rows.read(connection, chosen) if each.outcome is Outcome.SUCCEEDED])


def wait_until_quiet(store: Store) -> None:
    """Wait until nothing has been appended for a second."""
    before = -1
    while before != (before := store.ledger.head().position):
        time.sleep(1)
