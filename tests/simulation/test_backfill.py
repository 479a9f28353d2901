"""Backfill beside the schedule: one run at a time, behind all else, and nothing skipped because of it."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest

from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.ids import RunId, backfill_run, is_backfill, run_stream
from cronledger.domain.overlap import Overlap
from cronledger.ledger.api import Write
from tests.checker import problems
from tests.simulation.cluster import Cluster, definition
from tests.simulation.test_faults import cluster_of, lines, live


def trigger(cluster: Cluster, count: int) -> list[RunId]:
    """Append what `infra jobs backfill` appends."""
    (job,) = cluster.definitions
    ledger = cluster.worlds[0].ledger
    runs = []
    for number in range(count):
        fire_at = cluster.start - timedelta(hours=number + 1)
        run_id = backfill_run(job.name, fire_at, 1)
        event = run.trigger(job, run_id, e.Cause.BACKFILL, e.Actor.operator("ann"), fire_at=fire_at)
        ledger.append(Write(run_stream(run_id), (event,)))
        runs.append(run_id)
    return runs


def story(cluster: Cluster) -> list[tuple[str, str]]:
    """Return who began and who ended, in order."""
    return [
        (line["type"], "backfill" if is_backfill(line["run_id"]) else "schedule")
        for line in lines(cluster)
        if line["type"] in ("run.started", "run.succeeded")
    ]


@pytest.mark.parametrize("policy", [Overlap.SKIP, Overlap.QUEUE, Overlap.REPLACE])
def test_backfill_waits_in_line_and_lets_the_schedule_go_first(policy: Overlap) -> None:
    cluster = cluster_of(definition("slow", schedule="*/10 * * * * *", overlap=policy))

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(3)
        trigger(cluster, 8)
        await anyio.sleep(45)

    live(cluster, script, instances=2)
    told = story(cluster)
    kinds = [who for kind, who in told if kind == "run.started"]

    assert [] == [line for line in lines(cluster) if line["type"] == "job.fire_times_skipped"]
    assert 8 == kinds.count("backfill")
    assert kinds.count("schedule") >= 4
    assert ["run.started", "run.succeeded"] * len(kinds) == [kind for kind, _ in told], "one at a time"
    assert "schedule" in kinds[kinds.index("backfill") : -kinds[::-1].index("backfill")]
    assert [] == problems(lines(cluster))


def test_backfill_runs_beside_one_another_where_that_is_allowed() -> None:
    cluster = cluster_of(definition("slow", schedule="0 0 * * * *", overlap=Overlap.ALLOW, max_concurrent=3))

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(3)
        trigger(cluster, 6)
        await anyio.sleep(8)

    live(cluster, script)

    assert 6 == story(cluster).count(("run.succeeded", "backfill"))


def test_a_run_that_stands_in_line_for_long_is_not_taken_for_one_that_nobody_provides() -> None:
    cluster = cluster_of(definition("slow", schedule="", claim_timeout_seconds=4))

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(3)
        trigger(cluster, 8)
        await anyio.sleep(30)

    live(cluster, script, instances=2)

    assert 8 == story(cluster).count(("run.succeeded", "backfill"))


def test_backfill_moves_the_schedule_nowhere() -> None:
    cluster = cluster_of(definition("slow", schedule="0 0 * * * *"))
    planned = []

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(3)
        planned.append(cluster.folded().jobs["slow"].planned_until)  # type: ignore[index] # a JobName
        trigger(cluster, 2)
        await anyio.sleep(10)
        planned.append(cluster.folded().jobs["slow"].planned_until)  # type: ignore[index]

    live(cluster, script)

    assert planned[0] is not None
    assert planned[0] == planned[1]
