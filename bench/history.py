"""What history costs: its questions, its rebuild, the start on top of it, and its bytes (rows 12 to 16).

The ledgers are written by the drivers alone, in the shape in which the engine leaves them: a thousand jobs,
two runs a second in groups of twenty, a hundredth of them failed, every other run with a step. The views are
filled by the product itself.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from bench.figures import Bar, Figure, Scale, Spread, in_turn, percentile
from bench.floor import BODY, EVENT, driver
from bench.places import INSTANCE, Places, opened
from cronledger import Scheduler
from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import BODIES, JobRegistered
from cronledger.domain.ids import JobName, Position, RunId, run_stream, scheduled_run
from cronledger.domain.run import Outcome
from cronledger.ledger.codec import encode
from cronledger.ledger.database import Store
from cronledger.projections import fold, job_status, run_history

JOBS = 1000
GROUP = 20
EVENTS_A_RUN = 4
SECONDS_A_GROUP = 10
PART = 50_000
PAGE = 1000
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BODY_BYTES = 200
ERROR = "ConnectionError: the other end closed the connection while the answer was still awaited (attempt 1)"
DONE = '{"duration_ms":12,"items_failed":0,"items_processed":340,"message":"ok"}'
FAILED = f'{{"duration_ms":2012,"error":"{ERROR}"}}'
STEP = '{"name":"load"}'
STEP_DONE = '{"duration_ms":9,"items_processed":340,"name":"load"}'
Take = Callable[[], Any]


def figures(places: Places, scale: Scale) -> Iterator[Figure]:
    """Yield every figure, for each database and each number of events."""
    for database in places.databases:
        for events in scale.of((2_000,), (60_000,), (1_000_000, 10_000_000)):
            with places.ledger(database) as url:
                written = write_history(url, events)
                yield from _filled(url, database, written, pairs=0 if events > PART * 40 else scale.pairs)
                yield from _questions(url, database, written, takes=scale.of(5, 100, 500))
                yield _start(url, database, written, places.subfolder())
        yield from _bytes(places, database, scale.of(2_000, 50_000, 1_000_000))


# --- a ledger with a past -------------------------------------------------------------------------------


def write_history(url: str, events: int) -> int:
    """Write about so many events, and no views; return how many."""
    with driver(url) as (write, commit, execute):
        if url.startswith("sqlite"):
            execute("PRAGMA synchronous = OFF")
            execute("PRAGMA cache_size = -1000000")
        position, at = 0, BEGIN
        for rows in _parts(events):
            write("event", EVENT, [row[: len(EVENT)] for row in rows])
            write("event_body", BODY, [(row[0], *row[len(EVENT) :]) for row in rows])
            commit()
            position, at = rows[-1][0], rows[-1][EVENT.index("recorded_at")]
        execute(f"UPDATE head SET position = {position}, recorded_at = {at}, term = 1, epoch = 1")
        commit()
        if not url.startswith("sqlite"):
            execute("ANALYZE")
            commit()
    return position


def _parts(events: int) -> Iterator[list[tuple[Any, ...]]]:
    rows = [_registered(number) for number in range(JOBS)]
    position = JOBS
    for group in range(max(1, (events - JOBS) // (GROUP * EVENTS_A_RUN))):
        if len(rows) >= PART:
            yield rows
            rows = []
        rows += _group(group, position + 1)
        position = rows[-1][0]
    yield rows


def _registered(number: int) -> tuple[Any, ...]:
    name = JobName(f"job_{number:04}")
    definition = JobDefinition(name=name, job=name, extension="bench", schedule="")
    body = encode(JobRegistered(definition=definition, revision="1")).decode()
    return _row(number + 1, f"job-{name}", 1, "job.registered", at=_micros(BEGIN), job=name, body=body)


def _group(group: int, position: int) -> list[tuple[Any, ...]]:
    """Return the events of twenty runs that were due together, begun in one append and ended in the next."""
    fire_at = BEGIN + timedelta(seconds=SECONDS_A_GROUP * (group + 1))
    due = _micros(fire_at)
    rows = []
    for kinds, at in ((_begun, due + 3000), (_ended, due + 40_000)):
        for number in range(GROUP * group, GROUP * group + GROUP):
            job = JobName(f"job_{number % JOBS:04}")
            stream = run_stream(scheduled_run(job, fire_at))
            for version, tag, actor, body in kinds(number):
                rows.append(
                    _row(
                        position, stream, version, tag, at=at, job=job, body=body, due=due,
                        actor=actor or f"job:{job}", attempt=None if version == 1 else 1,
                    )
                )  # fmt: skip
                position += 1
    return rows


def _begun(number: int) -> Iterator[tuple[int, str, str, str]]:
    yield 1, "run.triggered", "engine:planner", "{}"
    yield 2, "run.started", "engine:dispatcher", "{}"
    if number % 2:
        yield 3, "step.started", "", STEP


def _ended(number: int) -> Iterator[tuple[int, str, str, str]]:
    if number % 2:
        yield 4, "step.succeeded", "", STEP_DONE
    tag, body = ("run.failed", FAILED) if number % 100 == 7 else ("run.succeeded", DONE)
    yield 5 if number % 2 else 3, tag, "", body


def _row(
    position: int,
    stream: str,
    version: int,
    tag: str,
    *,
    at: int,
    job: str,
    body: str,
    due: int | None = None,
    actor: str = "engine:config",
    attempt: int | None = None,
) -> tuple[Any, ...]:
    salt = os.urandom(16)
    commitment = sha256(salt + body.encode()).digest()
    cause = None if due is None else "schedule"
    return (
        position, _id(), stream, version, tag, 1, 0, at, INSTANCE, 1, actor, job, attempt, due,
        cause, commitment, salt, body,
    )  # fmt: skip


def _id() -> bytes:
    """Return an id that grows with time, as those of the product do."""
    return time.time_ns().to_bytes(8) + os.urandom(8)


def _micros(at: datetime) -> int:
    return (at - BEGIN) // timedelta(microseconds=1) + 1_767_225_600_000_000


# --- folding it -----------------------------------------------------------------------------------------


def _filled(url: str, database: str, events: int, *, pairs: int) -> Iterator[Figure]:
    """Fill the views once, and again and again in turn with the floor; the last time they stay."""
    store = opened(url)
    once = _seconds(lambda: fold.rebuild(store))
    if pairs:
        taken = in_turn(lambda: events / _seconds(lambda: fold.rebuild(store)), lambda: floor(url), pairs)
    else:
        taken = in_turn(lambda: events / once, lambda: floor(url), 1)
    yield Figure(
        row=14,
        measure=f"{database}: rebuild of all views",
        unit="events/s",
        bar=Bar(0.45, at_least=True, of_floor=True),
        n=events,
        **taken,
    )
    store.close()


def floor(url: str) -> float:
    """Read what the views need by the driver, decode it, fold it into dicts; return events a second.

    What is folded is what the views hold of runs, steps and jobs, in lists that are changed in place; nothing
    is checked, and nothing written.
    """
    decoders = {tag: msgspec.json.Decoder(body).decode for tag, body in BODIES.items()}
    runs: dict[str, list[Any]] = {}
    jobs: dict[str, list[Any]] = {}
    steps: dict[tuple[str, int, str], list[Any]] = {}
    began = time.perf_counter()
    count = 0
    for row in _raw(url):
        position, stream, version, tag, at, instance, actor, name, attempt, fire_at, cause, text = row
        body: Any = decoders[tag](text)
        count += 1
        job = jobs.get(name)
        if job is None:
            job = jobs[name] = [name, body, 0, 0, {}, None, None, None, None]
        job[2] = position
        if tag == "run.triggered":
            run = [stream[4:], name, cause, position, version, "waiting", at, fire_at, actor, body]
            runs[stream] = [*run, None, None, None, None, None, None, None]
            job[3] += 1
            job[5] = fire_at
        elif tag == "run.started":
            runs[stream][4:6] = version, "running"
            runs[stream][10:13] = at, instance, attempt
        elif tag == "step.started":
            steps[stream[4:], attempt, body.name] = [name, position, "running", at, None, None]
        elif tag.startswith("step."):
            steps[stream[4:], attempt, body.name][2:] = [tag[5:], at, body, body.duration_ms]
        elif tag.startswith("run."):
            runs[stream][4:6] = version, "ended"
            runs[stream][13:] = at, tag[4:], body, body.duration_ms
            job[4][tag] = job[4].get(tag, 0) + 1
            job[6:8] = tag[4:], at
    return count / (time.perf_counter() - began)


_RAW = (
    "SELECT e.position, e.stream, e.version, e.type, e.recorded_at, e.instance, e.actor, e.job, e.attempt, "
    "e.fire_at, e.cause, b.body FROM event AS e JOIN event_body AS b ON b.position = e.position "
    "ORDER BY e.position"
)


def _raw(url: str) -> Iterator[tuple[Any, ...]]:
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        yield from connection.execute(_RAW)
        connection.close()
        return
    import psycopg  # noqa: PLC0415 - only where there is a PostgreSQL

    with psycopg.connect(url) as session, session.cursor("raw") as cursor:
        cursor.itersize = PAGE
        cursor.execute(_RAW)
        yield from cursor


# --- asking it ------------------------------------------------------------------------------------------


def _questions(url: str, database: str, events: int, *, takes: int) -> Iterator[Figure]:
    store = opened(url)
    fold.catch_up(store)
    for row, measure, ask, bars in _asked(store, events):
        ask()
        rounds = [[_seconds(ask) * 1000 for _ in range(takes)] for _ in range(5)]
        for percent, bar in bars.items():
            yield Figure(
                row=row,
                measure=f"{database}: {measure}, p{percent}",
                unit="ms",
                ours=Spread.of(percentile(each, percent) for each in rounds),
                bar=None if bar is None else Bar(bar),
                n=events,
            )
    store.close()


def _asked(store: Store, events: int) -> Iterator[tuple[int, str, Take, dict[int, float | None]]]:
    """Yield row, words, question, and its bars in milliseconds by percentile."""
    random = Random(events)
    newest, history = run_history.newest, run_history.history
    with store.reading() as connection:
        (last,) = newest(connection, limit=1)
    day = last.triggered_at - timedelta(days=1)
    groups = (events - JOBS) // (GROUP * EVENTS_A_RUN)

    def some_job() -> JobName:
        return JobName(f"job_{random.randrange(JOBS):04}")

    def some_run() -> RunId:
        group = random.randrange(groups)
        job = JobName(f"job_{(GROUP * group + random.randrange(GROUP)) % JOBS:04}")
        return scheduled_run(job, BEGIN + timedelta(seconds=SECONDS_A_GROUP * (group + 1)))

    def ask(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        with store.reading() as connection:
            return function(connection, *args, **options)

    failures = {"outcome": Outcome.FAILED, "since": day}
    none: dict[int, float | None] = {50: None}
    yield 12, "last 50 runs of a job", lambda: ask(newest, job=some_job(), limit=50), {50: 1.0, 99: 5.0}
    yield 12, "the same, and how many there are", lambda: ask(history, job=some_job(), limit=50), none
    yield 13, "failures of 24 h, first 100", lambda: ask(newest, **failures, limit=100), {50: 1.0}
    yield 13, "the same, and how many there are", lambda: ask(history, **failures, limit=100), none
    yield 13, "failures of 24 h, all", lambda: ask(newest, **failures, limit=10_000), {50: 12.0}
    yield 12, "one run", lambda: ask(run_history.one, some_run()), none
    yield 12, "events of one run", lambda: store.ledger.read_stream(run_stream(some_run())), none
    yield 12, "status of all jobs", lambda: ask(job_status.all_jobs), none
    yield (
        12,
        f"a page of {PAGE} events",
        lambda: store.ledger.read_all(Position(random.randrange(max(1, events - PAGE))), PAGE),
        none,
    )


# --- starting on top of it ------------------------------------------------------------------------------


def _start(url: str, database: str, events: int, folder: Path) -> Figure:
    """Start an instance on it until it is ready; the first start, which retires the jobs, is left out."""
    config = folder / "config.yaml"
    config.write_text("scheduler:\n  jobs: []\n")

    async def ready() -> None:
        async with Scheduler(database_url=url, config=config).running():
            took.append(time.perf_counter() - began)

    took: list[float] = []
    for _ in range(4):
        began = time.perf_counter()
        asyncio.run(ready())
    return Figure(
        row=15,
        measure=f"{database}: start until ready",
        unit="s",
        ours=Spread.of(took[1:]),
        bar=Bar(2.0 if database == "sqlite" else 1.0),
        n=events,
    )


# --- its bytes ------------------------------------------------------------------------------------------


def _bytes(places: Places, database: str, events: int) -> Iterator[Figure]:
    """Write events with bodies of 200 bytes and weigh the tables and indexes of the ledger."""
    with places.ledger(database) as url:
        with driver(url) as (write, commit, _):
            for start in range(0, events, PAGE):
                rows = [_weighed(position) for position in range(start + 1, start + PAGE + 1)]
                write("event", EVENT, [row[: len(EVENT)] for row in rows])
                write("event_body", BODY, [(row[0], *row[len(EVENT) :]) for row in rows])
                commit()
        weights = _weights(url)
        yield Figure(
            row=16,
            measure=f"{database}: bytes an event, all indexes, body of {BODY_BYTES} bytes",
            unit="B",
            ours=Spread.of([sum(weights.values()) / events]),
            bar=Bar(420 if database == "sqlite" else 500),
            n=events,
            details={name: round(size / events, 1) for name, size in weights.items()},
        )


def _weighed(position: int) -> tuple[Any, ...]:
    run, version = divmod(position - 1, EVENTS_A_RUN)
    fire_at = BEGIN + timedelta(seconds=run)
    job = JobName(f"job_{run % JOBS:04}")
    body = f'{{"message":"{os.urandom((BODY_BYTES - 14) // 2).hex()}"}}'
    return _row(
        position, run_stream(scheduled_run(job, fire_at)), version + 1, "run.succeeded", at=_micros(fire_at),
        job=job, body=body, due=_micros(fire_at), actor=f"job:{job}", attempt=1,
    )  # fmt: skip


def _weights(url: str) -> dict[str, int]:
    """Return the bytes of each table and index that holds events."""
    with driver(url) as (_, commit, execute):
        if url.startswith("sqlite"):
            execute("PRAGMA wal_checkpoint(TRUNCATE)")
            found = execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name")
        else:
            execute("CHECKPOINT")
            found = execute("SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relkind IN ('r', 'i')")
        commit()
    return {name: int(size) for name, size in found if "event" in name and size > 8192 * 2}


def _seconds(function: Take) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began
