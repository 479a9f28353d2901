"""Which instances the leader takes off the list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import msgspec
import pytest

from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import Cause
from cronledger.domain.ids import InstanceId, JobName, Position, RunId, Term
from cronledger.domain.job import JobState
from cronledger.domain.run import Phase, RunState
from cronledger.engine.board import Board
from cronledger.engine.recovery import FORGET_SECONDS, FORGOTTEN_AFTER, UNTIL_REGISTERED, Recovery
from cronledger.engine.world import Instance
from cronledger.ledger.api import Answer, Appended, Item
from cronledger.testing import ManualClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def instance(
    name: str, *, silent_for: timedelta, is_dead: bool, jobs: Sequence[str] = (), kind: Any = "service"
) -> Instance:
    return Instance(
        id=InstanceId(name), kind=kind, epoch=1, jobs=frozenset(jobs), config_revision=None,
        is_dead=is_dead, beat_at=NOON - silent_for,
    )  # fmt: skip


class StubWorld:
    """A table of instances, and a clock to wait by."""

    def __init__(self, *rows: Instance) -> None:
        self.clock = ManualClock(NOON)
        self.instance = InstanceId("leader")
        self.rows = list(rows)
        self.reads = 0
        self.appended: list[Item] = []

    async def instances(self) -> list[Instance]:
        self.reads += 1
        return self.rows

    async def submit(self, items: Sequence[Item]) -> list[Answer]:
        self.appended += items
        return [Appended(Position(1), Position(1), NOON) for _ in items]

    async def forget(self, instances: Sequence[InstanceId]) -> None:
        self.rows = [each for each in self.rows if each.id not in instances]


def a_run(run_id: str, *, on: str | None = None) -> RunState:
    """Make a run of `tidy` of a day ago, which waits or is claimed by an instance."""
    return RunState(
        run_id=RunId(run_id), job=JobName("tidy"), cause=Cause.MANUAL, position=Position(1), version=1,
        phase=Phase.RUNNING if on else Phase.WAITING, triggered_at=NOON - timedelta(days=1),
        instance=InstanceId(on) if on else None, attempt=1 if on else 0,
    )  # fmt: skip


def test_only_those_that_have_been_dead_for_a_day_are_forgotten() -> None:
    long, short = FORGOTTEN_AFTER + SECOND, FORGOTTEN_AFTER - SECOND
    world: Any = StubWorld(
        instance("gone", silent_for=long, is_dead=True),
        instance("gone-lately", silent_for=short, is_dead=True),
        instance("alive-by-a-clock-that-was-set", silent_for=long, is_dead=False),
    )
    recovery = Recovery(world, Board())
    world.clock.advance(FORGET_SECONDS)
    anyio.run(recovery.tick, NOON, Term(1))

    assert ["gone-lately", "alive-by-a-clock-that-was-set"] == [each.id for each in world.rows]


def test_they_are_looked_for_now_and_then() -> None:
    """Not in the first passes of a term: over a slow way those are long enough without."""
    world: Any = StubWorld(instance("gone", silent_for=2 * FORGOTTEN_AFTER, is_dead=True))
    recovery = Recovery(world, Board())
    known = []
    for seconds in (0.0, FORGET_SECONDS - 1.0, 1.0):
        world.clock.advance(seconds)
        anyio.run(recovery.tick, NOON, Term(1))
        known.append(len(world.rows))

    assert [1, 1, 0] == known


@pytest.mark.parametrize(
    ("queue_limit", "provider", "ends"),
    [
        (1, instance("here", silent_for=SECOND, is_dead=False, jobs=["tidy"]), False),
        (1, instance("here", silent_for=SECOND, is_dead=False), True),
        (1, instance("here", silent_for=SECOND, is_dead=True, jobs=["tidy"]), True),
        (None, instance("here", silent_for=SECOND, is_dead=False, jobs=["tidy"]), False),
        (None, instance("here", silent_for=SECOND, is_dead=False, jobs=["tidy"], kind="oneshot"), True),
    ],
    ids=["waits its turn", "nobody has the code", "who had it is dead", "waits for room", "only a command"],
)
def test_a_run_that_waits_for_a_place_is_not_given_up(
    queue_limit: int | None, provider: Instance, *, ends: bool
) -> None:
    """However long the others take: somebody alive will perform it."""
    tidy = JobDefinition(name=JobName("tidy"), queue_limit=queue_limit)
    board = Board()
    board.jobs[tidy.name] = JobState(name=tidy.name, definition=tidy)
    board.runs[RunId("tidy!1")] = a_run("tidy!1")
    world: Any = StubWorld(provider)
    anyio.run(Recovery(world, board).tick, NOON, Term(1))

    assert ends is bool(world.appended)


@pytest.mark.parametrize(
    ("age", "is_dead", "told"),
    [
        (UNTIL_REGISTERED, True, ["run.cancelled"]),
        (UNTIL_REGISTERED, False, []),
        (UNTIL_REGISTERED - SECOND, True, []),
    ],
    ids=["its instance is gone", "its instance lives", "its instance may not be listed yet"],
)
def test_a_run_that_waits_for_an_instance_that_is_gone_is_ended(
    age: timedelta, told: list[str], *, is_dead: bool
) -> None:
    """It would keep its job from running for an hour, and nobody else may perform it."""
    board = Board()
    waiting = msgspec.structs.replace(a_run("tidy!1"), bound_to=InstanceId("it"), triggered_at=NOON - age)
    board.runs[waiting.run_id] = waiting
    world: Any = StubWorld(instance("it", silent_for=SECOND, is_dead=is_dead, jobs=["tidy"]))
    anyio.run(Recovery(world, board).tick, NOON, Term(1))

    events = [each.body for item in world.appended for write in item.writes for each in write.events]
    assert told == [body.type for body in events]
    assert ["instance it is gone"] * len(told) == [body.reason for body in events]


@pytest.mark.parametrize(
    ("runs", "reads"),
    [
        ([], 0),
        ([a_run("tidy!1", on="leader")], 0),
        ([a_run("tidy!1"), a_run("tidy!2"), a_run("tidy!3", on="here"), a_run("tidy!4", on="gone")], 1),
    ],
    ids=["no run", "one of its own", "four that depend on others"],
)
def test_one_pass_reads_the_instances_once_at_most(runs: list[RunState], reads: int) -> None:
    """With a read for each run that waited for its queue, a long queue cost the leader as many."""
    tidy = JobDefinition(name=JobName("tidy"), queue_limit=1)
    board = Board()
    board.jobs[tidy.name] = JobState(name=tidy.name, definition=tidy)
    board.runs.update({each.run_id: each for each in runs})
    world: Any = StubWorld(instance("here", silent_for=SECOND, is_dead=False, jobs=["tidy"]))
    anyio.run(Recovery(world, board).tick, NOON, Term(1))

    assert reads == world.reads
    assert ["run-tidy!4"] * reads == [write.stream for item in world.appended for write in item.writes]
