"""What a cluster does in virtual time, whatever happens to it."""

from __future__ import annotations

from functools import partial

import anyio
import msgspec
import pytest

from cronledger.domain.definition import Startup
from cronledger.domain.events import RunFailed
from cronledger.domain.overlap import Overlap
from cronledger.domain.result import JobResult
from cronledger.domain.run import Phase
from cronledger.engine.plan import Plan
from cronledger.jobs.api import Job, JobContext
from cronledger.jobs.decorator import job
from cronledger.ledger.codec import exported
from tests.checker import problems, triggered
from tests.simulation.cluster import Cluster, definition, refold
from tests.simulation.loop import run


@job
async def quick() -> None:
    """Take no time."""


@job
async def slow() -> JobResult:
    """Take longer than the time between two fire times."""
    await anyio.sleep(2.5)
    return JobResult.success()


@job
async def broken() -> None:
    """Fail."""
    raise ValueError("broken on purpose")


class Rogue(Job):
    """Raise what nobody should raise."""

    name = "rogue"

    async def execute(self, ctx: JobContext) -> JobResult:
        raise KeyboardInterrupt("not a person")


def exported_lines(cluster: Cluster) -> list[dict[str, object]]:
    return [msgspec.json.decode(exported(stored)) for stored in cluster.log.events]


async def live(cluster: Cluster, instances: int, seconds: float, trouble=None) -> None:
    """Let a number of instances live together for a while, then drain them."""
    async with anyio.create_task_group() as tasks:
        for _ in range(instances):
            tasks.start_soon(cluster.instance)
        if trouble is not None:
            tasks.start_soon(trouble, cluster, tasks)
        await anyio.sleep(seconds)
        cluster.chances = {}
        for world, engine in zip(cluster.worlds, cluster.engines, strict=True):
            world.process.deliver(engine.stop)


def test_one_instance_fires_every_second_once_and_never_early() -> None:
    cluster = Cluster([definition("quick")], [quick])
    run(live, cluster, 1, 60)
    lines = exported_lines(cluster)

    assert [] == problems(lines)
    assert 59 <= len(triggered(lines, "quick")) <= 60


def test_a_fire_time_is_met_to_the_millisecond() -> None:
    cluster = Cluster([definition("quick", schedule="*/10 * * * * *")], [quick])
    run(live, cluster, 1, 600)
    lateness = [
        (event.recorded_at - event.fire_at).total_seconds()
        for event in cluster.events()
        if event.type == "run.triggered" and event.fire_at
    ]

    assert len(lateness) >= 59
    assert max(lateness) < 0.05


def test_a_slow_job_is_skipped_while_it_runs_and_every_skip_is_recorded() -> None:
    cluster = Cluster([definition("slow")], [slow])
    run(live, cluster, 1, 30)
    lines = exported_lines(cluster)

    assert [] == problems(lines)
    assert {"overlap"} == {
        line["body"]["reason"] for line in lines if line["type"] == "job.fire_times_skipped"
    }
    assert 9 <= len(triggered(lines, "slow")) <= 11


@pytest.mark.parametrize(("policy", "most"), [(Overlap.QUEUE, 1), (Overlap.REPLACE, 1), (Overlap.ALLOW, 3)])
def test_overlap_policies_hold_over_three_instances(policy: Overlap, most: int) -> None:
    cluster = Cluster([definition("slow", overlap=policy, max_concurrent=3)], [slow], seed=3)
    run(live, cluster, 3, 30)
    going: set[str] = set()
    largest = 0
    for event in cluster.events():
        if event.type == "run.started":
            going.add(str(event.run_id))
        elif event.type in {"run.succeeded", "run.cancelled", "run.lost"}:
            going.discard(str(event.run_id))
        largest = max(largest, len(going))

    assert [] == problems(exported_lines(cluster), all_ended=False)
    assert most == largest


def test_a_job_that_raises_anything_ends_its_run_and_nothing_else() -> None:
    cluster = Cluster(
        [definition("broken"), definition("rogue"), definition("quick")], [broken, Rogue(), quick]
    )
    run(live, cluster, 1, 20)
    _, runs = refold(cluster.worlds[0].ledger)

    assert [] == problems(exported_lines(cluster))
    assert {"ValueError: broken on purpose"} == {
        state.error for state in runs.values() if state.job == "broken"
    }
    assert {"KeyboardInterrupt: not a person"} == {
        state.error for state in runs.values() if state.job == "rogue"
    }
    assert {None} == {state.error for state in runs.values() if state.job == "quick"}


async def crash_the_leader(cluster: Cluster, tasks: anyio.abc.TaskGroup) -> None:
    for _ in range(2):
        await anyio.sleep(15)
        leader = cluster.leader()
        if leader is not None:
            cluster.crash(leader)


def test_killing_the_leader_twice_loses_no_fire_time_and_doubles_none() -> None:
    cluster = Cluster([definition("quick"), definition("slow")], [quick, slow], seed=5)
    run(live, cluster, 3, 60, crash_the_leader)
    lines = exported_lines(cluster)
    terms = [line["term"] for line in lines if line["type"] == "leader.elected"]

    assert [] == problems(lines)
    assert [1, 2, 3] == terms


async def replace_the_crashed(cluster: Cluster, tasks: anyio.abc.TaskGroup) -> None:
    while cluster.chances:
        await anyio.sleep(cluster.random.uniform(1, 8))
        if cluster.chances and sum(not world.is_crashed for world in cluster.worlds) < 3:
            tasks.start_soon(cluster.instance)


@pytest.mark.parametrize("seed", range(25))
def test_crashes_and_stalls_at_any_append_leave_a_true_ledger(seed: int) -> None:
    jobs = [quick, slow, broken]
    definitions = [
        definition("quick", idempotent=True),
        definition("slow", idempotent=seed % 2 == 0, overlap=list(Overlap)[seed % 4]),
        definition("broken", schedule="*/5 * * * * *"),
        definition("boot", job="quick", startup=Startup.CLUSTER, schedule=""),
    ]
    cluster = Cluster(definitions, jobs, seed=seed, skewed=True)
    cluster.chances = {
        "crash before": 0.005,
        "crash after": 0.005,
        "stall before": 0.005,
        "stall after": 0.005,
    }
    run(live, cluster, 3, 120, replace_the_crashed)
    survivors = [world for world in cluster.worlds if not world.is_crashed]
    lines = exported_lines(cluster)

    assert [] == problems(lines, all_ended=False), f"seed {seed}, {len(survivors)} survivors"


def test_startup_runs_come_before_any_fire_time_and_once_per_boot() -> None:
    cluster = Cluster(
        [definition("boot", job="slow", startup=Startup.CLUSTER, schedule=""), definition("quick")],
        [slow, quick],
    )
    run(live, cluster, 3, 30, crash_the_leader)
    types = [(event.type, event.job) for event in cluster.events() if event.type == "run.triggered"]

    assert ("run.triggered", "boot") == types[0]
    assert 1 == types.count(("run.triggered", "boot"))


def test_a_run_whose_code_is_gone_after_its_claim_fails_and_the_instance_lives_on() -> None:
    cluster = Cluster([definition("slow"), definition("quick")], [slow, quick])

    def take_away() -> None:
        if any(event.type == "run.started" and event.job == "slow" for event in cluster.events()):
            cluster.jobs.pop("slow", None)

    cluster.log.listeners.append(take_away)
    run(live, cluster, 1, 5)
    failed = [event for event in cluster.events() if isinstance(event.body, RunFailed)]
    succeeded = {event.job for event in cluster.events() if event.type == "run.succeeded"}

    assert [] == cluster.deaths
    assert ["job 'slow' is not provided by this instance"] == [event.body.error for event in failed]
    assert {"quick"} == succeeded


def test_a_ledger_that_does_not_hear_the_goodbye_costs_no_run_its_drain() -> None:
    cluster = Cluster([definition("slow")], [slow])

    async def drain_unheard() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.instance)
            await anyio.sleep(11.5)
            cluster.hears_no_beats = True
            cluster.engines[0].stop()

    run(drain_unheard)
    _, runs = refold(cluster.worlds[0].ledger)

    assert {"succeeded"} == {str(state.outcome) for state in runs.values()}


def startup_runs(cluster: Cluster) -> list[str]:
    return [
        str(event.run_id)
        for event in cluster.events()
        if event.type == "run.triggered" and event.job == "boot"
    ]


def booting() -> Cluster:
    return Cluster([definition("boot", job="quick", startup=Startup.CLUSTER, schedule="")], [quick])


def test_an_instance_that_joins_is_ready_soon_and_belongs_to_the_same_boot() -> None:
    cluster = booting()

    async def join() -> float:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.instance)
            await anyio.sleep(20)
            tasks.start_soon(cluster.instance)
            await anyio.sleep(0.001)
            await cluster.engines[1].ready.wait()
            ready_after = anyio.current_time() - 20
            cluster.crash(cluster.worlds[0])
            await anyio.sleep(20)
            cluster.engines[1].stop()
        return ready_after

    ready_after = run(join)

    assert ready_after < 5
    assert ["boot@boot-1"] == startup_runs(cluster)


def test_a_restart_right_after_a_crash_is_a_new_boot() -> None:
    cluster = booting()

    async def restart() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.instance)
            await anyio.sleep(20)
            cluster.crash(cluster.worlds[0])
            tasks.start_soon(cluster.instance)
            await anyio.sleep(20)
            cluster.engines[1].stop()

    run(restart)

    assert ["boot@boot-1", "boot@boot-2"] == startup_runs(cluster)


def test_a_row_that_cannot_be_written_for_a_moment_costs_an_instance_no_startup_run() -> None:
    entry = definition("boot", job="quick", startup=Startup.INSTANCE, schedule="")
    cluster = Cluster([entry], [quick])

    async def unheard() -> None:
        async with anyio.create_task_group() as tasks:
            cluster.hears_no_beats = True
            tasks.start_soon(cluster.instance)
            await anyio.sleep(3)
            cluster.hears_no_beats = False
            await cluster.engines[0].ready.wait()
            cluster.engines[0].stop()

    run(unheard)
    (world,) = cluster.worlds

    assert [f"boot@boot-{world.instance}"] == startup_runs(cluster)
    assert (1, "draining") == (world.facts["epoch"], world.facts["state"])


def test_an_instance_whose_startup_run_takes_too_long_says_that_it_is_ready() -> None:
    cluster = Cluster([definition("boot", job="slow", startup=Startup.CLUSTER, schedule="")], [slow])
    plan = Plan(lease=cluster.lease, drain_seconds=5, startup_wait_seconds=0.5)

    async def states() -> list[object]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(cluster.instance, plan=plan))
            await anyio.sleep(0.3)
            before = cluster.worlds[0].facts["state"]
            await anyio.sleep(1.5)
            after = cluster.worlds[0].facts["state"]
            cluster.engines[0].stop()
        return [before, after]

    assert ["starting", "ready"] == run(states)


def test_readiness_waits_for_the_startup_run() -> None:
    cluster = Cluster([definition("boot", job="slow", startup=Startup.CLUSTER, schedule="")], [slow])

    async def readiness() -> float:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.instance)
            while not cluster.engines:
                await anyio.sleep(0.001)
            await cluster.engines[0].ready.wait()
            ready_at = anyio.current_time()
            cluster.engines[0].stop()
        return ready_at

    ready_at = run(readiness)
    _, runs = refold(cluster.worlds[0].ledger)

    assert 2.5 < ready_at < 3.0
    assert [Phase.ENDED] == [state.phase for state in runs.values()]
