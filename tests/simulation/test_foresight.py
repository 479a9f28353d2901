"""Many jobs that are due at once are decided about shortly before: only how long it takes is different."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from cronledger.domain import events as e
from cronledger.domain import job as jobs
from cronledger.domain.ids import JobName, Term, job_stream, scheduled_run
from cronledger.domain.job import JobState
from cronledger.engine.board import Board
from cronledger.engine.foresight import AHEAD, MANY
from cronledger.engine.plan import Plan
from cronledger.engine.planner import CHUNK, FORESEEN_AT_ONCE, Planner
from cronledger.jobs.api import JobContext
from cronledger.jobs.decorator import job
from cronledger.ledger.api import Item, Write
from tests.events import NOON
from tests.simulation.cluster import Cluster, definition
from tests.simulation.loop import run


@job
async def nothing() -> None:
    """Do nothing."""


@job
async def until_shortly_before() -> None:
    """Take a little less than five seconds: past the look, not past the fire time."""
    await anyio.sleep(4.85)


def a_late_cancellation() -> None:
    """Leave a timeout made by hand that is never taken back."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_later(0.004, task.cancel)


def a_scope_that_ends_later() -> None:
    """Enter a scope, do not leave it, and let it be cancelled later."""
    scope = anyio.CancelScope()
    scope.__enter__()
    asyncio.get_running_loop().call_later(0.004, scope.cancel)


@job
async def slow() -> None:
    """Take until shortly before the next fire time."""
    await anyio.sleep(9.9)


def cluster_of(count: int, **fields: object) -> Cluster:
    """Have so many jobs that are due every ten seconds."""
    definitions = [
        definition(f"job-{number:04}", schedule="*/10 * * * * *", extension="", job="nothing", **fields)
        for number in range(count)
    ]
    return Cluster(definitions, [nothing, slow, until_shortly_before])


async def lived(cluster: Cluster, plan: Plan | None = None, *, seconds: float = 25) -> list[e.Recorded]:
    """Let one instance live for a while; return the events of runs and skips."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: cluster.instance(plan=plan))
        await anyio.sleep(seconds)
        cluster.stop(cluster.worlds[0])
    return list(cluster.events())


def triggers(events: list[e.Recorded]) -> Iterator[tuple[e.Recorded, timedelta]]:
    """Yield every trigger, and how long after its fire time its id was made."""
    for event in events:
        if isinstance(event.body, e.RunTriggered) and event.fire_at is not None:
            made = datetime.fromtimestamp(int(event.id[:12], 16) / 1000, UTC)
            yield event, made - event.fire_at


def test_many_jobs_that_share_a_fire_time_are_decided_about_before_it() -> None:
    events = run(lived, cluster_of(MANY))
    early = {made < timedelta(0) for _, made in triggers(events)}
    recorded = {event.recorded_at >= event.fire_at for event, _ in triggers(events) if event.fire_at}

    assert {True} == early
    assert {True} == recorded
    assert -AHEAD <= min(made for _, made in triggers(events))


def test_a_few_are_decided_about_when_they_are_due() -> None:
    events = run(lived, cluster_of(MANY - 1))

    assert all(made >= timedelta(0) for _, made in triggers(events))
    assert 2 * (MANY - 1) <= len(list(triggers(events)))


def test_a_job_that_is_paused_after_the_look_does_not_fire() -> None:
    cluster = cluster_of(MANY)
    paused = JobName("job-0007")

    async def pause() -> None:
        await anyio.sleep(10 - cluster.clock.now().timestamp() % 10 + 9.9)
        state = cluster.folded().jobs[paused]
        changes = tuple(jobs.pause(state, e.Actor.operator("somebody"), None))
        await cluster.worlds[0].append(Item((Write(job_stream(paused), changes, expected=state.version),)))

    async def steered() -> list[e.Recorded]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pause)
            return await lived(cluster)

    events = run(steered)
    (at,) = (event.recorded_at for event in events if isinstance(event.body, e.JobPaused))
    later = [(event, made) for event, made in triggers(events) if event.recorded_at > at]

    assert paused not in {event.job for event, _ in later}
    assert MANY - 1 == len(later)
    assert {True} == {made < timedelta(0) for _, made in later}


def test_a_run_that_ends_after_the_look_is_not_in_the_way_at_the_fire_time() -> None:
    """What was decided while it went on, a skip, would be wrong."""
    cluster = cluster_of(MANY)
    cluster.definitions[3] = definition("slow", schedule="*/10 * * * * *", extension="", job="slow")
    events = run(lived, cluster)
    slowly = [made for event, made in triggers(events) if event.job == "slow"]

    assert [] == [event for event in events if isinstance(event.body, e.FireTimesSkipped)]
    assert [True, False] == [made < timedelta(0) for made in slowly]


@pytest.mark.parametrize("room", [1000, 100])
def test_runs_that_end_wait_with_their_outcome_until_all_that_are_due_have_begun(room: int) -> None:
    """Unless they keep others from beginning."""
    many = 2 * CHUNK + MANY
    cluster = cluster_of(many)
    events = run(lived, cluster, Plan(max_runs=room, drain_seconds=5))
    first = min(event.fire_at for event, _ in triggers(events) if event.fire_at)
    started = [
        each.position for each in events if each.fire_at == first and isinstance(each.body, e.RunStarted)
    ]
    ended = [
        each.position for each in events if each.fire_at == first and isinstance(each.body, e.RunSucceeded)
    ]

    assert (many, many) == (len(started), len(ended))
    assert (room == 1000) == (max(started) < min(ended))


def test_a_place_that_is_free_by_the_fire_time_is_claimed_with_the_trigger() -> None:
    """At the time of the look other jobs held all of them."""
    cluster = cluster_of(MANY)
    cluster.definitions += [
        definition(f"before-{number:04}", schedule="5/10 * * * * *", extension="", job="until_shortly_before")
        for number in range(MANY)
    ]
    events = run(lived, cluster, Plan(max_runs=MANY, drain_seconds=5))
    started = {each.run_id: each.position for each in events if isinstance(each.body, e.RunStarted)}
    late = [event for event, _ in triggers(events) if str(event.job).startswith("job-")]

    assert 2 * MANY == len(late)
    assert {1} == {started[event.run_id] - event.position for event in late}


@pytest.mark.parametrize("many", [3, 600])
@pytest.mark.parametrize("leftover", [a_late_cancellation, a_scope_that_ends_later])
def test_a_job_that_leaves_something_behind_is_performed_once(
    leftover: Callable[[], None], many: int
) -> None:
    """Also where its outcome waits until all others have begun: on its own task it could be stopped."""
    performed: Counter[str] = Counter()

    @job
    async def careless(ctx: JobContext) -> None:
        """Leave something behind that reaches the task later."""
        performed[ctx.run.id] += 1
        leftover()

    cluster = cluster_of(many)
    cluster.jobs["careless"] = careless
    cluster.definitions.append(
        definition("a-careless", schedule="*/10 * * * * *", extension="", job="careless")
    )
    cluster.latency = 0.02
    events = run(lived, cluster, Plan(max_runs=5000, drain_seconds=5))
    ended = [each for each in events if each.job == "a-careless" and e.has_ended_run(each.body)]

    assert (2, {1}) == (len(performed), set(performed.values()))
    assert len(performed) == len(ended)


def test_what_was_claimed_while_the_ledger_was_away_is_handed_back_by_an_instance_that_ends() -> None:
    """The answer comes when nothing more is begun: the next instance performs the runs."""
    many = 3 * CHUNK
    cluster = cluster_of(many)

    async def steered() -> list[e.Recorded]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.instance)
            await anyio.sleep(10.02)
            cluster.hang(8)
            await anyio.sleep(0.3)
            cluster.stop(cluster.worlds[0])
            await cluster.worlds[0].ended.wait()
            tasks.start_soon(cluster.instance)
            await anyio.sleep(5)
            cluster.stop(cluster.worlds[1])
        return list(cluster.events())

    events = run(steered)
    first = min(event.fire_at for event, _ in triggers(events) if event.fire_at)
    kinds = Counter(type(event.body) for event in events if event.fire_at == first)

    assert 0 < kinds[e.AttemptInterrupted] <= kinds[e.RunTriggered] == many
    assert (many, 0) == (kinds[e.RunSucceeded], kinds[e.RunLost])


def test_a_look_that_finds_nothing_to_decide_does_not_hold_up_the_loop() -> None:
    board, before = Board(), NOON - timedelta(seconds=10)
    for number in range(10 * FORESEEN_AT_ONCE):
        name = JobName(f"job-{number:04}")
        board.jobs[name] = JobState(
            name=name,
            definition=definition(name, schedule="*/10 * * * * *", extension="", job="slow"),
            planned_until=before,
            in_flight=(scheduled_run(name, before),),
        )
    world: Any = SimpleNamespace(now=lambda: NOON - AHEAD)
    turns = 0

    async def turning() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async def looked() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turning)
            await Planner(world, board).look_ahead(world.now(), Term(1), may_claim=lambda *_: False)
            tasks.cancel_scope.cancel()

    run(looked)

    assert 9 <= turns
