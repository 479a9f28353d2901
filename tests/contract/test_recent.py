"""What is remembered of one's own appends is what reading them would give, on every database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import msgspec
import pytest

from cronledger.clock import SystemClock
from cronledger.domain.events import Actor, AttemptFailed, JobPaused, Recorded, RunTriggered, StepSucceeded
from cronledger.domain.ids import JobName, Position, job_stream, run_stream, scheduled_run
from cronledger.engine.board import Board
from cronledger.errors import Conflict, LedgerUnreachable
from cronledger.ledger import recent
from cronledger.ledger.api import Item, Write
from cronledger.ledger.database import Store
from cronledger.projections import fold, replay
from cronledger.world import ProcessWorld
from tests.conftest import HERE
from tests.events import JOB, NOON, PLANNER, RUN, Event, started, step, succeeded, triggered

STREAM = run_stream(RUN)
START = Position(0)


def scripted(store: Store, script: Callable[[ProcessWorld], Any]) -> Any:
    """Run a script with a world of its own."""

    async def main() -> Any:
        world = ProcessWorld(store, instance=HERE, clock=SystemClock(), build="1")
        try:
            return await script(world)
        finally:
            world.close()

    return anyio.run(main)


def counted(world: ProcessWorld) -> list[tuple[Any, ...]]:
    """Note every page of events that is read from the ledger."""
    read: list[tuple[Any, ...]] = []
    plain = world.read

    async def reading(function: Callable[..., Any], *args: Any) -> Any:
        if function == world.store.ledger.read_all:
            read.append(args)
        return await plain(function, *args)

    world.read = reading  # type: ignore[method-assign]
    return read


async def a_run(world: ProcessWorld) -> None:
    """Append all that a run may leave: values of any kind, several writes of one stream in an item."""
    words = RunTriggered(parameters={"at": (1, 2), "who": "é\x00"}, reason="because")
    first = triggered()
    first = Event(body=words, actor=PLANNER, job=JOB, run_id=RUN, fire_at=NOON, cause=first.cause)
    await world.append(Item((Write(STREAM, (first,)), Write(STREAM, (started(),), expected=1))))
    kept = StepSucceeded(name="add", result={"sum": (1.5, None)}, items_processed=3)
    result = Event(body=kept, actor=PLANNER, job=JOB, run_id=RUN, attempt=1)
    await world.append(Item((Write(STREAM, (step("add"), result), expected=2),)))
    await world.append(Item((Write(STREAM, (succeeded(),), expected=4),)))


def test_what_is_remembered_is_what_would_be_read(store: Store) -> None:
    async def script(world: ProcessWorld) -> tuple[list[Recorded], list[Any]]:
        read = counted(world)
        await a_run(world)
        return await world.events_after(START, 100), read

    remembered, read = scripted(store, script)

    assert [] == read
    assert store.ledger.read_all(START, 100) == remembered


@pytest.mark.parametrize("name", ["ann", "a\nb", "a\x1b[31m", "a\u200bb", "a\xa0b", "ä", "\ud800"])
def test_an_actor_is_remembered_as_he_is_kept(store: Store, name: str) -> None:
    async def script(world: ProcessWorld) -> list[Recorded]:
        event = msgspec.structs.replace(triggered(), actor=Actor.operator(name))
        await world.append(Item((Write(STREAM, (event,)),)))
        return await world.events_after(START, 100)

    remembered = scripted(store, script)

    assert store.ledger.read_all(START, 100) == remembered


def test_what_is_loaded_is_as_of_the_position_that_it_says(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another instance may bring the views further before the rows are read: nothing is folded twice."""

    def overtaken(store: Store) -> Position:
        reached = fold.catch_up(store)
        failed = Event(body=AttemptFailed(error="x"), actor=PLANNER, job=JOB, run_id=RUN, attempt=1)
        store.ledger.append(Write(STREAM, (triggered(), started(), failed)))
        fold.catch_up(store)
        return reached

    async def script(world: ProcessWorld) -> Board:
        monkeypatch.setattr(replay, "catch_up", overtaken)
        board = Board()
        board.load(await world.load())
        await world.head()
        await board.follow(world)
        return board

    board = scripted(store, script)

    assert store.ledger.head().position == board.position
    assert 1 == board.runs[RUN].failures
    assert (RUN,) == board.jobs[JOB].in_flight


def test_a_page_ends_where_it_is_full_and_goes_on_from_its_last_event(store: Store) -> None:
    async def script(world: ProcessWorld) -> tuple[list[int], list[int], list[Any]]:
        read = counted(world)
        await a_run(world)
        page = await world.events_after(START, 3)
        rest = await world.events_after(Position(2), 100)
        return [each.position for each in page], [each.position for each in rest], read

    assert ([1, 2, 3], [3, 4, 5], []) == scripted(store, script)


@pytest.mark.parametrize("by", ["another process", "a guess", "the planner"])
def test_what_is_not_ours_in_one_piece_is_read(store: Store, by: str) -> None:
    """Somebody else's event, one whose version is not known, one of a job: all are read."""
    other = triggered(NOON + timedelta(hours=1))
    paused = Event(body=JobPaused(), actor=PLANNER, job=JOB)
    foreign = {
        "another process": Write(run_stream(other.run_id or RUN), (other,)),
        "a guess": Write(run_stream(other.run_id or RUN), (other,), expected=None),
        "the planner": Write(job_stream(JOB), (paused,)),
    }[by]

    async def script(world: ProcessWorld) -> tuple[list[Recorded], list[Any]]:
        read = counted(world)
        if by == "another process":
            store.ledger.append(foreign)
        else:
            await world.append(Item((foreign,)))
        await a_run(world)
        await world.head()
        return await world.events_after(START, 100), read

    remembered, read = scripted(store, script)

    assert [(START, 100)] == read
    assert store.ledger.read_all(START, 100) == remembered


def test_who_has_seen_a_later_head_reads(store: Store) -> None:
    async def script(world: ProcessWorld) -> tuple[int, list[Any]]:
        read = counted(world)
        await a_run(world)
        store.ledger.append(
            Write(run_stream(scheduled_run(JobName("b"), NOON)), (triggered(job=JobName("b")),))
        )
        await world.head()
        return len(await world.events_after(START, 100)), read

    assert (6, [(START, 100)]) == scripted(store, script)


def test_nothing_is_remembered_of_a_refusal_and_after_the_views_were_loaded(store: Store) -> None:
    async def script(world: ProcessWorld) -> list[Any]:
        read = counted(world)
        await a_run(world)
        with pytest.raises(Conflict):
            await world.append(Item((Write(STREAM, (succeeded(),), expected=1),)))
        await world.load()
        await world.events_after(START, 100)
        return read

    assert [(START, 100)] == [each for each in scripted(store, script) if each[1] == 100]


def test_the_memory_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MOST", 3)

    async def script(world: ProcessWorld) -> tuple[int, list[Any]]:
        read = counted(world)
        await a_run(world)
        return len(await world.events_after(START, 100)), read

    assert (5, [(START, 100)]) == scripted(store, script)


def test_callers_of_one_turn_share_a_commit(store: Store) -> None:
    async def script(world: ProcessWorld) -> list[int]:
        batches: list[int] = []
        submit = store.ledger.submit

        def counting(batch: Any) -> Any:
            batches.append(len(batch))
            return submit(batch)

        store.ledger.submit = counting  # type: ignore[method-assign]
        async with anyio.create_task_group() as tasks:
            for hour in range(5):
                event = triggered(NOON + timedelta(hours=hour))
                assert event.run_id is not None
                tasks.start_soon(world.append, Item((Write(run_stream(event.run_id), (event,)),)))
        return batches

    assert [5] == scripted(store, script)


def test_who_asks_a_closed_world_is_told(store: Store) -> None:
    async def script(world: ProcessWorld) -> None:
        world.close()
        with pytest.raises(LedgerUnreachable, match="closed"):
            await world.append(Item((Write(STREAM, (triggered(),)),)))

    scripted(store, script)
