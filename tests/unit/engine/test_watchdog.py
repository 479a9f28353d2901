"""The watchdog's looks, one by one, without its thread."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from cronledger.clock import SystemClock
from cronledger.engine.definitions import Configuration
from cronledger.engine.executor import Provision
from cronledger.engine.loop import Engine
from cronledger.engine.plan import Plan
from cronledger.ledger.api import WRITER, Head
from cronledger.ledger.database import Store
from cronledger.testing import ManualClock
from cronledger.watchdog import (
    LIMIT_SECONDS,
    LONGEST_FRAME,
    LOOK_SECONDS,
    MOST_FRAMES,
    Watchdog,
    _give_up,
    watch,
)
from cronledger.world import ProcessWorld
from tests.conftest import opened
from tests.events import HERE
from tests.unit.engine.test_leader import Alone, leading, tick, types

LOOKS = round(LIMIT_SECONDS / LOOK_SECONDS)


class Told:
    """Keeps what the watchdog says; hears it only if `hears`."""

    def __init__(self, *, hears: bool = True) -> None:
        self.hears = hears
        self.seconds: list[float] = []
        self.stacks: list[tuple[str, ...]] = []

    def __call__(self, seconds: float, stack: tuple[str, ...]) -> bool:
        self.seconds.append(seconds)
        self.stacks.append(stack)
        return self.hears


def watched(told: Told, looks: int) -> Watchdog:
    """Return a watchdog that has looked at this thread so often, half a second apart."""
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    watchdog = Watchdog(clock, told)
    for _ in range(looks):
        clock.advance(LOOK_SECONDS)
        watchdog.look()
    return watchdog


def deep(depth: int, told: Told) -> None:
    """Stand far down in the stack."""
    if depth:
        deep(depth - 1, told)
    else:
        watched(told, LOOKS)


async def in_a_loop(told: Told, looks: int) -> Watchdog:
    return watched(told, looks)


def test_a_loop_that_has_not_moved_for_long_enough_is_reported_once_with_its_stack() -> None:
    told = Told()
    asyncio.run(in_a_loop(told, 3 * LOOKS))

    assert [LIMIT_SECONDS] == told.seconds
    assert "in watched" in "\n".join(told.stacks[0])


def test_a_loop_that_moves_in_time_is_not_reported() -> None:
    told = Told()

    async def program() -> None:
        watchdog = watched(told, LOOKS - 1)
        await asyncio.sleep(0)
        for _ in range(LOOKS - 1):
            watchdog.look()

    asyncio.run(program())

    assert [] == told.seconds


def test_what_was_not_heard_is_said_again_at_the_next_look() -> None:
    told = Told(hears=False)
    asyncio.run(in_a_loop(told, LOOKS + 2))

    assert 3 == len(told.seconds)


def test_the_next_incident_is_reported_too() -> None:
    told = Told()

    async def program() -> None:
        watchdog = watched(told, LOOKS)
        await asyncio.sleep(0)
        for _ in range(LOOKS + 1):
            watchdog.look()

    asyncio.run(program())

    assert 2 == len(told.seconds)


def test_a_stack_is_bounded_and_names_no_line_of_the_source() -> None:
    told = Told()

    async def program() -> None:
        deep(100, told)

    asyncio.run(program())
    (stack,) = told.stacks

    assert MOST_FRAMES == len(stack)
    assert max(map(len, stack)) <= LONGEST_FRAME
    assert "watchdog.look()" not in "\n".join(stack)


async def blocked(store: Store) -> None:
    """Look so often at a loop that does not move that it counts as blocked."""
    world = ProcessWorld(store, instance=HERE, clock=SystemClock(), build="1")
    provision = Provision(find=lambda extension, job: None)
    watchdog = watch(world, Engine(world, Configuration((), "1"), provision, Plan()))
    watchdog.stop()  # its own thread looks no more
    for _ in range(LOOKS):
        watchdog.look()
    world.close()


def test_a_watchdog_that_may_not_append_any_more_goes_on_watching(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its thread used to end with the refusal."""
    store = opened(sqlite_url)
    with store.writing() as connection:
        connection.execute(text("UPDATE head SET min_writer = :needed"), {"needed": WRITER + 1})
    asyncio.run(blocked(store))
    store.close()

    assert any("cannot be recorded" in each.getMessage() for each in caplog.records)


# --- giving leadership up -------------------------------------------------------------------------------


def give_up(world: Alone, leader: Any, ledger: Any) -> bool:
    """Give up what a leader leads, as its watchdog does."""
    store = SimpleNamespace(ledger=ledger)
    process: Any = SimpleNamespace(instance=world.instance, leader_lock=world.leader_lock, store=store)
    engine: Any = SimpleNamespace(lead_no_longer=leader.let_go)
    return _give_up(process, engine, 5.0, ())


def test_a_blocked_leader_resigns_its_term_and_contends_again_once_it_wakes() -> None:
    world = Alone()
    leader = leading(world)
    heard = give_up(world, leader, world.ledger)
    given_up = not world.leader_lock.held
    tick(world, leader)

    assert (True, True) == (heard, given_up)
    assert ["leader.elected", "leader.resigned", "engine.loop_blocked", "leader.elected"] == types(world)
    assert world.leader_lock.held


def test_a_loop_that_wakes_meanwhile_keeps_its_new_term_and_contends_again() -> None:
    """It stood again by the lock that it was about to lose, and nobody contended for it any more."""
    world = Alone()
    leader = leading(world)

    class WakingLedger:
        """A ledger so slow that the loop goes on before it answers."""

        append, renew = world.ledger.append, world.ledger.renew

        def head(self) -> Head:
            tick(world, leader)
            return world.ledger.head()

    give_up(world, leader, WakingLedger())
    told = types(world)
    tick(world, leader)

    assert ["leader.elected", "leader.elected", "engine.loop_blocked"] == told
    assert world.leader_lock.held
