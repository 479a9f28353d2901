"""The limit of a queue holds over all instances and all of its jobs, whatever happens to them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import anyio
import pytest

from cronledger.domain.overlap import Overlap
from cronledger.engine.plan import Plan
from cronledger.jobs.decorator import job
from tests.checker import problems, triggered
from tests.simulation.cluster import Cluster, definition
from tests.simulation.loop import run
from tests.simulation.test_cluster import exported_lines, live, replace_the_crashed

ENDS = {"succeeded", "partial", "failed", "timed_out", "cancelled", "lost", "interrupted"}


@job
async def slow() -> None:
    """Take longer than the time between two fire times."""
    await anyio.sleep(2.5)


@job
async def first() -> None:
    """Take as long."""
    await anyio.sleep(2.5)


def most_at_once(lines: Iterable[dict[str, object]]) -> int:
    """Return how many runs were performed at once, at most."""
    going: set[object] = set()
    most = 0
    for line in lines:
        kind, _, what = str(line["type"]).partition(".")
        if line["type"] == "run.started":
            going.add(line["run_id"])
        elif kind in ("run", "attempt") and what in ENDS:
            going.discard(line["run_id"])
        most = max(most, len(going))
    return most


def limited(limit: int) -> Cluster:
    return Cluster(
        [
            definition("slow", overlap=Overlap.ALLOW, queue="printer", queue_limit=limit),
            definition("other", job="slow", overlap=Overlap.QUEUE, queue="printer", queue_limit=limit),
        ],
        [slow],
        seed=5,
    )


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_runs_of_a_queue_than_its_limit_are_performed_at_once(limit: int) -> None:
    cluster = limited(limit)
    run(live, cluster, 3, 30)
    lines = exported_lines(cluster)

    assert [] == problems(lines, all_ended=False)
    assert limit == most_at_once(lines)
    assert 10 * limit <= sum(line["type"] == "run.started" for line in lines)


def test_a_limit_holds_through_crashes_and_stalls() -> None:
    cluster = limited(2)
    cluster.chances = {
        "crash before": 0.005,
        "crash after": 0.005,
        "stall before": 0.005,
        "stall after": 0.005,
    }
    run(live, cluster, 3, 120, replace_the_crashed)
    lines = exported_lines(cluster)

    assert [] == problems(lines, all_ended=False)
    assert 2 == most_at_once(lines)


def test_of_the_runs_that_wait_for_a_queue_the_one_with_the_highest_priority_is_claimed_first() -> None:
    cluster = Cluster(
        [
            definition("slow", schedule="*/10 * * * * *", queue="printer", queue_limit=1),
            definition("first", schedule="*/10 * * * * *", queue="printer", queue_limit=1, priority=7),
        ],
        [slow, first],
    )
    run(live, cluster, 2, 55)
    lines = exported_lines(cluster)
    started = [str(line["job"]) for line in lines if line["type"] == "run.started"]

    assert 5 <= len(triggered(lines, "first"))
    assert ["first", "slow"] * (len(started) // 2) == started


def test_of_the_runs_that_are_due_at_once_the_one_with_the_highest_priority_gets_the_place_there_is() -> None:
    cluster = Cluster(
        [
            definition("slow", schedule="*/10 * * * * *"),
            definition("urgent", job="slow", schedule="*/10 * * * * *", priority=7),
        ],
        [slow],
    )

    async def lived() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(cluster.instance, plan=Plan(max_runs=1)))
            await anyio.sleep(55)
            cluster.stop(cluster.worlds[0])

    run(lived)
    started = [line["job"] for line in exported_lines(cluster) if line["type"] == "run.started"]

    assert 5 <= len(started) // 2
    assert ["urgent", "slow"] * (len(started) // 2) == started
