"""Single faults at chosen moments, each with what must come of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from cronledger.domain import events as e
from cronledger.domain import job
from cronledger.domain.catchup import CatchUp
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, RunId, job_stream, run_stream
from cronledger.domain.overlap import Overlap
from cronledger.domain.retry import Retry
from cronledger.domain.run import Phase, request_cancel
from cronledger.engine.farewell import FAREWELL_SECONDS
from cronledger.errors import LedgerUnreachable
from cronledger.ledger.api import Prepared, Write
from tests.checker import Line, problems, triggered
from tests.redefinitions import fired_while_paused
from tests.simulation.cluster import Cluster, definition
from tests.simulation.jobs import Effects, probes
from tests.simulation.loop import elapsed, run
from tests.simulation.world import SimulatedWorld

Script = Callable[[Cluster], Awaitable[Any]]


def cluster_of(*definitions: JobDefinition, kind: str = "server") -> Cluster:
    effects = Effects()
    cluster = Cluster(list(definitions), probes(effects), kind=kind)
    effects.cluster = cluster
    return cluster


def live(cluster: Cluster, script: Script, *, instances: int = 1) -> None:
    """Let instances live while the script goes on, then drain those that are left."""

    async def life() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(instances):
                tasks.start_soon(cluster.instance)
                await anyio.sleep(0.5)
            await script(cluster)
            for world in cluster.living():
                cluster.stop(world)

    run(life)


def lines(cluster: Cluster) -> list[Line]:
    return [msgspec.json.decode(line) for line in cluster.exported()]


def ends_of(cluster: Cluster, name: str) -> list[str]:
    return [
        line["type"] for line in lines(cluster) if line["job"] == name and line["type"].startswith("run.")
    ]


def at_next(cluster: Cluster, fault: str, wanted: Callable[[Prepared], bool]) -> None:
    """Let a fault strike at the next append that is wanted."""
    send = SimulatedWorld._send

    async def watched(self: SimulatedWorld, batch: list[Prepared], drawn: str | None) -> Any:
        if any(wanted(prepared) for prepared in batch):
            for world in cluster.worlds:
                vars(world).pop("_send", None)
            drawn = fault
        return await send(self, batch, drawn)

    for world in cluster.worlds:
        vars(world)["_send"] = watched.__get__(world)


def triggers(prepared: Prepared) -> bool:
    return any(event.body.type == "run.triggered" for write in prepared.item.writes for event in write.events)


def test_a_run_whose_claim_was_answered_as_already_there_is_performed() -> None:
    """Fault 17. Once the reply to the append of trigger and claim was lost, the retry's answer was taken for
    a conflict, and the run stood as running on an instance that never performed it."""
    cluster = cluster_of(definition("skips", job="slow", schedule="*/5 * * * * *"))

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(2)
        at_next(cluster, "unknown", triggers)
        await anyio.sleep(20)

    live(cluster, script)

    assert 1 == cluster.injected["unknown"]
    assert [] == problems(lines(cluster))
    assert {"run.triggered", "run.started", "run.succeeded"} == set(ends_of(cluster, "skips"))


@pytest.mark.parametrize("fault", ["crash before", "crash after", "lost", "unknown", "stall before", "held"])
def test_a_fault_at_the_append_of_a_trigger_costs_no_fire_time(fault: str) -> None:
    """Faults 3, 4, 8, 16, 17, 21."""
    cluster = cluster_of(definition("again", job="quick", idempotent=True, catch_up=CatchUp.ALL))

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(5)
        at_next(cluster, fault, triggers)
        await anyio.sleep(60)

    live(cluster, script, instances=3)

    assert [] == problems(lines(cluster), decided_until=cluster.start + timedelta(seconds=60))


def test_the_message_of_a_stalled_leader_that_arrives_late_is_fenced() -> None:
    """Fault 21: it was sent in an older term."""
    cluster = cluster_of(definition("again", job="quick"))
    cluster.long = lambda: 20.0  # type: ignore[method-assign]
    cluster.pick = lambda _among: "cut"  # type: ignore[method-assign]
    told: list[str] = []

    async def script(cluster: Cluster) -> None:
        cluster.on_note = told.append
        await anyio.sleep(5)
        at_next(cluster, "held", triggers)
        await anyio.sleep(60)

    live(cluster, script, instances=2)

    assert ["sim1's message of 20.0 s ago arrives: Fenced"] == [line for line in told if "arrives" in line]
    assert [] == problems(lines(cluster))


def test_an_instance_drains_in_time_though_the_ledger_takes_nothing() -> None:
    """Fault 55 with 36. A pass that waited for its append used to hold up the drain without limit."""
    cluster = cluster_of(definition("again", job="quick"))

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(5)
        cluster.chances = {"lost": 1.0}
        await anyio.sleep(3)
        for world in cluster.living():
            cluster.stop(world)
        await anyio.sleep(60)
        cluster.chances = {}

    live(cluster, script)
    (drain,) = cluster.drains

    assert drain.world.left_at - drain.asked_at <= 5 + FAREWELL_SECONDS + 0.5


def test_an_instance_that_is_not_heard_gives_up_the_leaders_lock_when_it_goes() -> None:
    """An application that goes on without the scheduler must not keep the lock."""
    cluster = cluster_of(definition("again", job="quick"))
    held: list[bool] = []

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(5)
        cluster.hang(10_000)
        lock = cluster.worlds[0].leader_lock
        release = lock.release
        lock.release = lambda: (held.append(lock.held), release())  # type: ignore[method-assign]

    live(cluster, script)

    assert [True] == held


def test_a_ledger_that_refuses_connections_is_not_asked_all_the_time() -> None:
    """Fault 15. The next fire time was overdue, so the loop did not wait at all."""
    cluster = cluster_of(definition("again", job="quick"))

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(5)
        cluster.go_away(60)
        await anyio.sleep(70)

    live(cluster, script)
    (world,) = cluster.worlds

    assert max(world.looks[second] for second in range(10, 60)) <= 3
    assert [] == problems(lines(cluster))


def test_a_configuration_is_applied_though_the_ledger_went_away_just_then() -> None:
    """A term begins with the configuration; if that failed once, it was not tried again in this term."""
    cluster = cluster_of(definition("again", job="quick"))

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(5)
        cluster.stop(cluster.worlds[0])
        cluster.definitions = [definition("again", job="quick", schedule="*/2 * * * * *")]
        cluster.revision = "r2"
        follow = SimulatedWorld.events_after
        failed: list[float] = []

        async def once(self: SimulatedWorld, *arguments: Any) -> Any:
            if not failed and cluster.log.head.leader == self.instance:
                failed.append(elapsed())
                cluster.go_away(1.0)
            return await follow(self, *arguments)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.instance)
            await anyio.lowlevel.checkpoint()
            world = cluster.worlds[-1]
            vars(world)["events_after"] = once.__get__(world)
            await anyio.sleep(20)
            assert failed
            cluster.stop(world)

    live(cluster, script)

    assert ["r1", "r2"] == [
        line["body"]["revision"] for line in lines(cluster) if line["type"] == "config.applied"
    ]


def test_a_run_that_cannot_be_read_again_at_once_ends_all_the_same() -> None:
    """Fault 15. An attempt whose append conflicts reads its run again; if that failed, the instance died."""
    cluster = cluster_of(definition("again", job="long", schedule="0 * * * * *"))

    async def script(cluster: Cluster) -> None:
        (world,) = cluster.worlds
        read, failed = world.stream_of, []

        async def unheard(run_id: RunId) -> list[e.Recorded]:
            if not failed:
                failed.append(run_id)
                raise LedgerUnreachable("the ledger is away")
            return await read(run_id)

        world.stream_of = unheard  # type: ignore[method-assign]
        await anyio.sleep(62)
        (state,) = [state for state in cluster.folded().runs.values() if state.phase is Phase.RUNNING]
        events = tuple(request_cancel(state, e.Actor.operator("somebody"), None))
        world.ledger.append(Write(run_stream(state.run_id), events, expected=state.version))
        await anyio.sleep(10)
        assert [state.run_id] == failed

    live(cluster, script)

    assert [] == cluster.deaths
    assert [] == problems(lines(cluster))
    assert "run.cancelled" == ends_of(cluster, "again")[-1]


def test_after_a_day_down_a_job_of_every_second_runs_once_and_says_what_it_left_out() -> None:
    """Fault 74."""
    cluster = cluster_of(definition("again", job="quick"))

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(5)
        cluster.crash(cluster.worlds[0])
        await anyio.sleep(86_400)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.instance)
            await anyio.sleep(5)
            cluster.stop(cluster.worlds[1])

    live(cluster, script)
    written = lines(cluster)
    (skip,) = [line["body"] for line in written if line["type"] == "job.fire_times_skipped"]

    assert [] == problems(written, all_ended=False)
    assert 86_390 < skip["count"] < 86_410
    assert "misfire" == skip["reason"]
    assert len(triggered(written, "again")) < 15


@pytest.mark.parametrize("step", [3600.0, -3600.0, 8.0, -8.0])
def test_a_step_of_the_clock_fires_nothing_early_and_nothing_twice(step: float) -> None:
    """Faults 50, 51 and 53: on a file the host's clock is everybody's."""
    cluster = cluster_of(definition("again", job="quick"), kind="file")

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(10.4)
        cluster.step_clock(step)
        await anyio.sleep(20)

    live(cluster, script, instances=2)
    written = lines(cluster)
    clocks = [clock for _, clock in cluster.appended_at]

    assert [] == problems(written)
    assert all(
        clock >= datetime.fromisoformat(line["fire_at"])
        for line, clock in zip(written, clocks, strict=True)
        if line["type"] == "run.triggered" and line["cause"] == "schedule"
    )


def test_a_suspended_machine_catches_up_when_it_wakes() -> None:
    """Fault 10: timers and the monotonic clock stood still, the others did not."""
    cluster = cluster_of(definition("again", job="quick"), kind="file")

    async def script(cluster: Cluster) -> None:
        await anyio.sleep(10.4)
        for world in cluster.living():
            cluster.stall(world, 780, asleep=True)
        await anyio.sleep(800)

    live(cluster, script, instances=2)
    resumed = next(at for at, _ in cluster.appended_at if at > 700)

    assert [] == problems(lines(cluster), decided_until=cluster.start + timedelta(seconds=800))
    assert resumed - (1.0 + 10.4 + 780) < 2


@pytest.mark.parametrize("verb", [job.disable, job.enable])
def test_an_operator_who_is_faster_than_the_planner_wins_and_no_fire_time_is_lost(verb: Any) -> None:
    """Faults 64 and 65: the word falls just before, at, and just after the fire time."""
    cluster = cluster_of(definition("second", job="quick", overlap=Overlap.ALLOW))

    async def script(cluster: Cluster) -> None:
        operator = SimulatedWorld(cluster, 1000, build="cli", revision="")
        for number in range(40):
            await anyio.sleep(1 - elapsed() % 1 - 0.004 + 0.0002 * number)
            state = cluster.folded().jobs[JobName("second")]
            decide = verb if number % 2 else (job.enable if verb is job.disable else job.disable)
            events = tuple(decide(state, e.Actor.operator("somebody"), None))
            if events:
                operator.ledger.append(Write(job_stream(state.name), events, expected=None))

    live(cluster, script, instances=2)

    assert [] == problems(lines(cluster))
    assert 5 < len(triggered(lines(cluster), "second")) < 40


def test_a_pause_passes_its_fire_times_over_and_no_other() -> None:
    """The word falls just before, at, and just after the fire time; a planner that is behind loses none."""
    cluster = cluster_of(definition("second", job="quick", overlap=Overlap.ALLOW))

    async def script(cluster: Cluster) -> None:
        operator = SimulatedWorld(cluster, 1000, build="cli", revision="")
        for number in range(40):
            await anyio.sleep(1 - elapsed() % 1 - 0.004 + 0.0002 * number + number % 3)
            state = cluster.folded().jobs[JobName("second")]
            events = job.pause(state, e.Actor.operator("somebody"), None) or job.resume(
                state, e.Actor.operator("somebody"), None, now=operator.ledger.head().clock
            )
            operator.ledger.append(Write(job_stream(state.name), tuple(events), expected=None))

    live(cluster, script, instances=2)
    told = lines(cluster)

    assert [] == problems(told)
    assert [] == fired_while_paused(told)
    assert "paused" in {line["body"]["reason"] for line in told if line["type"] == "job.fire_times_skipped"}
    assert 5 < len(triggered(told, "second"))


def test_a_run_that_is_cancelled_ends_within_a_second_wherever_it_stands() -> None:
    """A waiting run waited for the next search for lost runs, up to a second after the request was seen."""
    retry = Retry(max_attempts=9, backoff_seconds=3600, jitter=False)
    cluster = cluster_of(
        definition("endless", schedule="*/3 * * * * *"),
        definition("failing", schedule="*/3 * * * * *", retry=retry),
    )

    async def script(cluster: Cluster) -> None:
        operator = SimulatedWorld(cluster, 1000, build="cli", revision="")
        for number in range(30):
            await anyio.sleep(3.33 + 0.01 * number)
            for state in [each for each in cluster.folded().runs.values() if each.phase is not Phase.ENDED]:
                events = request_cancel(state, e.Actor.operator("somebody"), "enough")
                operator.ledger.append(Write(run_stream(state.run_id), tuple(events), expected=None))
        await anyio.sleep(2)

    live(cluster, script, instances=3)
    asked = {event.run_id: event for event in cluster.events() if event.type == "run.cancel_requested"}
    ended = {event.run_id: event for event in cluster.events() if event.type == "run.cancelled"}
    seconds = [
        (ended[run_id].recorded_at - request.recorded_at).total_seconds() for run_id, request in asked.items()
    ]

    assert {"endless", "failing"} == {request.job for request in asked.values()}
    assert len(asked) >= 40
    assert max(seconds) < 0.2


def test_a_leader_that_goes_is_followed_within_a_second() -> None:
    """Faults 1, 55 and G7, at rest: crash and shutdown."""
    for end in (Cluster.crash, Cluster.stop):
        cluster = cluster_of(definition("again", job="quick"))
        gone: list[float] = []

        async def script(cluster: Cluster, end: Any = end, gone: list[float] = gone) -> None:
            await anyio.sleep(10.4)
            leader = cluster.leader()
            assert leader is not None
            gone.append(elapsed())
            end(cluster, leader)
            await anyio.sleep(5)

        live(cluster, script, instances=3)
        elected = [at for (at, _), line in zip(cluster.appended_at, lines(cluster), strict=True)
                   if line["type"] == "leader.elected"]  # fmt: skip

        assert elected[-1] - gone[0] < 1
