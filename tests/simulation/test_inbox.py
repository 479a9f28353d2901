"""Requests of applications in a cluster: exactly one run each, whatever happens to the leader just then."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest

from cronledger.domain.ids import JobName
from cronledger.domain.overlap import Overlap
from cronledger.domain.requests import Requested
from cronledger.ledger.api import Prepared
from tests.checker import problems
from tests.simulation.cluster import Cluster, definition
from tests.simulation.loop import elapsed
from tests.simulation.test_faults import at_next, cluster_of, ends_of, lines, live


def wish(number: int, job: str = "again", *, key: str | None = None) -> Requested:
    return Requested(id=f"{number:032x}", job=JobName(job), actor="shop", key=key)


def put(cluster: Cluster, *requests: Requested) -> None:
    cluster.inbox |= {each.id: each for each in requests}


def asks_for_a_run(prepared: Prepared) -> bool:
    """Whether an item is what the leader makes of a request."""
    return any("!" in write.stream for write in prepared.item.writes) and prepared.item.fence is not None


def quick(**fields: object) -> Cluster:
    return cluster_of(definition("again", job="quick", schedule="", **fields))


def test_requests_become_runs_within_a_second_and_leave_the_inbox() -> None:
    cluster = quick(overlap=Overlap.ALLOW)
    took: list[float] = []

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(5.3)
        put(cluster, *(wish(number) for number in range(600)))
        began = elapsed()
        while cluster.inbox:
            await anyio.sleep(0.01)
        took.append(elapsed() - began)
        await anyio.sleep(2)

    live(cluster, script)

    assert {"run.triggered": 600, "run.started": 600, "run.succeeded": 600} == Counter(
        ends_of(cluster, "again")
    )
    assert [] == problems(lines(cluster))
    assert took[0] < 1.5


@pytest.mark.parametrize("fault", ["crash before", "crash after", "held", "unknown", "lost", "stall after"])
def test_a_request_becomes_one_run_whatever_happens_at_its_append(fault: str) -> None:
    cluster = quick()

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(5)
        put(cluster, wish(1), wish(2, key="k"), wish(3, key="k"))
        at_next(cluster, fault, asks_for_a_run)
        await anyio.sleep(60)

    live(cluster, script, instances=2)
    counted = Counter(line["run_id"] for line in lines(cluster) if line["type"] == "run.triggered")

    assert {wish(1).run_id: 1, wish(2, key="k").run_id: 1} == counted
    assert {} == cluster.inbox
    assert [] == problems(lines(cluster))


def test_a_request_that_the_overlap_policy_refuses_is_recorded_with_the_run_in_its_way() -> None:
    cluster = quick()

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(5)
        put(cluster, wish(1), wish(2))
        await anyio.sleep(5)

    live(cluster, script)
    (refused,) = (line for line in lines(cluster) if line["type"] == "run.cancelled")

    assert (wish(2).run_id, "overlap") == (refused["run_id"], refused["body"]["reason"])
    assert f"{wish(1).run_id} is in the way" == refused["body"]["message"]


def test_rows_that_nobody_can_perform_or_name_hold_up_no_others() -> None:
    cluster = quick()
    nameless = Requested(id="1", job=JobName("Not a name"), actor="shop")

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(5)
        put(cluster, nameless, wish(1, "nobodys"), wish(2))
        await anyio.sleep(5)

    live(cluster, script)
    failed = [line for line in lines(cluster) if line["type"] == "run.failed"]

    assert [("nobodys", "unknown_job")] == [(line["job"], line["body"]["reason"]) for line in failed]
    assert ["run.triggered", "run.started", "run.succeeded"] == ends_of(cluster, "again")
    assert {} == cluster.inbox


def test_an_idle_leader_does_not_ask_for_requests() -> None:
    cluster = quick()
    asked: list[int] = []

    async def script(cluster: Cluster) -> None:
        world = cluster.worlds[0]
        ask = world.requests

        async def counted(limit: int) -> list[Requested]:
            asked.append(limit)
            return await ask(limit)

        world.requests = counted  # type: ignore[method-assign]
        await anyio.sleep(30)

    live(cluster, script)

    assert [] == asked
