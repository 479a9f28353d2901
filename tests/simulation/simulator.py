"""A world from one seed: who lives in it, what happens to it, and whether it held.

    faults ----> calm ----> quiet ----> drain ----> judged
    (drawn)      nothing    every job   SIGTERM
                 happens    disabled    for all

Everything random is drawn from the seed, so the same seed is the same history, byte for byte.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec

from cronledger.clock import SystemClock
from cronledger.domain import events as e
from cronledger.domain import job, run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import InstanceId, JobName, RunId, job_stream, keyed_run, manual_run, run_stream
from cronledger.domain.job import JobState
from cronledger.domain.requests import Requested
from cronledger.entropy import SeededEntropy
from cronledger.errors import Conflict
from cronledger.ledger.api import Item, Write
from cronledger.ledger.memory_store import MemoryStore
from cronledger.migrations import upgrade
from tests.simulation import loop
from tests.simulation.cluster import Cluster, definition
from tests.simulation.jobs import Effects, definitions, probes
from tests.simulation.loop import elapsed
from tests.simulation.world import SimulatedWorld

AT_APPENDS = {
    "crash": ("crash before", "crash after"),
    "stall": ("stall before", "stall after"),
    "late": ("held",),
    "lost": ("lost",),
    "unknown": ("unknown",),
}
"""Faults that can strike at any append."""
FAULTS = (
    *AT_APPENDS, "kill", "pause", "cut", "hang", "away", "suspend", "clock", "config", "operator", "manual",
    "drain", "wakes", "skew",
)  # fmt: skip
STEERING = ("steer",)
"""What operators do beside switching jobs; only where a scenario asks for it."""
CALM_SECONDS = 35.0
"""Long enough for a lease to run out, for three beats to be missed, and for what was lost to be repeated."""
QUIET_SECONDS = 60.0
"""Within so long every run has ended once no job fires any more: long jobs, queues, retries and all."""
STARTS = (
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 29, 0, 58, tzinfo=UTC),  # two minutes before the clocks of Berlin go forward
    datetime(2026, 10, 25, 0, 58, tzinfo=UTC),  # two minutes before they go back
    datetime(2026, 12, 31, 23, 59, tzinfo=UTC),
)
NEVER = RuntimeError("the world did not come to rest")


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """What is chosen from outside; everything else follows from the seed."""

    seed: int
    seconds: float = 120.0
    instances: int | None = None
    faults: Sequence[str] = FAULTS


class History(msgspec.Struct, kw_only=True):
    """What a world leaves behind to be judged."""

    scenario: Scenario
    cluster: Cluster
    effects: Effects
    exports: list[list[Any]]
    acknowledged: list[RunId]
    unfinished: list[RunId]
    boards: list[str]
    calm_from: float
    decided_until: datetime
    lasted: float


class Simulation:
    """One world at work."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        trace: Callable[[str], None] | None = None,
        make_cluster: Callable[..., Cluster] = Cluster,
    ) -> None:
        self.scenario = scenario
        # One stream of chance for what is, one for what happens, and the cluster's own for what depends.
        self._is = random.Random(f"{scenario.seed} is")
        self._happens = random.Random(f"{scenario.seed} happens")
        self._faults = self._drawn_faults()
        self.effects = Effects()
        self.cluster = make_cluster(
            self._drawn_definitions(),
            probes(self.effects),
            seed=scenario.seed,
            skewed="skew" in self._faults,
            kind=self._is.choice(["server", "server", "file"]),
            start=self._is.choice(STARTS),
        )
        self.effects.cluster = self.cluster
        self.count = scenario.instances or self._is.choice([1, 2, 3, 3, 4])
        self.cluster.latency = self._is.choice([0.001, 0.005, 0.05])
        self.exports: list[list[Any]] = []
        self.acknowledged: list[RunId] = []
        self._tasks: anyio.abc.TaskGroup | None = None
        self._over = self._closing = False
        self._clients = 0
        if trace is not None:
            self._trace_to(trace)

    # --- drawing ----------------------------------------------------------------------------------------

    def _drawn_faults(self) -> list[str]:
        """A world with a few kinds of faults shows more than one that hardly gets up."""
        wanted = [fault for fault in (*FAULTS, *STEERING) if fault in self.scenario.faults]
        if len(wanted) < len(FAULTS):
            return wanted
        return sorted(self._is.sample(wanted, self._is.randint(3, len(wanted))))

    def _drawn_definitions(self) -> list[JobDefinition]:
        every = definitions()
        always = {"second", "hand", "boot", "mine"}
        some = set(self._is.sample([d.name for d in every if d.name not in always], 6))
        return [each for each in every if each.name in some | always]

    def _trace_to(self, trace: Callable[[str], None]) -> None:
        self.cluster.on_note = lambda text: trace(f"{elapsed():10.3f}  ! {text}")
        self.cluster.on_event = lambda stored: trace(
            f"{elapsed():10.3f} {stored.position:5} {stored.type:24} {stored.stream:40} "
            f"v{stored.version} {stored.instance.split('.')[0]}"
            + (f" term {stored.term}" if stored.term is not None else "")
        )

    # --- life -------------------------------------------------------------------------------------------

    def run(self) -> History:
        return loop.run(self._life)

    async def _life(self) -> History:
        cluster, faults = self.cluster, self._faults
        if self.scenario.seed % 25 == 0:
            self._keep_views()
        if self.scenario.seed % 5 == 2:
            cluster.many = 1
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            for _ in range(self.count):
                tasks.start_soon(cluster.instance)
                await anyio.sleep(self._happens.uniform(0, 2))
            for fault, kinds in AT_APPENDS.items():
                if fault in faults:
                    cluster.chances |= dict.fromkeys(kinds, 0.004)
            cluster.lost_wakes = 0.3 if "wakes" in faults else 0.0
            tasks.start_soon(self._replace_the_dead)
            tasks.start_soon(self._export)
            for fault in faults:
                happens = getattr(self, f"_do_{fault}", None)
                if happens is not None:
                    tasks.start_soon(self._again_and_again, happens, FREQUENCY[fault])
            await anyio.sleep(self.scenario.seconds)
            history = await self._end()
            self.effects.is_closed = True
            tasks.cancel_scope.cancel()
        return history

    async def _end(self) -> History:
        cluster = self.cluster
        self._over = True
        cluster.chances = {}
        cluster.lost_wakes = 0.0
        for world in cluster.living():
            cluster.heal(world)
        cluster.hung_until = cluster.away_until = 0.0
        cluster.note("from now on nothing more goes wrong")
        calm_from = elapsed()
        await anyio.sleep(CALM_SECONDS)
        decided_until = cluster.clock.now()
        for name, state in sorted(cluster.folded().jobs.items()):
            if state.paused:
                await self._decide(name, self._resume)
            await self._decide(name, job.disable)
        await anyio.sleep(2.0)  # what was due before is still decided
        unfinished = await self._until_quiet()
        boards = await self._agreed_boards()
        self._closing = True
        for world in cluster.living():
            cluster.stop(world)
        await anyio.sleep(15.0)
        return History(
            scenario=self.scenario,
            cluster=cluster,
            effects=self.effects,
            exports=self.exports,
            acknowledged=self.acknowledged,
            unfinished=unfinished,
            boards=boards,
            calm_from=calm_from,
            decided_until=decided_until,
            lasted=elapsed(),
        )

    async def _until_quiet(self) -> list[RunId]:
        left: list[RunId] = []
        with anyio.move_on_after(QUIET_SECONDS + self.cluster.set_back()):
            while True:
                runs = self.cluster.folded().runs
                left = [run_id for run_id, state in runs.items() if state.phase is not run.Phase.ENDED]
                if not left:
                    break
                await anyio.sleep(1.0)
        return left

    async def _agreed_boards(self) -> list[str]:
        """Look when everybody has had the time to look: something may still happen at the very moment."""
        wrong = [""]
        with anyio.move_on_after(10.0):
            while wrong:
                await anyio.sleep(2.0)
                wrong = self._boards()
        return wrong

    def _boards(self) -> list[str]:
        """P1: what every instance knows is what a fresh fold of the ledger says."""
        known = self.cluster.folded()
        unfinished = {
            run_id: state for run_id, state in known.runs.items() if state.phase is not run.Phase.ENDED
        }
        wrong = []
        for world in self.cluster.living():
            board = self.cluster.engine_of(world).board
            if board.position != known.position:
                wrong.append(f"P1: {world.name} stands at {board.position}, the ledger at {known.position}")
            elif board.jobs != known.jobs:
                names = [name for name in known.jobs if board.jobs.get(name) != known.jobs[name]]
                wrong.append(f"P1: {world.name} has folded the jobs {names} otherwise")
            elif board.runs != unfinished:
                wrong.append(f"P1: {world.name} has folded the unfinished runs otherwise")
        return wrong

    def _keep_views(self) -> None:
        """Let the leader keep real views too: rows in SQLite, folded from this ledger."""
        entropy = SeededEntropy(self.scenario.seed)
        name = f"simulation-{self.scenario.seed}-{id(self)}"
        store = MemoryStore(name, instance=InstanceId("views.0.0"), clock=SystemClock(), entropy=entropy)
        store.ledger.log = self.cluster.log
        upgrade(store)
        self.cluster.views = store

    # --- what goes on -----------------------------------------------------------------------------------

    async def _again_and_again(self, happens: Callable[[], Any], every: float) -> None:
        while True:
            await anyio.sleep(self._happens.expovariate(1 / every))
            if self._over:
                return
            await happens()

    async def _replace_the_dead(self) -> None:
        """The supervisor: keeps about as many instances as there should be."""
        assert self._tasks is not None
        while not self._closing:
            living = self.cluster.living()
            staying = [world for world in living if not world.is_draining]
            if len(living) < self.count or not staying:
                if not self._over:
                    await anyio.sleep(self._happens.uniform(0.1, 6))
                self._tasks.start_soon(self.cluster.instance)
                self.cluster.note("an instance is started again", "restart")
            await anyio.sleep(0.5)

    async def _export(self) -> None:
        while not self._over:
            await anyio.sleep(self._happens.uniform(5, 40))
            self.exports.append(list(self.cluster.exported()))

    def _someone(self) -> SimulatedWorld | None:
        """Pick an instance, the leader more often than the others."""
        living = self.cluster.living()
        leaders = [world for world in living if self.cluster.leads(world)]
        among = leaders if leaders and self._happens.random() < 0.6 else living
        return self._happens.choice(among) if among else None

    async def _do_kill(self) -> None:
        if (world := self._someone()) is not None:
            self.cluster.note("kill", "kill")
            self.cluster.crash(world)

    async def _do_pause(self) -> None:
        if (world := self._someone()) is not None:
            self.cluster.note("pause", "pause")
            self.cluster.stall(world, self.cluster.long())

    async def _do_cut(self) -> None:
        if self.cluster.kind == "server" and (world := self._someone()) is not None:
            self.cluster.note("cut", "cut")
            self.cluster.cut(world, self.cluster.long())

    async def _do_hang(self) -> None:
        self.cluster.note("hang", "hang")
        self.cluster.hang(self._happens.uniform(0.5, 8))

    async def _do_away(self) -> None:
        self.cluster.note("away", "away")
        self.cluster.go_away(self._happens.uniform(0.5, 25))

    async def _do_suspend(self) -> None:
        """A laptop's lid: one machine of several, or the one that holds everything."""
        self.cluster.note("suspend", "suspend")
        seconds = self._happens.uniform(1, 90)
        among = self.cluster.living()
        if self.cluster.kind == "server":
            among = [world for world in [self._someone()] if world is not None]
        for world in among:
            self.cluster.stall(world, seconds, asleep=True)

    async def _do_clock(self) -> None:
        self.cluster.note("clock", "clock")
        self.cluster.step_clock(self._happens.choice([-60.0, -7.0, -0.4, 0.3, 8.0, 90.0]))

    async def _do_drain(self) -> None:
        if (world := self._someone()) is not None:
            self.cluster.note("drain", "drain")
            self.cluster.stop(world)

    async def _do_config(self) -> None:
        """A new revision: one instance starts with it, and an old one goes."""
        assert self._tasks is not None
        cluster = self.cluster
        cluster.note("config", "config")
        number = int(cluster.revision[1:]) + 1
        changed = []
        for each in cluster.definitions:
            if each.schedule and self._happens.random() < 0.3:
                schedule = self._happens.choice(["*/4 * * * * *", "*/9 * * * * *", "30 * * * * *", ""])
                changed.append(msgspec.structs.replace(each, schedule=schedule))
            elif each.name == "second" or self._happens.random() < 0.9:
                changed.append(each)
        changed.append(definition(f"new-{number}", job="quick", schedule="*/8 * * * * *"))
        cluster.definitions, cluster.revision = changed, f"r{number}"
        self._tasks.start_soon(cluster.instance)
        old = next((world for world in cluster.living() if not world.is_draining), None)
        if old is not None:
            cluster.stop(old)

    async def _do_operator(self) -> None:
        """Switch a job off or on just when it is due."""
        now = self.cluster.clock.now()
        await anyio.sleep(max(0.0, 1 - now.microsecond / 1e6 - self._happens.uniform(0, 0.02)))
        names = sorted(self.cluster.folded().jobs)
        if names:
            self.cluster.note("operator", "operator")
            verb = self._happens.choice([job.disable, job.enable, job.enable, job.reset])
            await self._decide(self._happens.choice(names), verb)

    async def _do_steer(self) -> None:
        """Pause or resume a job, or stop a run, just when something is due."""
        now = self.cluster.clock.now()
        await anyio.sleep(max(0.0, 1 - now.microsecond / 1e6 - self._happens.uniform(0, 0.02)))
        known = self.cluster.folded()
        runs = [each.run_id for each in known.runs.values() if each.phase is not run.Phase.ENDED]
        self.cluster.note("steer", "steer")
        if runs and self._happens.random() < 0.3:
            await self._stop(self._happens.choice(runs))
        elif known.jobs:
            verb = self._happens.choice([job.pause, self._resume, self._resume])
            await self._decide(self._happens.choice(sorted(known.jobs)), verb)

    def _resume(self, state: JobState, actor: e.Actor, reason: str | None) -> list[e.Event]:
        return job.resume(state, actor, reason, now=self.cluster.clock.now())

    async def _stop(self, run_id: RunId) -> None:
        client = self._client()
        while events := run.request_cancel(
            state := self.cluster.folded().runs[run_id], e.Actor.operator("somebody"), None
        ):
            try:
                with anyio.move_on_after(30):
                    write = Write(run_stream(run_id), tuple(events), expected=state.version)
                    await client.append(Item((write,)))
            except Conflict:
                continue
            return

    async def _decide(self, name: JobName, verb: Callable[..., list[e.Event]]) -> None:
        client = self._client()
        while True:
            state = self.cluster.folded().jobs[name]
            events = tuple(verb(state, e.Actor.operator("somebody"), None))
            if not events:
                return
            try:
                with anyio.move_on_after(30):
                    await client.append(Item((Write(job_stream(name), events, expected=state.version),)))
            except Conflict:
                continue
            return

    async def _do_manual(self) -> None:
        """Ask for a run by hand, sometimes twice under one key; what is answered is a promise."""
        assert self._tasks is not None
        if "hand" not in self.cluster.folded().jobs:
            return
        self.cluster.note("manual", "manual")
        hand = JobName("hand")
        self._clients += 1
        if self._happens.random() < 0.5:
            run_id = keyed_run(hand, "somebody", f"key {self._clients}")
            self._tasks.start_soon(self._ask_for, run_id)
        else:
            run_id = manual_run(hand, f"{self._clients:032x}")
        self._tasks.start_soon(self._ask_for, run_id)
        if self._clients % 2:
            self._request(hand)

    def _request(self, name: JobName) -> None:
        """Let an application commit a transaction of its own that asks for a run."""
        request = Requested(id=f"{self._clients:08x}{0:024x}", job=name, actor="shop")
        self.cluster.inbox[request.id] = request
        self.acknowledged.append(request.run_id)

    async def _ask_for(self, run_id: RunId) -> None:
        state = self.cluster.folded().jobs[JobName("hand")]
        if state.definition is None:
            return
        event = run.trigger(state.definition, run_id, e.Cause.MANUAL, e.Actor.operator("somebody"))
        with anyio.move_on_after(60):
            try:
                await self._client().append(Item((Write(run_stream(run_id), (event,)),)))
            except Conflict:
                assert run_id in self.cluster.folded().runs, "the key was used before"
            self.acknowledged.append(run_id)

    def _client(self) -> SimulatedWorld:
        """Another process that appends and is no instance: a command line, an application."""
        self._clients += 1
        return SimulatedWorld(self.cluster, 1000 + self._clients, build="cli", revision="")


FREQUENCY = {
    "kill": 40.0, "pause": 50.0, "cut": 50.0, "hang": 70.0, "away": 90.0, "suspend": 90.0, "clock": 60.0,
    "config": 60.0, "operator": 8.0, "steer": 4.0, "manual": 5.0, "drain": 45.0,
}  # fmt: skip
"""About how many seconds pass between two faults of a kind."""
