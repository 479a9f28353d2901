"""How often an instance goes to its ledger, and how much it does, in virtual time."""

from __future__ import annotations

import sys
from collections import Counter
from types import FrameType

import anyio
import pytest

from cronledger.domain.overlap import Overlap
from cronledger.jobs.api import Job
from cronledger.jobs.decorator import job
from tests.simulation.cluster import Cluster, definition
from tests.simulation.loop import run

MINUTE = 60


@job
async def nothing() -> None:
    """Do nothing."""


def cluster_of(schedule: str, *, jobs: int, kind: str = "file") -> Cluster:
    code: Job = nothing
    definitions = [
        definition(f"nothing-{number}", job="nothing", schedule=schedule, overlap=Overlap.ALLOW)
        for number in range(jobs)
    ]
    cluster = Cluster(definitions, [code], kind=kind)
    cluster.latency = 0.0
    return cluster


class Calls:
    """Counts the functions of the product that are called while it listens."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and "/cronledger/" in frame.f_code.co_filename:
            self.count += 1


async def lived(cluster: Cluster, seconds: float, instances: int = 1) -> tuple[list[Counter[str]], int]:
    """Let instances settle for a minute, then live on; return what each asked and how much was called."""
    async with anyio.create_task_group() as tasks:
        for _ in range(instances):
            tasks.start_soon(cluster.instance)
        await anyio.sleep(MINUTE)
        before = [Counter(world.asked) for world in cluster.worlds]
        sys.setprofile(calls := Calls())
        await anyio.sleep(seconds)
        sys.setprofile(None)
        asked = [world.asked - earlier for world, earlier in zip(cluster.worlds, before, strict=True)]
        for world in cluster.worlds:
            cluster.stop(world)
    return asked, calls.count


@pytest.mark.parametrize("kind", ["file", "server"])
def test_an_idle_instance_goes_to_the_ledger_once_a_second_whether_it_leads_or_not(kind: str) -> None:
    seconds = 8 * MINUTE
    asked, _ = run(lived, cluster_of("0 0 0 1 1 *", jobs=5, kind=kind), seconds, 2)

    assert all(each.total() <= seconds for each in asked), asked
    assert {frozenset({"head", "renew", "beats"}), frozenset({"head", "beats"})} == {
        frozenset(each) for each in asked
    }


def test_a_run_alone_is_two_commits_and_two_looks_at_the_news() -> None:
    runs = 8
    asked, _ = run(lived, cluster_of("0 * * * * *", jobs=1), runs * MINUTE)
    ledger = asked[0]

    assert 2 * runs == ledger["submit"]
    assert ledger["read_all"] <= 2 * runs
    assert ledger["project"] <= 2 * runs
    assert not ledger.keys() - {"submit", "read_all", "project", "head", "renew", "beats"}


def test_a_hundred_runs_at_once_are_not_a_hundred_commits() -> None:
    asked, _ = run(lived, cluster_of("0 * * * * *", jobs=100), 10 * MINUTE)

    assert asked[0]["submit"] <= 10 * 4


def test_what_a_wake_up_with_nothing_due_does_depends_on_no_job() -> None:
    few, many = (run(lived, cluster_of("0 0 0 1 1 *", jobs=jobs), MINUTE)[1] for jobs in (10, 10_000))

    assert few == many
    assert few > 0
