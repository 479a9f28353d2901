"""Ourselves, asked for the same work: the instance of the other benchmarks, `cronledger up`, one process.

The trigger of a fire is its enqueueing, so the time runs from the due second to the last recorded success.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.instance import Process, config_for, instances
from bench.peers.adapters.told import GRACE_SECONDS
from bench.peers.report import Lateness, Speed
from bench.places import Places, opened
from bench.throughput import PERIOD, burst, next_due, wait_until_registered
from cronledger.ledger.database import Store


def speed(places: Places, database: str, jobs: int) -> Speed:
    """Let all jobs be due in one second."""
    with _instance(places, database, jobs, f"*/{PERIOD} * * * * *") as (process, store):
        cpu = process.cpu()
        per_second = burst(store, jobs)
        cpu = process.cpu() - cpu
    return Speed(jobs=jobs, enqueue_seconds=0, drain_seconds=jobs / per_second, cpu_seconds=cpu)


def lateness(places: Places, database: str, jobs: int, seconds: int) -> Lateness:
    """Let the jobs be due each second."""
    with _instance(places, database, jobs, "* * * * * *") as (process, _):
        first = next_due(1) + 1
        time.sleep(first - 0.5 - time.time())
        cpu = process.cpu()
        time.sleep(first + seconds + GRACE_SECONDS - time.time())
        cpu, starts = process.cpu() - cpu, process.starts()
    window = [starts.get(first + number, []) for number in range(seconds)]
    return Lateness(
        jobs=jobs,
        due=jobs * seconds,
        late_ms=[late for second in window for late in second],
        doubled=sum(max(0, len(second) - jobs) for second in window),
        cpu_seconds=cpu,
    )


@contextmanager
def _instance(places: Places, database: str, jobs: int, schedule: str) -> Iterator[tuple[Process, Store]]:
    config = config_for(places.subfolder(), jobs, schedule)
    with places.ledger(database) as url:
        store = opened(url)
        with instances(url, config) as (process,):
            wait_until_registered(store, jobs)
            yield process, store
        store.close()
