"""What simulated runs say beside their events: the engine needs no threads for it."""

from __future__ import annotations

import anyio

from cronledger.jobs.api import JobContext
from cronledger.jobs.decorator import job
from tests.checker import problems
from tests.simulation.cluster import Cluster, definition
from tests.simulation.loop import run
from tests.simulation.test_cluster import exported_lines, live


@job
async def noted(ctx: JobContext) -> None:
    """Say something in a step, and how far it is."""
    async with ctx.step("work"):
        ctx.log.info("half way")
        ctx.progress(1, 2)
        await anyio.sleep(0.3)


def test_lines_and_progress_of_simulated_runs_are_kept_by_their_instance() -> None:
    cluster = Cluster([definition("noted")], [noted])
    run(live, cluster, 2, 20)
    lines = [line for world in cluster.worlds for line in world.notes.lines]
    started = {each.run_id for each in cluster.events() if each.type == "run.started"}

    assert [] == problems(exported_lines(cluster))
    assert {("half way", "work")} == {(line.message, line.step) for line in lines}
    assert started == {line.run_id for line in lines}
    assert len(started) == len(lines)
    assert [{}, {}] == [world.notes.progress for world in cluster.worlds]
