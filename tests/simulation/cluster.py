"""Instances, their worlds, and what can happen to them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import msgspec

from cronledger.domain import events as e
from cronledger.domain import job, run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import CONFIG, InstanceId, JobName, Position, RunId, Term, instance_id, run_stream
from cronledger.domain.job import JobState
from cronledger.domain.leadership import Lease
from cronledger.engine.definitions import Configuration
from cronledger.engine.executor import Provision
from cronledger.engine.loop import Engine, Plan
from cronledger.engine.world import Instance, Loaded
from cronledger.entropy import SeededEntropy
from cronledger.errors import LedgerUnreachable
from cronledger.jobs.api import Job
from cronledger.ledger.api import Answer, Appended, Head, Item, Same
from cronledger.ledger.memory import MemoryLedger, MemoryLog

START = datetime(2026, 1, 1, tzinfo=UTC)


class Crashed(BaseException):
    """The process is gone: nothing it was about to do happens."""


class VirtualClock:
    """Reads the loop's virtual time; `skew` is how far the wall clock of this machine is off."""

    def __init__(self, skew: float = 0.0) -> None:
        self.skew = skew

    def now(self) -> datetime:
        return START + timedelta(seconds=anyio.current_time() + self.skew)

    def monotonic(self) -> float:
        return anyio.current_time()

    def boottime(self) -> float:
        return anyio.current_time()


class Lock:
    """The advisory lock of the cluster; contenders are told in turn when it becomes free."""

    def __init__(self) -> None:
        self.holder: SimulatedLock | None = None
        self.contenders: list[SimulatedLock] = []

    def grant(self) -> None:
        while self.holder is None and self.contenders:
            self.holder = self.contenders.pop(0)
            self.holder.changed()


class SimulatedLock:
    """One instance's hold on the lock."""

    session = None

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self.changed: Callable[[], None] = lambda: None

    @property
    def held(self) -> bool:
        return self._lock.holder is self

    def contend(self, on_change: Callable[[], None]) -> None:
        self.changed = on_change
        self._lock.contenders.append(self)
        self._lock.grant()

    def release(self) -> None:
        if self in self._lock.contenders:
            self._lock.contenders.remove(self)
        if self.held:
            self._lock.holder = None
            self._lock.grant()


class SimulatedWorld:
    """What an engine sees of a cluster that exists in one process."""

    def __init__(self, cluster: Cluster, number: int, build: str) -> None:
        self.cluster = cluster
        self.clock = VirtualClock(cluster.random.uniform(-5, 5) if cluster.skewed else 0.0)
        self.entropy = SeededEntropy(cluster.random.getrandbits(64))
        self.instance = instance_id(f"sim{number}", number, f"{cluster.random.getrandbits(48):012x}")
        self.build = build
        self.leader_lock = SimulatedLock(cluster.lock)
        self.ledger = MemoryLedger(self.instance, cluster.clock, self.entropy, cluster.log)
        self.is_crashed = False
        self.stalled_until = 0.0
        self.facts: dict[str, Any] = {"epoch": None, "config_revision": None, "state": "starting"}

    async def _turn(self) -> None:
        """Let time pass as a round trip does; a crashed process gets no further, a stalled one not yet."""
        await anyio.sleep(self.cluster.random.uniform(0.0, self.cluster.latency))
        while anyio.current_time() < self.stalled_until:
            await anyio.sleep(self.stalled_until - anyio.current_time())
        if self.is_crashed:
            raise Crashed

    def now(self) -> datetime:
        return self.cluster.clock.now()

    async def append(self, item: Item) -> Appended | Same:
        (answer,) = await self.submit([item])
        if isinstance(answer, Appended | Same):
            return answer
        raise answer

    async def submit(self, items: Sequence[Item]) -> list[Answer]:
        if self.cluster.chance(self.cluster.stall_probability):
            self.stalled_until = anyio.current_time() + self.cluster.random.uniform(1, 20)
        await self._turn()
        crashes = self.cluster.chance(self.cluster.crash_probability)
        if crashes and self.cluster.chance(0.5):
            self.cluster.crash(self)
            raise Crashed
        answers = self.ledger.submit([self.ledger.prepare(item) for item in items])
        if crashes:
            self.cluster.crash(self)
        await self._turn()
        return answers

    async def head(self) -> Head:
        await self._turn()
        return self.ledger.head()

    async def renew(self, term: Term, lease: timedelta) -> Head:
        await self._turn()
        return self.ledger.renew(term, lease)

    async def events_after(self, position: Position, limit: int) -> list[e.Recorded]:
        await self._turn()
        return self.ledger.read_all(position, limit)

    async def stream_of(self, run_id: RunId) -> list[e.Recorded]:
        await self._turn()
        return self.ledger.read_stream(run_stream(run_id))

    async def load(self) -> Loaded:
        await self._turn()
        jobs, runs = refold(self.ledger)
        unfinished = [state for state in runs.values() if state.phase is not run.Phase.ENDED]
        revisions = tuple(
            r.body.revision for r in self.ledger.read_stream(CONFIG) if isinstance(r.body, e.ConfigApplied)
        )
        return Loaded(self.ledger.head().position, jobs, unfinished, revisions)

    async def startup_runs(self, run_ids: Iterable[RunId]) -> dict[RunId, run.RunState]:
        await self._turn()
        _, runs = refold(self.ledger)
        return {run_id: runs[run_id] for run_id in run_ids if run_id in runs}

    async def instances(self) -> list[Instance]:
        await self._turn()
        return [
            Instance(
                id=world.instance, kind="service", epoch=world.facts["epoch"], jobs=frozenset(),
                config_revision=world.facts["config_revision"], is_dead=world.is_crashed,
            )
            for world in self.cluster.worlds
        ]  # fmt: skip

    async def known_builds(self) -> frozenset[str]:
        await self._turn()
        elected = (r.body for r in self.ledger.read_all(Position(0), 10**9))
        return frozenset(body.build for body in elected if isinstance(body, e.LeaderElected))

    async def beat(self, **facts: Any) -> None:
        await self._turn()
        if self.cluster.is_away:
            raise LedgerUnreachable("the ledger is away")
        self.facts.update(facts)

    async def project(self) -> None:
        await self._turn()

    def call_soon(self, function: Callable[[], None]) -> None:
        function()


class Cluster:
    """One ledger, one lock, any number of instances, and a source of trouble."""

    def __init__(
        self,
        definitions: Sequence[JobDefinition],
        jobs: Sequence[Job],
        *,
        seed: int = 0,
        skewed: bool = False,
    ) -> None:
        self.random = random.Random(seed)
        self.clock = VirtualClock()
        self.log = MemoryLog()
        self.lock = Lock()
        self.latency = 0.002
        self.skewed = skewed
        self.crash_probability = 0.0
        self.stall_probability = 0.0
        self.is_away = False
        self.worlds: list[SimulatedWorld] = []
        self.engines: list[Engine] = []
        self.definitions = list(definitions)
        self.revision = "r1"
        self.jobs = {str(each.name): each for each in jobs}

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def crash(self, world: SimulatedWorld) -> None:
        world.is_crashed = True
        world.leader_lock.release()

    async def instance(self, *, build: str = "1", plan: Plan | None = None) -> None:
        """Be an instance until stopped or crashed."""
        world = SimulatedWorld(self, len(self.worlds) + 1, build)
        self.worlds.append(world)
        plan = plan or Plan(lease=Lease(), drain_seconds=5)
        provision = Provision(find=lambda _extension, name: self.jobs.get(name))
        engine = Engine(world, Configuration(self.definitions, self.revision), provision, plan)
        self.engines.append(engine)
        self.log.listeners.append(engine.wake)
        try:
            await engine.run()
            world.is_crashed = True
        except BaseException as error:
            if not _only_crashes(error):
                raise
        finally:
            self.log.listeners.remove(engine.wake)

    def leader(self) -> SimulatedWorld | None:
        holder = self.lock.holder
        return next((world for world in self.worlds if world.leader_lock is holder), None)

    def events(self) -> list[e.Recorded]:
        return MemoryLedger(InstanceId("reader.0.0"), self.clock, SeededEntropy(), self.log).read_all(
            Position(0), 10**9
        )


def refold(ledger: MemoryLedger) -> tuple[dict[JobName, JobState], dict[RunId, run.RunState]]:
    """Fold everything from the first event."""
    jobs: dict[JobName, JobState] = {}
    runs: dict[RunId, run.RunState] = {}
    for recorded in ledger.read_all(Position(0), 10**9):
        if recorded.job is not None:
            state = job.evolve(jobs.get(recorded.job), recorded)
            assert state is not None
            jobs[recorded.job] = state
        if recorded.run_id is not None:
            known = run.evolve(runs.get(recorded.run_id), recorded)
            assert known is not None
            runs[recorded.run_id] = known
    return jobs, runs


def _only_crashes(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_only_crashes(each) for each in error.exceptions)
    return isinstance(error, Crashed)


def definition(name: str, **fields: Any) -> JobDefinition:
    return msgspec.structs.replace(JobDefinition(name=JobName(name), schedule="* * * * * *"), **fields)
