"""The limit of a queue, where two instances claim from what they knew a moment ago."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import anyio
import pytest

from cronledger.clock import SystemClock
from cronledger.domain import events as e
from cronledger.domain import job, run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import InstanceId, JobName, Position, RunId, instance_id, job_stream, run_stream
from cronledger.domain.overlap import Overlap
from cronledger.domain.run import RunState
from cronledger.engine.board import Board
from cronledger.engine.dispatcher import Dispatcher
from cronledger.entropy import SystemEntropy
from cronledger.ledger.api import Answer, Appended, Item, Same, Write
from cronledger.ledger.database import Store, open_store
from tests.conftest import lines_of
from tests.simulation.test_queues import most_at_once

PASSES = 5000
RUNS = 8
JOBS = [
    JobDefinition(name=JobName(name), queue="printer", queue_limit=1, overlap=Overlap.ALLOW)
    for name in ("letters", "labels")
]


class Hand:
    """An instance that claims when it is told to: a real board, a real dispatcher, a real ledger."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.instance = store.ledger.instance
        self.performed: list[RunState] = []
        self.board = Board()
        world: Any = self
        self._dispatcher = Dispatcher(
            world, self.board, provides=lambda _: True, room=lambda: 9, definition_of=self._definition_of
        )

    async def submit(self, items: Sequence[Item]) -> list[Answer]:
        return self.store.ledger.submit([self.store.ledger.prepare(item) for item in items])

    async def events_after(self, position: Position, limit: int) -> list[e.Recorded]:
        return self.store.ledger.read_all(position, limit)

    def follow(self) -> None:
        world: Any = self
        anyio.run(self.board.follow, world)

    def claim(self) -> bool:
        """Claim what the board says can be claimed; return whether to look again."""
        now = self.store.ledger.head().clock
        return anyio.run(self._dispatcher.tick, now, self._perform)

    def finish(self) -> None:
        """End every run that was claimed."""
        for state in self.performed:
            self.follow()
            going = self.board.runs[state.run_id]
            ended = run.finish(going, run.Ended(outcome=run.Outcome.SUCCEEDED), JOBS[0])
            self.store.ledger.append(Write(run_stream(state.run_id), tuple(ended), expected=going.version))
        self.performed = []

    def _perform(self, state: RunState, answer: Appended | Same) -> None:
        self.performed.append(state)

    def _definition_of(self, name: JobName) -> JobDefinition | None:
        return self.board.jobs[name].definition


@pytest.fixture
def hands(ledger_url: str) -> Iterator[tuple[Hand, Hand]]:
    """Return two instances on one ledger that knows the jobs."""
    stores = [
        open_store(
            ledger_url,
            instance=instance_id(name, 1, "f1c7f1c7f1c7"),
            clock=SystemClock(),
            entropy=SystemEntropy(),
            create=False,
        )
        for name in ("one", "two")
    ]
    for definition in JOBS:
        events = tuple(job.define(None, definition, "r"))
        stores[0].ledger.append(Write(job_stream(definition.name), events))
    yield Hand(stores[0]), Hand(stores[1])
    for store in stores:
        store.close()


def ask(store: Store, definition: JobDefinition, number: int, instance: InstanceId) -> RunId:
    """Ask for a run that only one instance may claim."""
    run_id = RunId(f"{definition.name}!{number}")
    trigger = run.trigger(definition, run_id, e.Cause.MANUAL, e.Actor.operator("ann"), instance=instance)
    store.ledger.append(Write(run_stream(run_id), (trigger,)))
    return run_id


def claimed(hand: Hand) -> list[str]:
    return [state.run_id for state in hand.performed]


def test_a_claim_from_an_old_view_of_the_queue_is_refused(hands: tuple[Hand, Hand]) -> None:
    one, two = hands
    mine = ask(one.store, JOBS[0], 1, one.instance)
    theirs = ask(one.store, JOBS[1], 2, two.instance)
    one.follow()
    two.follow()
    one.claim()
    looks_again = two.claim()

    assert ([mine], [], True) == (claimed(one), claimed(two), looks_again)

    two.follow()
    looks_again = two.claim()

    assert ([], False) == (claimed(two), looks_again)

    one.finish()
    two.follow()
    two.claim()

    assert [theirs] == claimed(two)


def test_two_instances_that_race_never_perform_more_than_the_limit(
    ledger_url: str, hands: tuple[Hand, Hand]
) -> None:
    for number in range(RUNS):
        for index, hand in enumerate(hands):
            ask(hand.store, JOBS[(index + number) % 2], number * 2 + index, hand.instance)
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(partial(_race, runs=RUNS), hands))
    lines = lines_of(ledger_url)

    assert [RUNS, RUNS] == ended
    assert 2 * RUNS == sum(line["type"] == "run.succeeded" for line in lines)
    assert 1 == most_at_once(lines)


def _race(hand: Hand, *, runs: int) -> int:
    ended = 0
    for _ in range(PASSES):
        hand.follow()
        hand.claim()
        ended += len(hand.performed)
        hand.finish()
        if ended == runs:
            break
    return ended
