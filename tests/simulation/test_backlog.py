"""A backlog that takes long to decide about: the loop is not kept by it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import anyio
import pytest

from cronledger.domain import events as e
from cronledger.domain.catchup import CatchUp
from cronledger.domain.due import AT_ONCE
from cronledger.engine import planner
from cronledger.jobs.decorator import job
from cronledger.ledger.api import Item, Prepared
from tests.simulation.cluster import Cluster, definition
from tests.simulation.loop import run
from tests.simulation.world import HostClock, SimulatedWorld

JOBS = 40
LOOK_SECONDS = 0.1
"""What each look at the clock takes here."""


@job
async def nothing() -> None:
    """Do nothing."""


@pytest.mark.parametrize("most", [2, planner.JOBS_AT_ONCE])
def test_jobs_are_decided_about_as_far_as_there_is_time_and_the_others_after_that(
    most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance that decides for longer than five seconds in one piece is taken for one that hangs."""
    looks = count()
    together: list[int] = []
    handed_over = SimulatedWorld.submit

    def submit(world: SimulatedWorld, items: Sequence[Item | Prepared]) -> object:
        together.append(sum("run.triggered" in _types(each) for each in items))
        return handed_over(world, items)

    monkeypatch.setattr(HostClock, "monotonic", lambda _clock: next(looks) * LOOK_SECONDS)
    monkeypatch.setattr(SimulatedWorld, "submit", submit)
    monkeypatch.setattr(planner, "SECONDS_AT_ONCE", most)
    cluster = Cluster(
        [
            definition(f"job-{number:04}", schedule="*/10 * * * * *", extension="", job="nothing")
            for number in range(JOBS)
        ],
        [nothing],
    )

    async def lived() -> list[e.Recorded]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.instance)
            await anyio.sleep(25)
            cluster.stop(cluster.worlds[0])
        return list(cluster.events())

    triggered = [each for each in run(lived) if isinstance(each.body, e.RunTriggered)]

    assert 2 * JOBS == len({each.run_id for each in triggered}) == len(triggered)
    assert max(together) <= planner.CHUNK_SECONDS / LOOK_SECONDS + 1


def test_a_backlog_of_one_job_is_decided_in_portions_each_in_its_own_turn() -> None:
    away = 3 * AT_ONCE
    cluster = Cluster(
        [definition("often", schedule="* * * * * *", extension="", job="nothing", catch_up=CatchUp.LATEST)],
        [nothing],
    )

    async def lived() -> list[e.Recorded]:
        async with anyio.create_task_group() as tasks:
            for life in range(2):
                tasks.start_soon(cluster.instance)
                await anyio.sleep(20)
                cluster.stop(cluster.worlds[life])
                await anyio.sleep(away * (life == 0))
        return list(cluster.events())

    events = run(lived)
    fired = [each.fire_at for each in events if isinstance(each.body, e.RunTriggered) and each.fire_at]
    skipped = [each.body for each in events if isinstance(each.body, e.FireTimesSkipped)]
    span = round((max(fired) - min(fired)).total_seconds()) + 1

    assert span > away
    assert span == len(set(fired)) + sum(body.count for body in skipped)
    assert len(set(fired)) == len(fired) < 50
    assert {"misfire"} == {body.reason for body in skipped}
    assert AT_ONCE >= max(body.count for body in skipped) > AT_ONCE / 2


def _types(asked: Item | Prepared) -> set[str]:
    item = asked.item if isinstance(asked, Prepared) else asked
    return {event.body.type for write in item.writes for event in write.events}
