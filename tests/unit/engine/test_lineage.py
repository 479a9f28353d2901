"""Another history of the database: how it is noticed, and what an election records about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import msgspec
import pytest

from cronledger.domain import events as e
from cronledger.domain import job
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import InstanceId, JobName, Position, Stream, Term
from cronledger.domain.job import JobState
from cronledger.domain.windows import Window
from cronledger.engine import lineage
from cronledger.engine.board import Board
from cronledger.errors import LedgerRegressed
from cronledger.ledger.api import Head, Write

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BEFORE, AFTER = "ledger/7/00000001", "ledger/7/00000002"


def state(name: str = "tidy", *, idempotent: bool = False, minutes_behind: int = 10) -> JobState:
    definition = JobDefinition(name=JobName(name), schedule="0 * * * * *", idempotent=idempotent)
    behind = NOON - timedelta(minutes=minutes_behind)
    return JobState(name=JobName(name), version=4, definition=definition, planned_until=behind)


class StubWorld:
    """A ledger that holds these events, and knows which history the last election saw."""

    def __init__(self, last_lineage: str = BEFORE, held: Sequence[e.Recorded] = ()) -> None:
        self._last_lineage = last_lineage
        self.held = list(held)

    async def last_lineage(self) -> str:
        return self._last_lineage

    async def events_after(self, position: Position, limit: int) -> list[e.Recorded]:
        return self.held[position : position + limit]


def changes(world: Any, *jobs: JobState) -> tuple[Write, ...]:
    board = Board()
    board.jobs = {each.name: each for each in jobs}
    return anyio.run(lineage.changes, world, board, head(AFTER))


def head(of: str) -> Head:
    return Head(
        position=Position(9), recorded_at=NOON, term=Term(3), leader=None, lease_until=None, epoch=1,
        lineage=of, min_writer=1, clock=NOON,
    )  # fmt: skip


def recorded(position: int, event_id: str) -> e.Recorded:
    return e.Recorded(
        position=Position(position), id=event_id, stream=Stream("config"), version=position,
        type="config.applied", schema=1, must_understand=False, recorded_at=NOON,
        instance=InstanceId("here.1.aa"), term=None,
        actor=e.Actor.engine("config"), job=None, run_id=None, attempt=None, fire_at=None, cause=None,
        body=e.ConfigApplied(revision=event_id),
    )  # fmt: skip


# --- what is forgone ------------------------------------------------------------------------------------


def test_a_job_that_is_not_idempotent_forgoes_every_fire_time_without_a_decision() -> None:
    (skip,) = job.forgo(state(), NOON)

    assert (
        e.FireTimesSkipped(first_at=NOON - timedelta(minutes=9), last_at=NOON, count=10, reason="lineage")
        == skip.body
    )


def test_an_idempotent_job_forgoes_nothing() -> None:
    assert () == job.forgo(state(idempotent=True), NOON)


def test_a_job_that_is_up_to_date_forgoes_nothing() -> None:
    assert () == job.forgo(state(minutes_behind=0), NOON)


def test_a_paused_job_forgoes_nothing() -> None:
    assert () == job.forgo(msgspec.structs.replace(state(), paused=True), NOON)


def test_windows_of_an_earlier_definition_are_forgone_too() -> None:
    definition = JobDefinition(name=JobName("tidy"), schedule="0 0 * * * *")
    earlier = Window(NOON - timedelta(hours=2, minutes=30), NOON - timedelta(minutes=10), definition)
    hourly, minutely = job.forgo(msgspec.structs.replace(state(), undecided=(earlier,)), NOON)

    assert (2, NOON - timedelta(hours=1)) == (hourly.body.count, hourly.body.last_at)  # type: ignore[attr-defined]
    assert 10 == minutely.body.count  # type: ignore[attr-defined]


# --- what an election records ---------------------------------------------------------------------------


def test_the_same_history_is_nothing_to_record() -> None:
    assert () == changes(StubWorld(AFTER), state())


def test_a_first_election_knows_no_other_history() -> None:
    assert () == changes(StubWorld(""), state())


def test_another_history_is_recorded_with_what_is_forgone_for_it() -> None:
    told, skip = changes(StubWorld(BEFORE), state("careful"), state("repeatable", idempotent=True))

    assert e.LineageChanged(previous=BEFORE, current=AFTER) == told.events[0].body
    assert ("job-careful", 4, 10) == (skip.stream, skip.expected, skip.events[0].body.count)  # type: ignore[attr-defined]


# --- how a loss is noticed ------------------------------------------------------------------------------


@pytest.mark.parametrize("now_there", [["a"], ["a", "other"], ["a", "other", "c"]])
def test_a_board_notices_that_what_it_folded_last_is_gone(now_there: list[str]) -> None:
    world = StubWorld(held=[recorded(1, "a"), recorded(2, "b")])
    board = Board()
    anyio.run(board.follow, world)
    world.held = [recorded(number, each) for number, each in enumerate(now_there, 1)]

    with pytest.raises(LedgerRegressed) as lost:
        anyio.run(board.follow, world)

    assert (2, "b") == (lost.value.position, lost.value.event_id)


def test_a_board_follows_a_history_that_goes_on() -> None:
    world = StubWorld(held=[recorded(1, "a")])
    board = Board()
    anyio.run(board.follow, world)
    world.held.append(recorded(2, "b"))

    assert anyio.run(board.follow, world)
    assert not anyio.run(board.follow, world)
    assert (2, "b") == (board.position, board.revisions.current)
