"""The ledger's append beside the driver alone: many events a commit, one run alone, the price of sealing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256

from bench import floor
from bench.figures import Bar, Figure, Scale, Spread, in_turn
from bench.places import INSTANCE, Places, opened
from cronledger.clock import SystemClock
from cronledger.domain import job, run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import Cause, Event
from cronledger.domain.ids import Position, job_stream, run_stream, scheduled_run
from cronledger.entropy import SystemEntropy
from cronledger.ledger.api import Item, Quiet, Write
from cronledger.ledger.database import Store
from cronledger.world import ProcessWorld

FIRE_AT = datetime(2026, 1, 1, tzinfo=UTC)
A_COMMIT = (1, 10, 100, 1000)
ROW = 3


def figures(places: Places, scale: Scale) -> Iterator[Figure]:
    """Measure every database."""
    for database in places.databases:
        for batch in A_COMMIT:
            yield _events(places, database, batch, scale)
        yield _alone(places, database, scale)
        yield _sealing(places, database, scale)


def _events(places: Places, database: str, batch: int, scale: Scale) -> Figure:
    """Append one event an item, as callers do that know nothing of one another."""
    events = min(batch * 100, scale.of(100, 10_000, 20_000))
    with places.ledger(database) as url, places.ledger(database) as other:
        store = opened(url)
        rounds = iter(range(1000))

        def ours() -> float:
            return _append(store, [_trigger(number) for number in _numbers(next(rounds), events)], batch)

        raws = iter(range(1000))
        taken = in_turn(
            ours,
            lambda: floor.events_per_second(other, events, batch, after=next(raws) * events),
            scale.pairs,
        )
        store.close()
    return Figure(
        row=ROW,
        measure=f"events through the append, {database}",
        unit="events/s",
        bar=Bar(0.6, at_least=True, of_floor=True) if batch == 100 else None,
        n=batch,
        **taken,
    )


def _append(store: Store, events: list[Event], batch: int) -> float:
    """Seal and append events, so many a commit; return how many a second."""
    ledger = store.ledger
    began = time.perf_counter()
    for start in range(0, len(events), batch):
        some = events[start : start + batch]
        ledger.submit([ledger.prepare(_item(event)) for event in some])
    return len(events) / (time.perf_counter() - began)


def _alone(places: Places, database: str, scale: Scale) -> Figure:
    """Append a run's trigger and start, then its end, through the writer's thread: two commits."""
    runs = scale.of(5, 200, 400)
    with places.ledger(database) as url, places.ledger(database) as other:
        store = opened(url)
        rounds, raws = iter(range(1000)), iter(range(1000))
        taken = in_turn(
            lambda: 1000 / asyncio.run(_single_runs(store, _numbers(next(rounds), runs))),
            lambda: 1000 / floor.runs_per_second(other, runs, 1, after=next(raws) * runs),
            scale.pairs,
        )
        store.close()
    return Figure(
        row=4,
        measure=f"one run alone, two commits, {database}",
        unit="ms",
        bar=Bar(1.5, of_floor=True),
        **taken,
    )


async def _single_runs(store: Store, numbers: range) -> float:
    world = ProcessWorld(store, instance=INSTANCE, clock=SystemClock(), build="bench")
    began = time.perf_counter()
    for number in numbers:
        trigger = _trigger(number)
        name = trigger.job
        assert name is not None
        guard = Write(job_stream(name), quiet_since=Quiet(name, Position(0)))
        both = Write(_stream(trigger), (trigger, run.start_of(trigger)))
        await world.append(Item((guard, both)))
        ended = run.about(_state(trigger), run.e.RunSucceeded(duration_ms=1), run.e.Actor.of_job(name))
        await world.append(Item((Write(_stream(trigger), (ended,), expected=2),)))
    took = time.perf_counter() - began
    world.close()
    return len(numbers) / took


def _sealing(places: Places, database: str, scale: Scale) -> Figure:
    """Compare salt and SHA-256 of an event with the whole of its append, 100 a commit."""
    count = scale.of(100, 10_000, 20_000)
    entropy, bodies = SystemEntropy(), [b"{}"] * count
    shares = []
    with places.ledger(database) as url:
        store = opened(url)
        for number in range(scale.pairs):
            events = [_trigger(each) for each in _numbers(number, count)]
            whole = count / _append(store, events, 100)
            began = time.perf_counter()
            for body in bodies:
                sha256(entropy.token() + body).digest()
            shares.append(100 * (time.perf_counter() - began) / whole)
        store.close()
    return Figure(
        row=18,
        measure=f"salt and commitment, share of the append, {database}",
        unit="%",
        ours=Spread.of(shares),
        bar=Bar(5),
    )


def _trigger(number: int) -> Event:
    definition = JobDefinition(name=f"nothing_{number}", schedule="0 0 * * * *")
    run_id = scheduled_run(definition.name, FIRE_AT)
    return run.trigger(definition, run_id, Cause.SCHEDULE, job.PLANNER, fire_at=FIRE_AT)


def _state(trigger: Event) -> run.RunState:
    assert trigger.run_id is not None
    assert trigger.job is not None
    return run.RunState(
        run_id=trigger.run_id,
        job=trigger.job,
        cause=Cause.SCHEDULE,
        position=Position(1),
        version=2,
        phase=run.Phase.RUNNING,
        triggered_at=FIRE_AT,
        fire_at=FIRE_AT,
        attempt=1,
    )


def _stream(trigger: Event) -> run.e.Stream:
    assert trigger.run_id is not None
    return run_stream(trigger.run_id)


def _item(trigger: Event) -> Item:
    return Item((Write(_stream(trigger), (trigger,)),))


def _numbers(place: int, count: int) -> range:
    """Return numbers that no other round uses."""
    return range(place * count, (place + 1) * count)
