"""Configurations that change and differ while a cluster is at work, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import anyio
import msgspec
import pytest

from cronledger.domain import events as e
from cronledger.domain import job as verbs
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import CONFIG, JobName, job_stream
from cronledger.engine.definitions import Configuration, applied, events_for, named
from cronledger.engine.executor import Provision
from cronledger.engine.plan import Plan
from cronledger.errors import Conflict
from cronledger.jobs.decorator import job
from cronledger.ledger.api import Write
from cronledger.ledger.codec import exported
from tests.checker import problems, triggered
from tests.redefinitions import count, fired_while_disabled, misdecided
from tests.simulation.cluster import Cluster, definition, refold
from tests.simulation.loop import run

SLOW = 0.9
"""Seconds of a way to the ledger and back: long enough for much to happen between a look and an append."""
ANN = e.Actor.operator("ann")
OLD = [definition("quick")]
NEW = [definition("quick", schedule="*/2 * * * * *")]
FILES = {"old": OLD, "new": NEW}
SECOND = timedelta(seconds=1)
DEFINED = ("job.registered", "job.redefined", "job.retired")


@job
async def quick() -> None:
    """Take no time."""


def lines_of(cluster: Cluster) -> list[dict[str, object]]:
    return [msgspec.json.decode(exported(stored)) for stored in cluster.log.events]


def instant(text: object) -> datetime:
    return datetime.fromisoformat(str(text))


def start(cluster: Cluster, tasks: anyio.abc.TaskGroup, revision: str) -> None:
    tasks.start_soon(partial(cluster.instance, definitions=FILES[revision], revision=revision))


def stop_all(cluster: Cluster) -> None:
    for world, engine in zip(cluster.worlds, cluster.engines, strict=True):
        world.process.deliver(engine.stop)


def depose(cluster: Cluster) -> None:
    """Take the lock from the leader, as a lost session does; it stands again behind the others."""
    leader = cluster.leader()
    assert leader is not None
    wake = leader.leader_lock.changed
    leader.leader_lock.release()
    leader.leader_lock.contend(wake)
    cluster.engines[cluster.worlds.index(leader)].wake()


# --- two files ------------------------------------------------------------------------------------------


def test_twenty_changes_of_leader_between_two_files_change_the_definitions_once() -> None:
    """Fault 62."""
    cluster = Cluster(OLD, [quick], seed=62)

    async def trouble() -> None:
        async with anyio.create_task_group() as tasks:
            start(cluster, tasks, "old")
            await anyio.sleep(5)
            start(cluster, tasks, "new")
            for _ in range(20):
                await anyio.sleep(7)
                depose(cluster)
            await anyio.sleep(7)
            stop_all(cluster)

    run(trouble)
    lines = lines_of(cluster)

    assert 21 <= count(lines, "leader.elected")
    assert 2 == count(lines, *DEFINED)
    assert 2 == count(lines, "config.applied")
    assert [] == misdecided(lines)


def test_leaders_that_crash_and_come_back_with_their_own_files_do_not_take_turns() -> None:
    """Fault 62."""
    cluster = Cluster(OLD, [quick], seed=63)

    async def trouble() -> None:
        async with anyio.create_task_group() as tasks:
            start(cluster, tasks, "old")
            await anyio.sleep(5)
            start(cluster, tasks, "new")
            carried = ["old", "new"]
            for _ in range(20):
                await anyio.sleep(15)
                leader = cluster.leader()
                assert leader is not None
                revision = carried[cluster.worlds.index(leader)]
                cluster.crash(leader)
                await anyio.sleep(10)
                start(cluster, tasks, revision)
                carried.append(revision)
            await anyio.sleep(15)
            stop_all(cluster)

    run(trouble)
    lines = lines_of(cluster)

    assert 21 <= count(lines, "leader.elected")
    assert 2 == count(lines, *DEFINED)
    assert [] == problems(lines, all_ended=False)
    assert [] == misdecided(lines)


def test_what_an_operator_applied_outlives_every_leader_with_other_files() -> None:
    """Fault 62."""
    cluster = Cluster(OLD, [quick], seed=64)
    FILES["third"] = [definition("quick", schedule="*/3 * * * * *")]

    async def trouble() -> None:
        async with anyio.create_task_group() as tasks:
            start(cluster, tasks, "old")
            await anyio.sleep(5)
            start(cluster, tasks, "new")
            await anyio.sleep(5)
            say_loaded(cluster, "new")
            apply(cluster, FILES["third"], "third")
            for _ in range(20):
                await anyio.sleep(7)
                depose(cluster)
            await anyio.sleep(7)
            stop_all(cluster)

    run(trouble)
    lines = lines_of(cluster)
    jobs, _ = refold(cluster.worlds[0].ledger)

    assert 2 == count(lines, *DEFINED)
    assert "third" == jobs[JobName("quick")].revision
    assert [] == misdecided(lines)


def test_files_that_the_ledger_has_not_seen_follow_what_an_operator_applied() -> None:
    cluster = Cluster(OLD, [quick], seed=65)

    async def trouble() -> None:
        async with anyio.create_task_group() as tasks:
            start(cluster, tasks, "old")
            await anyio.sleep(5)
            apply(cluster, OLD, "old")
            await anyio.sleep(5)
            start(cluster, tasks, "new")
            await anyio.sleep(5)
            say_loaded(cluster, "new")
            depose(cluster)
            await anyio.sleep(15)
            stop_all(cluster)

    run(trouble)
    jobs, _ = refold(cluster.worlds[0].ledger)

    assert "new" == jobs[JobName("quick")].revision


def test_the_old_files_return_when_the_last_instance_with_the_new_ones_has_left() -> None:
    cluster = Cluster(OLD, [quick], seed=66)

    def current() -> str:
        return refold(cluster.worlds[0].ledger)[0][JobName("quick")].revision

    async def roll_back() -> list[str]:
        seen = []
        async with anyio.create_task_group() as tasks:
            start(cluster, tasks, "old")
            await anyio.sleep(5)
            start(cluster, tasks, "new")
            for _ in range(2):
                await anyio.sleep(5)
                depose(cluster)
                await anyio.sleep(10)
                seen.append(current())
            cluster.engines[1].stop()
            await anyio.sleep(10)
            seen.append(current())
            stop_all(cluster)
        return seen

    assert ["new", "new", "old"] == run(roll_back)


# --- files that change ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_a_schedule_that_changes_around_fire_times_leaves_each_decided_once(seed: int) -> None:
    """Fault 64."""
    cluster = Cluster(OLD, [quick], seed=seed)
    schedules = ["* * * * * *", "*/2 * * * * *", "*/3 * * * * *", "1/2 * * * * *", ""]

    async def trouble() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(cluster.instance)
            await anyio.sleep(3.9)
            cluster.latency = SLOW
            for number in range(40):
                changed = [definition("quick", schedule=cluster.random.choice(schedules))]
                for engine in cluster.engines:
                    reconfigure(cluster, engine, changed, f"r{number + 2}")
                around = cluster.random.choice([-0.1, -0.002, 0.0, 0.001, 0.05])
                await anyio.sleep(cluster.random.randint(1, 4) + around)
                if number % 8 == 7:
                    depose(cluster)
            await anyio.sleep(10)
            stop_all(cluster)

    run(trouble)
    lines = lines_of(cluster)

    assert count(lines, "job.redefined") > 5
    assert [] == misdecided(lines)
    assert [] == problems(lines)


@pytest.mark.parametrize("seed", range(6))
def test_after_a_disable_nothing_fires_whose_time_is_later(seed: int) -> None:
    """Fault 65."""
    cluster = Cluster(OLD, [quick], seed=seed)

    async def trouble() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(cluster.instance)
            await anyio.sleep(3)
            cluster.latency = SLOW
            for number in range(60):
                decide(cluster, verbs.enable if number % 2 else verbs.disable)
                await anyio.sleep(cluster.random.uniform(0.05, 1.2))
            await anyio.sleep(10)
            stop_all(cluster)

    run(trouble)
    lines = lines_of(cluster)

    assert 30 <= count(lines, "job.disabled")
    assert [] == fired_while_disabled(lines)
    assert [] == misdecided(lines)
    assert [] == problems(lines)


def test_a_scheduler_that_is_disabled_in_its_files_hands_over_and_comes_back() -> None:
    cluster = Cluster(OLD, [quick], seed=67)

    async def trouble() -> tuple[bool, bool]:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(cluster.instance)
            await anyio.sleep(5)
            first, second = cluster.engines
            reconfigure(cluster, first, OLD, "r1", enabled=False)
            await anyio.sleep(5)
            handed_over = cluster.leader() is cluster.worlds[1]
            reconfigure(cluster, first, OLD, "r1")
            reconfigure(cluster, second, OLD, "r1", enabled=False)
            await anyio.sleep(5)
            came_back = cluster.leader() is cluster.worlds[0]
            stop_all(cluster)
        return handed_over, came_back

    assert (True, True) == run(trouble)
    assert [] == problems(lines_of(cluster))


def test_a_day_down_is_one_run_and_one_recorded_skip() -> None:
    """Fault 74."""
    cluster = Cluster(OLD, [quick], seed=74)
    day = timedelta(days=1).total_seconds()

    async def trouble() -> int:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.instance)
            await anyio.sleep(10.5)
            cluster.engines[0].stop()
        before = len(cluster.log.events)
        await anyio.sleep(day)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.instance)
            await anyio.sleep(0.2)
            cluster.engines[1].stop()
        return before

    before = run(trouble)
    lines = lines_of(cluster)
    (skip,) = [line["body"] for line in lines[before:] if line["type"] == "job.fire_times_skipped"]
    *_, last_before = (instant(each) for each in triggered(lines[:before], "quick"))
    (fired,) = [instant(each) for each in triggered(lines[before:], "quick")]

    assert last_before + SECOND == instant(skip["first_at"])
    assert fired - SECOND == instant(skip["last_at"])
    assert (fired - last_before) / SECOND - 1 == skip["count"]
    assert day - 1 <= skip["count"] <= day


# --- what happens from outside --------------------------------------------------------------------------


def reconfigure(
    cluster: Cluster, engine: object, definitions: list[JobDefinition], revision: str, *, enabled: bool = True
) -> None:
    """Hand an engine other files, as a reload does."""
    plan = Plan(drain_seconds=5, enabled=enabled)
    provision = Provision(find=lambda _extension, name: cluster.jobs.get(name))
    configuration = Configuration(definitions, revision)
    engine.reconfigure(configuration, plan, provision, jobs=())  # type: ignore[attr-defined]


def decide(cluster: Cluster, verb: Callable[..., list[e.Event]]) -> None:
    """Let an operator decide at once, whatever the instances are about to append."""
    ledger = cluster.worlds[0].ledger
    while True:
        state = refold(ledger)[0][JobName("quick")]
        write = Write(job_stream(state.name), tuple(verb(state, ANN, None)), expected=state.version)
        try:
            ledger.append(write)
        except Conflict:
            continue
        return


def apply(cluster: Cluster, definitions: list[JobDefinition], revision: str) -> None:
    """Let an operator make a revision current."""
    ledger = cluster.worlds[0].ledger
    jobs, _ = refold(ledger)
    wanted = events_for({each.name: each for each in definitions}, jobs, revision, ANN)
    said = applied(revision, None, named(event for _, event in wanted), ANN)
    ledger.append(*(write for write, _ in wanted), Write(CONFIG, (said,), expected=None))


def say_loaded(cluster: Cluster, revision: str) -> None:
    """Let the ledger hear of a revision, as an instance with it does when it comes up."""
    event = e.Event(body=e.ConfigLoaded(revision=revision), actor=e.Actor.engine("config"))
    cluster.worlds[0].ledger.append(Write(CONFIG, (event,), expected=None))


def test_another_limit_of_runs_holds_at_once() -> None:
    cluster = Cluster(OLD, [quick], seed=68)

    async def limit() -> tuple[int, int]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.instance)
            await anyio.sleep(5.5)
            (engine,) = cluster.engines
            before = engine.executor.room
            plan = Plan(drain_seconds=5, max_runs=3)
            provision = Provision(find=lambda _extension, name: cluster.jobs.get(name))
            engine.reconfigure(Configuration(OLD, "r1"), plan, provision, jobs=())
            after = engine.executor.room
            stop_all(cluster)
        return before, after

    assert (100, 3) == run(limit)
