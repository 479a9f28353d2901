"""When the views are brought up, in virtual time."""

from __future__ import annotations

import anyio

from cronledger.errors import LedgerUnreachable
from cronledger.jobs.decorator import job
from tests.simulation.cluster import Cluster, definition
from tests.simulation.loop import run


@job
async def nothing() -> None:
    """Do nothing."""


class Watched(Cluster):
    """A cluster that notes when its views are brought up, and may refuse."""

    def __init__(self, schedule: str) -> None:
        super().__init__([definition("nothing", schedule=schedule)], [nothing])
        self.latency = 0.0
        self.refusals = 0
        self.brought_up: list[float] = []
        """Seconds of the minute."""

    def project(self) -> None:
        self.brought_up.append(round(self.clock.now().timestamp() % 60, 3))
        if self.refusals:
            self.refusals -= 1
            raise LedgerUnreachable("the database is away")


async def lived(cluster: Watched, seconds: float, refusals: int = 0) -> list[float]:
    """Let an instance settle until a minute begins; return when it brings the views up in the time after."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cluster.instance)
        await anyio.sleep(60)
        await anyio.sleep(60 - cluster.clock.now().timestamp() % 60)
        cluster.brought_up, cluster.refusals = [], refusals
        await anyio.sleep(seconds)
        found = list(cluster.brought_up)
        cluster.stop(cluster.worlds[0])
    return found


def test_views_are_brought_up_half_a_second_after_fire_times() -> None:
    assert [10.5, 20.5, 30.5] == run(lived, Watched("10,20,30 * * * * *"), 55)


def test_views_of_every_second_are_brought_up_once_a_second() -> None:
    assert [0.5, 1.5, 2.5, 3.5] == run(lived, Watched("* * * * * *"), 4)


def test_views_that_cannot_be_brought_up_are_tried_again_soon() -> None:
    first, *again = run(lived, Watched("10 * * * * *"), 40, 3)

    assert 10.5 == first
    assert 3 == len(again)
    assert again[-1] < 16


def test_the_first_views_of_a_term_do_not_wait() -> None:
    cluster = Watched("0 0 0 1 1 *")

    async def born() -> float:
        async with anyio.create_task_group() as tasks:
            began = cluster.clock.now().timestamp() % 60
            tasks.start_soon(cluster.instance)
            await anyio.sleep(0.4)
            cluster.stop(cluster.worlds[0])
        return began

    assert run(born) == cluster.brought_up[0]
