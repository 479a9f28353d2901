"""Leadership on a ledger in memory, tick by tick."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio

from cronledger.domain import events as e
from cronledger.domain.ids import LEADER, InstanceId, Position, Term
from cronledger.domain.leadership import Lease
from cronledger.engine.board import Board
from cronledger.engine.leader import ACTOR, Leader
from cronledger.entropy import SeededEntropy
from cronledger.errors import LedgerUnreachable
from cronledger.ledger.api import Appended, Head, Item, Same, Write
from cronledger.ledger.memory import MemoryLedger, MemoryLog
from cronledger.testing import ManualClock
from tests.events import HERE, THERE, election

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Lock:
    """A lock that nobody else wants."""

    session = None

    def __init__(self) -> None:
        self.held = False
        self.contended = 0

    def contend(self, on_change: Callable[[], None]) -> None:
        self.contended += 1
        self.held = True
        on_change()

    def release(self) -> None:
        self.held = False


class Alone:
    """The world of one instance, without threads."""

    build = "1"

    def __init__(self, instance: InstanceId = HERE, log: MemoryLog | None = None) -> None:
        self.clock = ManualClock(NOON)
        self.instance = instance
        self.leader_lock = Lock()
        self.log = log or MemoryLog()
        self.ledger = MemoryLedger(instance, self.clock, SeededEntropy(hash(instance) % 97), self.log)
        self.is_deaf = False
        self.renewals = 0

    async def append(self, item: Item) -> Appended | Same:
        if self.is_deaf:
            raise LedgerUnreachable("the ledger is away")
        (answer,) = self.ledger.submit([self.ledger.prepare(item)])
        if isinstance(answer, Appended | Same):
            return answer
        raise answer

    async def release_lock(self) -> None:
        self.leader_lock.release()

    async def head(self) -> Head:
        return self.ledger.head()

    async def renew(self, term: Term, lease: timedelta) -> Head:
        self.renewals += 1
        return self.ledger.renew(term, lease)

    async def instances(self) -> list[Any]:
        return []

    async def known_builds(self) -> frozenset[str]:
        return frozenset()

    async def last_lineage(self) -> str:
        return self.ledger.head().lineage


def leading(world: Alone) -> Leader:
    """Return the leader of the first term."""
    leader = Leader(world, Lease(), Board())  # type: ignore[arg-type] # as much of a world as a leader needs
    leader.contend(lambda: None)
    tick(world, leader)
    assert leader.term == 1
    return leader


def tick(world: Alone, leader: Leader) -> bool:
    return anyio.run(leader.tick, anyio.run(leader.look))


def types(world: Alone) -> list[str]:
    return [each.type for each in world.ledger.read_all(Position(0), 100)]


def test_a_leader_that_slept_longer_than_its_lease_does_not_believe_in_it() -> None:
    """Fault 10: the boot clock goes on while the machine sleeps, so the trust has run out on waking."""
    world = Alone()
    leader = leading(world)
    world.clock.advance(9.5)
    tick(world, leader)

    assert None is leader.term


def test_a_clock_that_is_set_costs_no_term() -> None:
    """Faults 50, 51, 53: trust in a lease knows nothing of the wall clock."""
    world = Alone()
    leader = leading(world)
    for seconds in (3600, -7200):
        world.clock.step(seconds)
        world.clock.advance(4)
        tick(world, leader)

    assert 1 == leader.term


def test_a_leader_that_was_told_to_let_go_stands_again_in_a_new_term() -> None:
    """Fault 66: what the watchdog gave up in its place is not led on."""
    world = Alone()
    leader = leading(world)
    resigned = Write(LEADER, (e.Event(body=e.LeaderResigned(reason="blocked"), actor=ACTOR),), expected=None)
    world.ledger.append(resigned, fence=Term(1))
    world.ledger.renew(Term(1), timedelta(0))
    world.leader_lock.release()
    leader.let_go()
    elected = tick(world, leader)

    assert (True, 2) == (elected, leader.term)
    assert ["leader.elected", "leader.resigned", "leader.elected"] == types(world)


def test_a_leader_that_wakes_after_its_successor_says_nothing() -> None:
    """Fault 6: the term of the sleeper is over, and whatever it claims is refused."""
    world = Alone()
    leader = leading(world)
    successor = Alone(THERE, world.log)
    successor.ledger.submit(
        [successor.ledger.prepare(election(fence=1, expected=1, leader=THERE, force=True))]
    )
    anyio.run(leader.resign, "drain")

    assert ["leader.elected", "leader.elected"] == types(world)
    assert world.ledger.head().lease_until is not None


def test_the_lock_is_free_even_if_the_ledger_does_not_hear_the_resignation() -> None:
    world = Alone()
    leader = leading(world)
    world.is_deaf = True
    try:
        anyio.run(leader.resign, "drain")
    except LedgerUnreachable:
        unheard = True

    assert unheard
    assert not world.leader_lock.held


def test_a_leader_that_looks_when_its_lease_is_to_be_renewed_asks_only_once() -> None:
    world = Alone()
    leader = leading(world)
    heads = []
    for _ in range(10):
        world.clock.advance(1)
        heads.append(anyio.run(leader.look))

    assert 3 == world.renewals
    assert [10.0, 9.0, 8.0] == [_left(head) for head in heads[2:5]]


def test_a_candidate_looks_again_when_the_lease_runs_out_and_when_its_patience_does() -> None:
    leading(first := Alone())
    second = Alone(THERE, first.log)
    candidate = Leader(second, Lease(), Board())  # type: ignore[arg-type] # as much of a world as it needs
    second.clock.advance(4)
    tick(second, candidate)
    until_lease_ends = candidate.seconds_to_chance
    second.clock.advance(6.1)
    tick(second, candidate)
    patience = candidate.seconds_to_chance
    second.clock.advance(patience)

    assert (6.0, 1.0) == (until_lease_ends, patience)
    assert tick(second, candidate)


def _left(head: Head) -> float:
    assert head.lease_until is not None
    return (head.lease_until - head.clock).total_seconds()
