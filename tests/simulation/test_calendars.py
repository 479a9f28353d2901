"""Calendars in a cluster: what they take away is told once, whoever leads."""

from __future__ import annotations

import anyio

from cronledger.domain.calendar import Blackout, Calendar
from cronledger.domain.catchup import CatchUp
from cronledger.domain.overlap import Overlap
from cronledger.jobs.decorator import job
from tests.checker import problems, triggered
from tests.simulation.cluster import Cluster, definition
from tests.simulation.loop import run
from tests.simulation.test_cluster import exported_lines, live

DARK = Calendar(name="dark", blackout=(Blackout("00:00:10", "00:00:40"),))
"""Closed for half a minute, ten seconds after a cluster begins to live."""


@job
async def quick() -> None:
    """Take no time."""


def skips(lines: list[dict[str, object]]) -> list[tuple[str, int]]:
    bodies = [line["body"] for line in lines if line["type"] == "job.fire_times_skipped"]
    return [(body["reason"], body["count"]) for body in bodies if isinstance(body, dict)]


def test_a_blackout_of_a_job_that_fires_every_second_is_one_event() -> None:
    cluster = Cluster([definition("quick", calendar=DARK, overlap=Overlap.ALLOW)], [quick])
    run(live, cluster, 1, 60)
    lines = exported_lines(cluster)

    assert [] == problems(lines)
    assert [("calendar", 30)] == skips(lines)
    assert 27 <= len(triggered(lines, "quick")) <= 30


def test_what_was_taken_is_not_caught_up_after_a_time_in_which_nobody_planned() -> None:
    async def stall(cluster: Cluster, _tasks: anyio.abc.TaskGroup) -> None:
        await anyio.sleep(5.5)
        cluster.worlds[0].stalled_until = anyio.current_time() + 40.0

    every = definition("quick", calendar=DARK, overlap=Overlap.ALLOW, catch_up=CatchUp.ALL)
    cluster = Cluster([every], [quick])
    run(live, cluster, 1, 60, stall)
    lines = exported_lines(cluster)

    assert [] == problems(lines)
    assert [("calendar", 30)] == skips(lines)
    assert 27 <= len(triggered(lines, "quick")) <= 30
