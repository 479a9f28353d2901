"""The floor: the rows of no-op runs, written by the driver alone into the same schema, as durably.

`sqlite3` with `executemany`, psycopg with `COPY`. The rows are those that a run leaves: three events in two
commits, batched as asked, and one row of history. Their ids grow with time, salts and commitments are random,
as the indexes feel it. Nothing is decided, checked, encoded or hashed.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

EVENT = (
    "position", "id", "stream", "version", "type", "schema", "must_understand", "recorded_at", "instance",
    "term", "actor", "job", "attempt", "fire_at", "cause", "commitment",
)  # fmt: skip
BODY = ("position", "salt", "body")
HISTORY = (
    "run_id", "job", "cause", "position", "version", "phase", "triggered_at", "fire_at", "started_at",
    "ended_at", "outcome", "attempt", "instance", "failures", "losses", "cancel_requested", "actor",
    "parameters", "duration_ms",
)  # fmt: skip
BEFORE = (("run.triggered", None, "engine:planner"), ("run.started", 1, "engine:dispatcher"))
AFTER = (("run.succeeded", 1, None),)
INSTANCE = "bench.1.000000000000"
DUE = 1_795_279_235_000_000
Kind = tuple[str, int | None, str | None]
Rows = list[tuple[Any, ...]]
Write = Callable[[str, Sequence[str], Rows], None]
Execute = Callable[[str], Rows]


def runs_per_second(url: str, runs: int, batch: int, *, after: int = 0) -> float:
    """Write no-op runs, `batch` of them a commit, after those written before; return how many a second."""
    with driver(url) as (write, commit, _):
        began = time.perf_counter()
        position = 3 * after
        for start in range(after, after + runs, batch):
            numbers = range(start, min(start + batch, after + runs))
            for kinds in (BEFORE, AFTER):
                position = _events(write, position, numbers, kinds)
                if kinds is AFTER:
                    write("run_history", HISTORY, [_history(number, position) for number in numbers])
                commit()
        return runs / (time.perf_counter() - began)


def events_per_second(url: str, events: int, batch: int, *, after: int = 0, body: str = "{}") -> float:
    """Write events, `batch` of them a commit, after those written before; return how many a second."""
    with driver(url) as (write, commit, _):
        began = time.perf_counter()
        for start in range(after, after + events, batch):
            count = min(batch, after + events - start)
            _events(write, start, range(start, start + count), BEFORE[:1], body=body)
            commit()
        return events / (time.perf_counter() - began)


def starts_of(url: str, runs: int, batch: int, *, after: int = 0) -> list[float]:
    """Write the triggers and starts of runs that are due now; return how many seconds late each may begin."""
    with driver(url) as (write, commit, _):
        began = time.perf_counter()
        late: list[float] = []
        position = 2 * after
        for start in range(after, after + runs, batch):
            numbers = range(start, min(start + batch, after + runs))
            position = _events(write, position, numbers, BEFORE)
            commit()
            late += [time.perf_counter() - began] * len(numbers)
        return late


def _events(
    write: Write, position: int, numbers: Sequence[int], kinds: Sequence[Kind], *, body: str = "{}"
) -> int:
    """Write the events of some runs, from a version on; return the last position."""
    events: Rows = []
    bodies: Rows = []
    for number in numbers:
        job = f"nothing_{number}"
        stream = f"run-{job}@20261121T164035Z"
        for version, (tag, attempt, actor) in enumerate(kinds, 3 if kinds is AFTER else 1):
            position += 1
            events.append(
                (position, time.time_ns().to_bytes(8) + os.urandom(8), stream, version, tag, 1, 0, DUE,
                 INSTANCE, 1, actor or f"job:{job}", job, attempt, DUE, "schedule", os.urandom(32))
            )  # fmt: skip
            bodies.append((position, os.urandom(16), body))
    write("event", EVENT, events)
    write("event_body", BODY, bodies)
    return position


def _history(number: int, position: int) -> tuple[Any, ...]:
    job = f"nothing_{number}"
    return (
        f"{job}@20261121T164035Z", job, "schedule", position + number, 3, "ended", DUE, DUE, DUE, DUE,
        "succeeded", 1, INSTANCE, 0, 0, 0, "engine:planner", "{}", 2,
    )  # fmt: skip


@contextmanager
def driver(url: str) -> Iterator[tuple[Write, Callable[[], None], Execute]]:
    """Give a function that writes rows into a table, one that commits, and one for any other statement."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

        def insert(table: str, columns: Sequence[str], rows: Rows) -> None:
            marks = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

        yield insert, connection.commit, lambda statement: list(connection.execute(statement))
        connection.close()
        return
    import psycopg  # noqa: PLC0415 - only where there is a PostgreSQL

    session = psycopg.connect(url)
    cursor = session.cursor()

    def execute(statement: str) -> Rows:
        cursor.execute(statement)
        return [] if cursor.description is None else cursor.fetchall()

    def copy(table: str, columns: Sequence[str], rows: Rows) -> None:
        with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copying:
            for row in rows:
                copying.write_row(row)

    yield copy, session.commit, execute
    session.close()
