"""No-op runs a second, and how late 1,000 jobs due in one second start, beside a raw-driver floor.

The floor writes the same rows with the driver alone, into the same schema and with the same durability:
three events a run in two commits, batched, plus one row of history. Every figure is a ratio in one run. The
PostgreSQL server is the one of the tests, without fsync, for both sides.

    PYTHONPATH=. python bench/runs.py [--runs 1000] [--pairs 3] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from cronledger import Scheduler, job, migrations
from cronledger.clock import SystemClock
from cronledger.domain.ids import InstanceId
from cronledger.entropy import SystemEntropy
from cronledger.ledger.database import Store, open_store
from cronledger.ledger.export import export
from cronledger.projections import fold
from tests.conftest import bring_to_head
from tests.postgres import shared_server

BATCH = 250
EVENT = (
    "INSERT INTO event (position, id, stream, version, type, schema, must_understand, recorded_at, instance,"
    " term, actor, job, attempt, fire_at, cause, commitment) VALUES ({})"
)
BODY = "INSERT INTO event_body (position, salt, body) VALUES ({})"
HISTORY = "CREATE TABLE floor_history (run TEXT PRIMARY KEY, outcome TEXT, ended_at BIGINT)"


@job
async def nothing() -> None:
    """Do nothing: what is left is the scheduler."""


def opened(url: str) -> Store:
    """Open a ledger at head."""
    instance = InstanceId("bench.1.000000000000")
    store = open_store(url, instance=instance, clock=SystemClock(), entropy=SystemEntropy(), create=True)
    migrations.upgrade(store)
    return store


def rows(count: int, kinds: list[str], first: int) -> tuple[list[Any], list[Any]]:
    """Make the rows of `count` runs' events."""
    events, bodies = [], []
    for number in range(count):
        for version, kind in enumerate(kinds, start=1):
            position = first + len(events)
            key = position.to_bytes(16, "big")
            stream = f"run-nothing_{number}@20260101T000000Z-{position}"
            events.append(
                (position, key, stream, version, kind, 1, 0, position, "bench.1.000000000000", 1,
                 "engine:planner", f"nothing_{number}", 1, 0, "schedule", key * 2)
            )  # fmt: skip
            bodies.append((position, key, "{}"))
    return events, bodies


def floor(url: str, runs: int) -> float:
    """Return runs a second of the raw driver: two commits a batch of runs, plus a row of history each."""
    connection, mark = _raw(url)
    cursor = connection.cursor()
    cursor.execute(HISTORY)
    connection.commit()
    event, body = EVENT.format(", ".join([mark] * 16)), BODY.format(", ".join([mark] * 3))
    history = f"INSERT INTO floor_history VALUES ({mark}, {mark}, {mark})"
    began = time.perf_counter()
    position = 1
    for start in range(0, runs, BATCH):
        for kinds in (["run.triggered", "run.started"], ["run.succeeded"]):
            events, bodies = rows(BATCH, kinds, position)
            position += len(events)
            cursor.executemany(event, events)
            cursor.executemany(body, bodies)
            if len(kinds) == 1:
                cursor.executemany(history, [(f"{start}-{n}", "succeeded", n) for n in range(BATCH)])
            connection.commit()
    took = time.perf_counter() - began
    connection.close()
    return runs / took


def _raw(url: str) -> tuple[Any, str]:
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection, "?"
    import psycopg  # noqa: PLC0415 - only where there is a PostgreSQL

    return psycopg.connect(url), "%s"


async def burst(url: str, folder: Path, runs: int) -> tuple[float, float]:
    """Let `runs` jobs be due in the same seconds; return runs a second and p99 lateness in milliseconds."""
    config = folder / "config.yaml"
    entry = "  - {{name: nothing_{0}, extension: bench, job: nothing, schedule: '*/4 * * * * *'}}"
    config.write_text(
        f"scheduler:\n max_runs: {runs}\n jobs:\n" + "\n".join(entry.format(n) for n in range(runs))
    )
    scheduler = Scheduler(database_url=url, config=config, jobs=[_in_bench()])
    async with scheduler.running(migrate=False):
        await asyncio.sleep(9.5)
    store = opened(url)
    fold.catch_up(store)
    events = [json.loads(line) for line in export(store.ledger)]
    store.close()
    return figures(events, runs)


def figures(events: list[dict[str, Any]], runs: int) -> tuple[float, float]:
    """Read throughput and lateness off the ledger, for the last complete burst."""
    started = [e for e in events if e["type"] == "run.started" and e["fire_at"]]
    ended = {e["run_id"]: _seconds(e["recorded_at"]) for e in events if e["type"] == "run.succeeded"}
    fire_at = max(e["fire_at"] for e in started)
    last = [e for e in started if e["fire_at"] == fire_at]
    assert len(last) == runs, f"{runs - len(last)} of {runs} fire times were missed"
    due = _seconds(fire_at)
    late = sorted((_seconds(e["recorded_at"]) - due) * 1000 for e in last)
    return runs / (max(ended[e["run_id"]] for e in last) - due), late[int(len(late) * 0.99) - 1]


def _seconds(text: str) -> float:
    from datetime import datetime  # noqa: PLC0415

    return datetime.fromisoformat(text).timestamp()


def _in_bench() -> Any:
    nothing.extension = "bench"
    return nothing


def measure(make_url: Any, runs: int, pairs: int) -> dict[str, Any]:
    """Measure pairs of floor and product in alternation."""
    throughput, ratios, late = [], [], []
    for _ in range(pairs):
        raw = floor(make_url(), runs)
        with tempfile.TemporaryDirectory() as folder:
            per_second, p99 = asyncio.run(burst(make_url(), Path(folder), runs))
        throughput.append(per_second)
        ratios.append(per_second / raw)
        late.append(p99)
    return {
        "runs_per_second": round(statistics.median(throughput)),
        "ratio_to_floor": [round(f(ratios), 3) for f in (statistics.median, min, max)],
        "lateness_p99_ms": [round(f(late), 1) for f in (statistics.median, min, max)],
    }


def main() -> None:
    """Measure both databases and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=1000)
    options.add_argument("--pairs", type=int, default=3)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        count = iter(range(1000))

        def sqlite_url() -> str:
            url = f"sqlite:///{folder}/{next(count)}.db"
            opened(url).close()
            return url

        report["sqlite"] = measure(sqlite_url, chosen.runs, chosen.pairs)
        with shared_server(Path(folder), bring_to_head) as server:
            report["postgres"] = measure(server.make_database, chosen.runs, chosen.pairs)
    if chosen.json:
        print(json.dumps(report, indent=2))
        return
    for database, figure in report.items():
        median, low, high = figure["ratio_to_floor"]
        late = figure["lateness_p99_ms"]
        print(
            f"{database:9} {figure['runs_per_second']:6} no-op runs/s = {median:.2f} x floor"
            f" ({low:.2f}-{high:.2f}); {chosen.runs} due in one second:"
            f" started p99 {late[0]} ms ({late[1]}-{late[2]}), 0 missed"
        )


if __name__ == "__main__":
    main()
