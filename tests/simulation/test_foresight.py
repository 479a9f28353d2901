"""Many jobs that are due at once are decided about shortly before: only how long it takes is different."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from cronledger.domain import events as e
from cronledger.domain import job as jobs
from cronledger.domain.ids import JobName, job_stream
from cronledger.engine.foresight import AHEAD, MANY
from cronledger.engine.plan import Plan
from cronledger.engine.planner import CHUNK
from cronledger.jobs.decorator import job
from cronledger.ledger.api import Item, Write
from tests.simulation.cluster import Cluster, definition
from tests.simulation.loop import run


@job
async def nothing() -> None:
    """Do nothing."""


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
    return Cluster(definitions, [nothing, slow])


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
