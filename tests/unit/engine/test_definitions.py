"""Definitions as events: what a revision says about the jobs of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import msgspec

from cronledger.domain import events as e
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, Position, Term
from cronledger.domain.job import JobState
from cronledger.engine.board import Board
from cronledger.engine.definitions import (
    JOBS_PER_ITEM,
    NAMES,
    Changes,
    Configuration,
    applied,
    compared,
    events_for,
    named,
)
from cronledger.entropy import SeededEntropy
from cronledger.ledger.api import Appended, Item, Same
from cronledger.ledger.memory import MemoryLedger, MemoryLog
from cronledger.testing import ManualClock
from tests.events import HERE, election

ANN = e.Actor.operator("ann")


def job(name: str, **fields: object) -> JobDefinition:
    return msgspec.structs.replace(JobDefinition(name=JobName(name)), **fields)


def state(name: str, version: int = 1, **fields: object) -> JobState:
    known = JobState(name=JobName(name), version=version, definition=job(name))
    return msgspec.structs.replace(known, **fields)


def by_name(*definitions: JobDefinition) -> dict[JobName, JobDefinition]:
    return {each.name: each for each in definitions}


def test_each_job_is_registered_redefined_or_retired_once_and_guarded_by_its_version() -> None:
    jobs = {each.name: each for each in (state("same"), state("other", 4), state("gone", 7))}
    wanted = by_name(job("same"), job("other", schedule="0 0 3 * * *"), job("new"))
    asked = events_for(wanted, jobs, "r2", ANN)

    assert [
        ("job-other", 4, "job.redefined"),
        ("job-new", 0, "job.registered"),
        ("job-gone", 7, "job.retired"),
    ] == [(write.stream, write.expected, event.body.type) for write, event in asked]
    assert {ANN} == {event.actor for _, event in asked}


def test_a_retired_job_that_comes_back_is_registered_again() -> None:
    jobs = {JobName("tidy"): state("tidy", 3, retired=True)}
    asked = events_for(by_name(job("tidy")), jobs, "r2")

    assert [("job.registered", 3)] == [(event.body.type, write.expected) for write, event in asked]
    assert [] == events_for({}, jobs, "r2")


def test_what_was_said_is_named_in_the_event_of_the_configuration() -> None:
    asked = events_for(by_name(job("b"), job("a")), {JobName("c"): state("c")}, "r2")
    event = applied("r2", "r1", named(event for _, event in asked), ANN, reason="holidays")

    assert e.ConfigApplied(
        revision="r2", previous="r1", registered=("b", "a"), retired=("c",), reason="holidays"
    ) == event.body  # fmt: skip


def test_of_a_long_list_only_the_first_are_named() -> None:
    many = [job(f"j{number}") for number in range(NAMES + 1)]

    assert NAMES == len(compared([], many).registered)
    assert NAMES + 1 == len(
        named([event for _, event in events_for(by_name(*many), {}, "r")], most=None).registered
    )


def test_two_sets_of_definitions_are_compared_by_name() -> None:
    before, after = [job("a"), job("b"), job("c")], [job("b"), job("c", owner="ann"), job("d")]

    assert Changes(registered=("d",), redefined=("c",), retired=("a",)) == compared(before, after)


class Slow:
    """A world in which each append takes so long that a leader has to renew its lease after a few."""

    def __init__(self) -> None:
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.ledger = MemoryLedger(HERE, self.clock, SeededEntropy(1), MemoryLog())
        self.ledger.submit([self.ledger.prepare(election(fence=0, expected=0))])
        self.instance = HERE

    async def append(self, item: Item) -> Appended | Same:
        self.clock.advance(0.4)
        (answer,) = self.ledger.submit([self.ledger.prepare(item)])
        assert isinstance(answer, Appended | Same), answer
        return answer

    async def events_after(self, position: Position, limit: int) -> list[e.Recorded]:
        return self.ledger.read_all(position, limit)


def test_many_jobs_are_registered_a_second_at_a_time_and_told_once() -> None:
    world, board = Slow(), Board()
    many = [job(f"j{number:04}") for number in range(4 * JOBS_PER_ITEM)]
    configuration = Configuration(many, "r1")
    done = [anyio.run(configuration.apply, world, board, Term(1)) for _ in range(4)]
    told = [each.body for each in world.ledger.read_all(Position(0), 2000) if each.type == "config.applied"]

    assert [False, False, True, True] == done
    assert {each.name for each in many} == set(board.jobs)
    assert [tuple(each.name for each in many[:NAMES])] == [
        each.registered for each in told if isinstance(each, e.ConfigApplied)
    ]
