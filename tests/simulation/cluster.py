"""Instances on one ledger and one lock, and what can happen to them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec

from cronledger.domain import events as e
from cronledger.domain import job, revisions, run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import InstanceId, JobName, Position, RunId
from cronledger.domain.job import JobState
from cronledger.domain.leadership import Lease
from cronledger.domain.requests import Requested
from cronledger.domain.revisions import Revisions
from cronledger.engine.definitions import Configuration
from cronledger.engine.executor import Provision
from cronledger.engine.foresight import MANY
from cronledger.engine.loop import Engine
from cronledger.engine.plan import Plan
from cronledger.engine.world import Loaded
from cronledger.entropy import Entropy
from cronledger.errors import LedgerUnreachable
from cronledger.jobs.api import Job
from cronledger.ledger.api import Prepared, Stored
from cronledger.ledger.codec import exported, recorded
from cronledger.ledger.database import Store
from cronledger.ledger.memory import MemoryLedger, MemoryLog
from cronledger.projections import fold
from tests.simulation.loop import elapsed
from tests.simulation.world import (
    BEAT_SECONDS,
    SESSION_SECONDS,
    Crashed,
    Lock,
    SimulatedLedger,
    SimulatedWorld,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
FAILOVER_SECONDS = 2.0
"""G7: after a crash or a shutdown of the leader triggers resume within so long."""


class LedgerClock:
    """The ledger's clock: true time, but for the steps that somebody made it take."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self.steps: list[tuple[float, float]] = [(0.0, 0.0)]
        """From when, in virtual seconds, the clock has been off by how much."""

    def now(self) -> datetime:
        return self._start + timedelta(seconds=elapsed() + self.steps[-1][1])

    def step(self, seconds: float) -> None:
        self.steps.append((elapsed(), self.steps[-1][1] + seconds))


class Trouble(msgspec.Struct, frozen=True):
    """A time in which nobody can be expected to plan, in virtual seconds, and why."""

    since: float
    until: float
    why: str


class Drain(msgspec.Struct):
    """Somebody asked an instance to stop, and when."""

    world: Any
    asked_at: float


class Folded(msgspec.Struct):
    """Everything that the events say so far."""

    position: int = 0
    jobs: dict[JobName, JobState] = msgspec.field(default_factory=dict)
    runs: dict[RunId, run.RunState] = msgspec.field(default_factory=dict)
    revisions: Revisions = Revisions()
    builds: set[str] = msgspec.field(default_factory=set)

    def fold(self, event: e.Recorded) -> None:
        self.position = event.position
        if event.job is not None:
            state = job.evolve(self.jobs.get(event.job), event)
            assert state is not None
            self.jobs[event.job] = state
        if event.run_id is not None:
            known = run.evolve(self.runs.get(event.run_id), event)
            assert known is not None
            self.runs[event.run_id] = known
        self.revisions = revisions.evolve(self.revisions, event)
        if isinstance(event.body, e.LeaderElected):
            self.builds.add(event.body.build)


class Cluster:
    """One ledger, one lock, any number of instances, and a source of trouble.

    `kind` is where the ledger lives: a `file` has the clock of the one host, a `server` has its own.
    `chances` says how likely each fault is at every single append.
    """

    def __init__(
        self,
        definitions: Sequence[JobDefinition],
        jobs: Sequence[Job],
        *,
        seed: int = 0,
        skewed: bool = False,
        kind: str = "file",
        start: datetime = START,
    ) -> None:
        self.random = random.Random(seed)
        self.kind = kind
        self.start = start
        self.clock = LedgerClock(start)
        self.log = MemoryLog()
        self.inbox: dict[str, Requested] = {}
        self.log.has_requests = lambda: bool(self.inbox)
        self.lock = Lock()
        self.latency = 0.002
        self.beat_seconds = BEAT_SECONDS
        self.skewed = skewed
        self.chances: dict[str, float] = {}
        self.lost_wakes = 0.0
        self.hears_no_beats = False
        self.away_until = self.hung_until = 0.0
        self.worlds: list[SimulatedWorld] = []
        self.engines: list[Engine] = []
        self.definitions = list(definitions)
        self.revision = "r1"
        self.jobs = {str(each.name): each for each in jobs}
        self.views: Store | None = None
        self.lease = Lease()
        self.many = MANY
        self.troubles: list[Trouble] = []
        self.appended_at: list[tuple[float, datetime]] = []
        """For each position the virtual time and the ledger's clock of its append."""
        self.injected: dict[str, int] = {}
        self.on_note: Callable[[str], None] = lambda _text: None
        self.on_event: Callable[[Stored], None] = lambda _stored: None
        self.deaths: list[str] = []
        self.drains: list[Drain] = []
        self.deaf: list[tuple[float, float, SimulatedWorld | None]] = []
        """From when to when the ledger did not answer, and whom (None: everybody)."""
        self._absent_since: float | None = None
        self._folded = Folded()
        self._exported: list[bytes] = []
        self._decoded: list[e.Recorded] = []

    # --- chance -----------------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pick(self, among: Sequence[str]) -> str:
        return self.random.choice(among)

    def long(self) -> float:
        """Draw how long something lasts: often within a lease, often beyond it."""
        return self.random.uniform(0.5, 25.0)

    def latency_of_one_way(self) -> float:
        return self.random.uniform(0.0, self.latency)

    def fault_of_append(self) -> str | None:
        if not self.chances:
            return None
        drawn = self.random.random()
        for fault, probability in self.chances.items():
            drawn -= probability
            if drawn < 0:
                return fault
        return None

    def note(self, text: str, fault: str | None = None) -> None:
        """Tell the trace what happens; count it if it was injected."""
        if fault is not None:
            self.injected[fault] = self.injected.get(fault, 0) + 1
        self.on_note(text)

    # --- the ledger -------------------------------------------------------------------------------------

    def ledger_of(self, instance: InstanceId, entropy: Entropy) -> MemoryLedger:
        return SimulatedLedger(self, instance, entropy)

    def appended(self) -> None:
        """Remember when the newest events were appended."""
        for stored in self.log.events[len(self.appended_at) :]:
            self.appended_at.append((elapsed(), self.clock.now()))
            self.on_event(stored)

    def decoded(self, after: int, limit: int) -> list[e.Recorded]:
        for stored in self.log.events[len(self._decoded) :]:
            self._decoded.append(recorded(stored))
        return self._decoded[after : after + limit]

    def folded(self) -> Folded:
        """Return the fold of everything there is."""
        for event in self.decoded(self._folded.position, 10**9):
            self._folded.fold(event)
        return self._folded

    def loaded(self) -> Loaded:
        known = self.folded()
        unfinished = [state for state in known.runs.values() if state.phase is not run.Phase.ENDED]
        return Loaded(Position(known.position), dict(known.jobs), unfinished, known.revisions)

    def project(self) -> None:
        if self.views is not None:
            fold.catch_up(self.views)

    def exported(self) -> list[bytes]:
        """Return what `ledger export` prints."""
        self._exported += [exported(stored) for stored in self.log.events[len(self._exported) :]]
        return self._exported

    def events(self) -> list[e.Recorded]:
        return self.decoded(0, 10**9)

    # --- instances --------------------------------------------------------------------------------------

    async def instance(
        self,
        *,
        build: str = "1",
        plan: Plan | None = None,
        definitions: Sequence[JobDefinition] | None = None,
        revision: str | None = None,
    ) -> None:
        """Be an instance until stopped or crashed."""
        revision = revision or self.revision
        world = SimulatedWorld(self, len(self.worlds) + 1, build=build, revision=revision)
        plan = plan or Plan(lease=self.lease, drain_seconds=5, many=self.many)
        provision = Provision(find=lambda _extension, name: self.jobs.get(name))
        with world.process.inside():
            configuration = Configuration(self.definitions if definitions is None else definitions, revision)
            engine = Engine(world, configuration, provision, plan)
        self.worlds.append(world)
        self.engines.append(engine)
        self.note(f"{world.name} starts with {revision}")
        self.look_at_health()
        world.process.start(world.beats())
        world.process.start(self._live(world, engine))
        with self._listening(world, engine):
            await world.ended.wait()
        self.look_at_health()

    @contextmanager
    def _listening(self, world: SimulatedWorld, engine: Engine) -> Iterator[None]:
        def wake() -> None:
            if not (self.lost_wakes and self.chance(self.lost_wakes)) and not world.is_cut:
                engine.wake()

        self.log.listeners.append(wake)
        try:
            yield
        finally:
            self.log.listeners.remove(wake)

    async def _live(self, world: SimulatedWorld, engine: Engine) -> None:
        try:
            await engine.run()
        except LedgerUnreachable as error:
            self.note(f"{world.name} gives up: {error}")
        except BaseException as error:  # noqa: BLE001 - a death of any kind is noted, and fails the seed
            if world.is_crashed or _only(Crashed, error):
                return
            self.note(f"{world.name} dies of {error!r}")
            self.deaths.append(f"{world.name} died of {error!r}")
        if not world.is_crashed:
            world.has_left = True
            world.left_at = elapsed()
            self.note(f"{world.name} has left")
            self.lock.drop(world.leader_lock)
            world.ended.set()

    def leads(self, world: SimulatedWorld) -> bool:
        """Whether it matters to the planning at once if something happens to this instance."""
        return self.log.head.leader == world.instance or self.lock.holder is world.leader_lock

    def leader(self) -> SimulatedWorld | None:
        holder = self.lock.holder
        return next((world for world in self.worlds if world.leader_lock is holder), None)

    def forget(self, instances: Sequence[InstanceId]) -> None:
        """Lose the rows of instances."""
        for world in self.worlds:
            world.has_left = world.has_left or world.instance in instances

    def living(self) -> list[SimulatedWorld]:
        return [world for world in self.worlds if not world.is_gone]

    def engine_of(self, world: SimulatedWorld) -> Engine:
        return self.engines[self.worlds.index(world)]

    # --- what can happen --------------------------------------------------------------------------------

    def crash(self, world: SimulatedWorld) -> None:
        """kill -9: nothing of the process runs again; the server notices its sessions' end at once."""
        if world.is_gone:
            return
        self.note(f"{world.name} is killed")
        if self.leads(world):
            self.expect_failover(world, "crash")
        world.is_crashed = True
        world.process.freeze()
        world.leader_lock.release()
        world.ended.set()
        self.look_at_health()

    def stall(self, world: SimulatedWorld, seconds: float, *, asleep: bool = False) -> None:
        """SIGSTOP, later SIGCONT; `asleep`: the machine was suspended, and its monotonic clock with it."""
        if world.is_gone or world.process.is_frozen:
            return
        self.note(f"{world.name} {'sleeps' if asleep else 'stalls'} for {seconds:.1f} s")
        self._unless_quick(world, seconds, "stall")
        world.process.freeze()
        self.look_at_health()
        self._later(seconds, self._resume, world, asleep)

    def _resume(self, world: SimulatedWorld, asleep: bool) -> None:
        if world.is_gone or not world.process.is_frozen:
            return
        self.note(f"{world.name} goes on")
        world.frozen.append((world.process.frozen_at, elapsed()))
        if asleep:
            world.clock.slept += elapsed() - world.process.frozen_at
        world.process.thaw(asleep=asleep)
        self.look_at_health()

    def cut(self, world: SimulatedWorld, seconds: float) -> None:
        """Cut one instance off: its calls hang; the server drops its sessions after a while."""
        if world.is_gone or world.is_cut:
            return
        self.note(f"{world.name} is cut off for {seconds:.1f} s")
        self._unless_quick(world, seconds, "cut")
        world.cut_until = elapsed() + seconds
        self.deaf.append((elapsed(), world.cut_until, world))
        self.look_at_health()
        self._later(SESSION_SECONDS, world.lose_session)
        self._later(seconds, self._reconnect, world)

    def _reconnect(self, world: SimulatedWorld) -> None:
        world.reconnect()
        self.look_at_health()

    def heal(self, world: SimulatedWorld) -> None:
        """End whatever keeps an instance from its work."""
        if world.process.is_frozen and not world.is_gone:
            self._resume(world, asleep=False)
        if world.is_cut:
            world.cut_until = 0.0
            self._reconnect(world)

    def hang(self, seconds: float) -> None:
        """Let the ledger answer nobody for a while: another writer holds it."""
        self.note(f"the ledger hangs for {seconds:.1f} s")
        self.hung_until = elapsed() + seconds
        self.deaf.append((elapsed(), self.hung_until, None))
        self.trouble(seconds + self._until_led_again(), "hang")

    def go_away(self, seconds: float) -> None:
        """Stop the database for a while."""
        self.note(f"the ledger is away for {seconds:.1f} s")
        self.away_until = elapsed() + seconds
        self.deaf.append((elapsed(), self.away_until, None))
        self.trouble(seconds + self._until_led_again(), "away")

    def step_clock(self, seconds: float) -> None:
        """Set the ledger's clock; a lease may end early by it, which costs one election."""
        self.note(f"the ledger's clock is set {seconds:+.1f} s")
        self.clock.step(seconds)
        leader = next((world for world in self.worlds if self.log.head.leader == world.instance), None)
        if seconds < 0 and leader is not None and not leader.is_healthy:
            # The lease of a leader that cannot renew it ends by this clock, so it now ends later.
            self.trouble(self.lease_left() + FAILOVER_SECONDS, "clock set back under a lease")
        self.trouble(FAILOVER_SECONDS, "clock step")

    def stop(self, world: SimulatedWorld) -> None:
        """SIGTERM."""
        if world.is_gone or world.is_draining:
            return
        self.note(f"{world.name} is asked to stop")
        if self.leads(world):
            self.expect_failover(world, "shutdown")
        world.is_draining = True
        self.drains.append(Drain(world=world, asked_at=elapsed()))
        world.process.deliver(self.engine_of(world).stop)
        self.look_at_health()

    # --- how long planning may pause --------------------------------------------------------------------

    def trouble(self, seconds: float, why: str) -> None:
        now = elapsed()
        self.troubles.append(Trouble(now, now + seconds, why))

    def expect_failover(self, gone: SimulatedWorld, why: str) -> None:
        """G7: two seconds if every other instance can stand at once; else the lease has to run out."""
        everybody = all(world.is_healthy for world in self.living() if world is not gone)
        self.trouble(FAILOVER_SECONDS + (0.0 if everybody else self.lease_left()), why)

    def _unless_quick(self, world: SimulatedWorld, seconds: float, why: str) -> None:
        if self.leads(world):
            self.trouble(min(seconds, self.lease_left()) + FAILOVER_SECONDS, why)

    def _until_led_again(self) -> float:
        """Whoever leads by the lease alone, and loses trust in it, waits until it has run out."""
        holder = self.leader()
        by_lease = holder is not None and holder.instance != self.log.head.leader
        return FAILOVER_SECONDS + (self.lease_left() if by_lease else 0.0)

    def lease_left(self) -> float:
        """How long a lease may still run: its length, and more only if the clock was set back under it."""
        until = self.log.head.lease_until
        left = (until - self.clock.now()).total_seconds() if until is not None else 0.0
        assert left <= self.lease.seconds + self.set_back(), "a lease is longer than it may be"
        return max(self.lease.seconds, left)

    def set_back(self) -> float:
        """By how much the ledger's clock was set back: whoever was gone by then is missed so much later."""
        return -sum(min(0.0, then[1] - before[1]) for before, then in pairwise(self.clock.steps))

    def lose_while_it_comes_back(self, pause: float) -> None:
        """The first message after the ledger was away for long was lost too: the next one waits as long."""
        self.trouble(pause + FAILOVER_SECONDS, "lost while it comes back")

    def took_over(self, world: SimulatedWorld, batch: Sequence[Prepared]) -> None:
        """A new term of an instance that cannot lead lasts until its lease runs out."""
        if any(prepared.item.takeover for prepared in batch) and not world.is_healthy:
            self.trouble(self.lease.seconds + FAILOVER_SECONDS, "takeover by the helpless")

    def gave_the_lock(self, world: SimulatedWorld) -> None:
        """Whoever stands still may be next in line; the others lead without the lock after a lease's time."""
        if not world.is_healthy:
            self.trouble(self.lease_left() + FAILOVER_SECONDS, "lock of the helpless")

    def look_at_health(self) -> None:
        """Note from when to when nobody at all could lead."""
        healthy = any(world.is_healthy for world in self.worlds)
        now = elapsed()
        if not healthy and self._absent_since is None:
            self._absent_since = now
        elif healthy and self._absent_since is not None:
            holder = self.leader()
            usable = holder is None or holder.is_healthy
            until = now + FAILOVER_SECONDS + (0.0 if usable else self.lease_left())
            self.troubles.append(Trouble(self._absent_since, until, "nobody there"))
            self._absent_since = None

    def _later(self, seconds: float, function: Callable[..., None], *args: Any) -> None:
        asyncio.get_running_loop().call_later(seconds, function, *args, context=Context())


def refold(ledger: MemoryLedger) -> tuple[dict[JobName, JobState], dict[RunId, run.RunState]]:
    """Fold everything from the first event, decoded anew."""
    known = Folded()
    for stored in ledger.read_stored(Position(0), 10**9):
        known.fold(recorded(stored))
    return known.jobs, known.runs


def _only(kind: type[BaseException], error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_only(kind, each) for each in error.exceptions)
    return isinstance(error, kind)


def definition(name: str, **fields: Any) -> JobDefinition:
    return msgspec.structs.replace(JobDefinition(name=JobName(name), schedule="* * * * * *"), **fields)
