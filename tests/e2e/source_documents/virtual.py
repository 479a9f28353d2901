"""The documents' schedules in virtual time: the real engine, a ledger in memory, hours within seconds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import anyio
import msgspec

from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, manual_run, run_stream
from cronledger.entropy import uuid7
from cronledger.jobs.api import Job, JobContext
from cronledger.ledger.api import Write
from cronledger.ledger.codec import exported
from tests.e2e.source_documents.project import resolved
from tests.simulation import loop
from tests.simulation.cluster import Cluster

Line = dict[str, Any]
Meanwhile = Callable[[Cluster], Coroutine[Any, Any, None]]


class StandIn(Job):
    """Takes the place of a sample: the schedule is the file's, the work takes no real time."""

    def __init__(self, name: str, work: Callable[[], Awaitable[None]] | None = None) -> None:
        self.name = name
        self._work = work

    async def execute(self, ctx: JobContext) -> None:
        if self._work is not None:
            await self._work()


def of_document_001() -> list[JobDefinition]:
    """Return the eight entries as the engine gets them."""
    return [definition for definition in resolved("config.yaml").definitions if definition.scheduled]


def live(
    definitions: Iterable[JobDefinition],
    *,
    seconds: float,
    work: dict[str, Callable[[], Awaitable[None]]] | None = None,
    meanwhile: Meanwhile | None = None,
) -> Cluster:
    """Let one instance live through some time that begins with the year 2026, then drain it."""
    listed = list(definitions)
    stand_ins = [StandIn(each.job or each.name, (work or {}).get(each.name)) for each in listed]
    cluster = Cluster(listed, stand_ins)

    async def life() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.instance)
            if meanwhile is not None:
                tasks.start_soon(meanwhile, cluster)
            await anyio.sleep(seconds)
            for engine in cluster.engines:
                engine.stop()

    loop.run(life)
    return cluster


def lines(cluster: Cluster) -> list[Line]:
    """Return the ledger as `ledger export` shows it."""
    return [msgspec.json.decode(exported(stored)) for stored in cluster.log.events]


def trigger_by_hand(cluster: Cluster, definition: JobDefinition) -> None:
    """Ask for a manual run, as another process does."""
    world = cluster.worlds[0]
    unique = uuid7(cluster.clock.now(), world.entropy)
    run_id = manual_run(JobName(definition.name), unique)
    event = run.trigger(definition, run_id, e.Cause.MANUAL, e.Actor.operator("somebody"))
    world.ledger.append(Write(run_stream(run_id), (event,)))
