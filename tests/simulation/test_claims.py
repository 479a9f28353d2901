"""What an instance knows of its own claims, also when the ledger's answer did not arrive."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from cronledger.domain.catchup import CatchUp
from cronledger.domain.ids import Term
from cronledger.domain.overlap import Overlap
from cronledger.engine.world import Loaded
from cronledger.errors import Fenced, LedgerUnreachable
from cronledger.jobs.api import JobContext
from cronledger.jobs.decorator import job
from cronledger.ledger.api import Answer, Prepared
from tests.checker import problems, triggered
from tests.simulation.cluster import Cluster, SimulatedWorld, definition
from tests.simulation.loop import run
from tests.simulation.test_cluster import exported_lines, live

fences: dict[str, int] = {}


@job
async def fenced(ctx: JobContext) -> None:
    """Remember the fence."""
    fences[ctx.run.id] = ctx.run.fence


def with_lost_answers(seed: int, *, later_term: bool) -> Cluster:
    """Lose the answer to every fifth append of a claim, after its commit; return the cluster afterwards."""
    fences.clear()
    cluster = Cluster([definition("fenced")], [fenced], seed=seed)
    claims = 0

    async def lose(cluster: Cluster, _tasks: anyio.abc.TaskGroup) -> None:
        while not cluster.worlds:
            await anyio.sleep(0.001)
        ledger = cluster.worlds[0].ledger
        submit = ledger.submit

        def losing(items: Sequence[Prepared]) -> list[Answer]:
            nonlocal claims
            answers = submit(items)
            types = {
                event.body.type for each in items for write in each.item.writes for event in write.events
            }
            claims += "run.started" in types
            if "run.started" not in types or claims % 5:
                return answers
            if later_term:
                return [Fenced(each.item.fence or 0, Term(99)) for each in items]
            return submit(items)

        ledger.submit = losing

    run(live, cluster, 1, 23, lose)
    return cluster


def test_a_claim_that_is_only_confirmed_when_asked_again_is_performed() -> None:
    """A lost reply used to leave its run claimed and never performed. Fault 17."""
    cluster = with_lost_answers(1, later_term=False)
    lines = exported_lines(cluster)

    assert [] == problems(lines)
    assert {line["run_id"] for line in lines if line["type"] == "run.started"} == fences.keys()


def test_a_claim_that_stands_though_its_term_is_over_is_performed() -> None:
    """Asked again after a change of leader, the ledger refuses a claim that it has. Fault 17, 21."""
    cluster = with_lost_answers(2, later_term=True)
    lines = exported_lines(cluster)

    assert [] == problems(lines)
    assert {line["run_id"] for line in lines if line["type"] == "run.started"} == fences.keys()
    assert 2 < len([line for line in lines if line["type"] == "leader.elected"])


def test_the_fence_is_the_position_of_the_start_also_when_several_runs_are_caught_up_at_once() -> None:
    """The fence used to be the last position of the append. Fault 10."""

    async def stall(cluster: Cluster, _tasks: anyio.abc.TaskGroup) -> None:
        await anyio.sleep(3.5)
        cluster.worlds[0].stalled_until = anyio.current_time() + 5.0

    fences.clear()
    every = definition("fenced", catch_up=CatchUp.ALL, overlap=Overlap.QUEUE)
    cluster = Cluster([every], [fenced])
    run(live, cluster, 1, 15, stall)
    lines = exported_lines(cluster)

    assert [] == problems(lines)
    assert {line["run_id"]: line["position"] for line in lines if line["type"] == "run.started"} == fences


def test_an_instance_whose_ledger_goes_away_while_it_starts_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It used to end with a traceback. Fault 13, 14."""
    load, tries = SimulatedWorld.load, []

    async def refuse_twice(world: SimulatedWorld) -> Loaded:
        tries.append(world)
        if len(tries) < 3:
            raise LedgerUnreachable("the ledger is away")
        return await load(world)

    monkeypatch.setattr(SimulatedWorld, "load", refuse_twice)
    cluster = Cluster([definition("fenced")], [fenced])
    run(live, cluster, 1, 10)

    assert 3 == len(tries)
    assert [] == problems(exported_lines(cluster))
    assert triggered(exported_lines(cluster))
