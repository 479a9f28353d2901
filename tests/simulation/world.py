"""One instance's outside in the simulator: its clocks, its way to the ledger, its lock, its signs of life.

It does what `cronledger.world.ProcessWorld` does with threads and a database: one writer that sends a batch
at a time and asks again with the same ids until it is answered, reads that give up after a while, and a
beat every five seconds. What can go wrong on the way is drawn by the cluster, append by append.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.ids import InstanceId, Position, RunId, Term, instance_id, run_stream
from cronledger.domain.line import Line
from cronledger.domain.progress import Progress
from cronledger.domain.requests import Requested
from cronledger.engine.world import Instance, Loaded
from cronledger.entropy import SeededEntropy
from cronledger.errors import LedgerUnreachable
from cronledger.ledger.api import Answer, Appended, Head, Item, Prepared, Same
from cronledger.ledger.memory import MemoryLedger
from tests.simulation.loop import Process, elapsed

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster

T = TypeVar("T")
Asked = tuple[list[Prepared], "asyncio.Future[list[Answer]]"]
READ_SECONDS = 10.0
"""After so long a read gives up, as with a client-side deadline."""
SESSION_SECONDS = 10.0
"""After so long the server ends the sessions of a client that it does not hear, and their locks with them."""
RESEND_SECONDS = 0.1
"""How soon a message that was held up gets through once the line is mended."""
SHORT_PAUSE, LONG_PAUSE = 0.05, 2.0
BEAT_SECONDS, MISSED_BEATS = 5.0, 3
LATE_AFTER = timedelta(seconds=6)


class Crashed(BaseException):
    """The process is gone: nothing it was about to do happens."""


class HostClock:
    """The clocks of an instance's machine: a wall clock that may be off, and two that never go back."""

    def __init__(self, cluster: Cluster, skew: float) -> None:
        self._cluster = cluster
        self.skew = skew
        self.slept = 0.0

    def now(self) -> datetime:
        if self._cluster.kind == "file":
            return self._cluster.clock.now()
        return self._cluster.start + timedelta(seconds=elapsed() + self.skew)

    def monotonic(self) -> float:
        return elapsed() - self.slept

    def boottime(self) -> float:
        return elapsed()


class Lock:
    """The leader's lock of the cluster, as the server keeps it: contenders get it in turn."""

    def __init__(self) -> None:
        self.holder: SimulatedLock | None = None
        self.contenders: list[SimulatedLock] = []

    def grant(self) -> None:
        while self.holder is None and self.contenders:
            self.holder = self.contenders.pop(0)
            self.holder.take()

    def drop(self, one: SimulatedLock) -> None:
        """End a contender's session."""
        if one in self.contenders:
            self.contenders.remove(one)
        if self.holder is one:
            self.holder = None
            self.grant()


class SimulatedLock:
    """One instance's hold on the lock: `held` is what it believes, and cut off it learns nothing."""

    session = None

    def __init__(self, lock: Lock, world: SimulatedWorld) -> None:
        self._lock = lock
        self._world = world
        self._contends = False
        self.held = False
        self.changed: Callable[[], None] = lambda: None

    def contend(self, on_change: Callable[[], None]) -> None:
        self.changed = on_change
        self._contends = True
        self.rejoin()

    def rejoin(self) -> None:
        """Stand in line unless that is so already."""
        if self._contends and self._lock.holder is not self and self not in self._lock.contenders:
            self._lock.contenders.append(self)
            self._lock.grant()
        self.look()

    def take(self) -> None:
        """Be given the lock by the server, whether or not anybody is there to hear of it."""
        self._world.cluster.gave_the_lock(self._world)
        self.look()

    def look(self) -> None:
        """Learn whether the lock is held, if the server can be heard."""
        if self._world.is_cut:
            return
        before, self.held = self.held, self._lock.holder is self
        if before != self.held:
            self.changed()

    def release(self) -> None:
        self._contends = self.held = False
        self._lock.drop(self)


class SimulatedLedger(MemoryLedger):
    """The memory ledger, which also remembers when it appended, and decodes each event once for all."""

    def __init__(self, cluster: Cluster, instance: InstanceId, entropy: SeededEntropy) -> None:
        super().__init__(instance, cluster.clock, entropy, cluster.log)
        self._cluster = cluster

    def submit(self, batch: Sequence[Prepared]) -> list[Answer]:
        answers = super().submit(batch)
        self._cluster.appended()
        return answers

    def read_all(self, after: Position, limit: int) -> list[e.Recorded]:
        self.read_stored(after, limit)
        return self._cluster.decoded(after, limit)


class SimulatedNotes:
    """What was said beside the events, as it was said."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.progress: dict[RunId, Progress] = {}

    def say(self, line: Line) -> None:
        self.lines.append(line)

    def report(self, report: Progress) -> None:
        self.progress[report.run_id] = report

    def end(self, run_id: RunId, attempt: int) -> None:
        assert run_id not in self.progress or attempt == self.progress[run_id].attempt
        self.progress.pop(run_id, None)


class SimulatedWorld:
    """What an engine sees of a cluster that exists in one process."""

    def __init__(self, cluster: Cluster, number: int, *, build: str, revision: str) -> None:
        self.cluster = cluster
        self.process = Process()
        self.clock = HostClock(cluster, cluster.random.uniform(-5, 5) if cluster.skewed else 0.0)
        self.entropy = SeededEntropy(cluster.random.getrandbits(64))
        self.instance = instance_id(f"sim{number}", number, f"{cluster.random.getrandbits(48):012x}")
        self.name = f"sim{number}"
        self.machine = number % 2
        self.build = build
        self.leader_lock = SimulatedLock(cluster.lock, self)
        self.ledger = cluster.ledger_of(self.instance, self.entropy)
        self.ended = anyio.Event()
        self.is_crashed = self.has_left = self.is_draining = False
        self.left_at: float | None = None
        self.frozen: list[tuple[float, float]] = []
        self.cut_until = self.stalled_until = 0.0
        self.beat_at = cluster.clock.now()
        self.facts: dict[str, Any] = {"epoch": None, "config_revision": revision, "state": "starting"}
        self.looks: Counter[int] = Counter()
        self.asked: Counter[str] = Counter()
        """How often this instance went to the ledger, by what for."""
        """How often the loop looked at the head, second by second."""
        self._marks: deque[datetime] = deque(maxlen=MISSED_BEATS)
        self._offset: float | None = None
        self._queue: list[Asked] = []
        self._writer: asyncio.Task[None] | None = None
        self._sign_lost = False
        self.notes = SimulatedNotes()

    # --- health -----------------------------------------------------------------------------------------

    @property
    def is_gone(self) -> bool:
        return self.is_crashed or self.has_left

    @property
    def is_cut(self) -> bool:
        return elapsed() < self.cut_until

    @property
    def is_healthy(self) -> bool:
        """Whether this instance could lead now."""
        return not (self.is_gone or self.is_draining or self.is_cut or self.process.is_frozen)

    def lose_session(self) -> None:
        """The server has not heard this instance for long: its sessions and locks are gone."""
        if self.is_cut and not self.is_gone:
            self._sign_lost = True
            self.cluster.lock.drop(self.leader_lock)

    def reconnect(self) -> None:
        """The network is back."""
        if not self.is_gone:
            self._sign_lost = False
            self.leader_lock.rejoin()

    def is_dead_to(self, other: SimulatedWorld) -> bool:
        """Whether another instance takes this one for dead: its end is proved, or it has fallen silent.

        The lock of a file is freed by the process's end alone; a session may end while its instance beats on.
        Of a process on the same machine, the kernel says that it is gone.
        """
        late = abs(other.now() - self.beat_at) > LATE_AFTER
        is_down = self.is_crashed or self._sign_lost
        silent = len(other._marks) == MISSED_BEATS and other._marks[0] > self.beat_at
        is_ended = self.is_crashed and self.machine == other.machine
        is_proved = is_ended or (is_down and (late or self.cluster.kind == "file"))
        return is_proved or (self is not other and silent)

    async def beats(self) -> None:
        """Give the signs of life, as the thread beside the loop does."""
        while True:
            now = self.now()
            self.asked["beats"] += 1
            try:
                await self._travel()
                self.beat_at = now
                self._marks.append(now)
            except LedgerUnreachable:
                self._marks.clear()
            await asyncio.sleep(self.cluster.beat_seconds)

    # --- the way to the ledger --------------------------------------------------------------------------

    async def _travel(self) -> None:
        """Let time pass as one way does; a cut line holds the message until it is mended or time is up."""
        if self.is_crashed:
            raise Crashed
        if self.cluster.latency:
            await asyncio.sleep(self.cluster.latency_of_one_way())
        deadline = elapsed() + READ_SECONDS
        while max(self.cut_until, self.cluster.hung_until) > elapsed():
            if elapsed() >= deadline:
                raise LedgerUnreachable("the ledger did not answer in time")
            await asyncio.sleep(RESEND_SECONDS)
        if elapsed() < self.cluster.away_until:
            raise LedgerUnreachable("the ledger is away")

    async def _ask(self, function: Callable[..., T], *args: Any) -> T:
        self.asked[function.__name__] += 1
        await self._travel()
        answer = function(*args)
        await self._travel()
        return answer

    def now(self) -> datetime:
        if self._offset is None:
            return self.clock.now()
        return self.cluster.start + timedelta(seconds=self.clock.boottime() + self._offset)

    def _observe(self, head: Head) -> Head:
        if self.cluster.kind == "server":
            self._offset = (head.clock - self.cluster.start).total_seconds() - self.clock.boottime()
        return head

    async def append(self, item: Item) -> Appended | Same:
        (answer,) = await self.submit([item])
        if isinstance(answer, Appended | Same):
            return answer
        raise answer

    def prepare(self, item: Item) -> Prepared:
        return self.ledger.prepare(item)

    def submit(self, items: Sequence[Item | Prepared]) -> asyncio.Future[list[Answer]]:
        """Hand items to the writer; whoever waits may be cancelled, what was handed over is sent."""
        if self.is_crashed:
            raise Crashed
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        if not items:
            future.set_result([])
            return future
        prepared = [each if isinstance(each, Prepared) else self.prepare(each) for each in items]
        self._queue.append((prepared, future))
        if self._writer is None or self._writer.done():
            self._writer = self.process.start(self._write())
        return future

    async def _write(self) -> None:
        while self._queue:
            asked, self._queue = self._queue, []
            answers = await self._deliver([prepared for batch, _ in asked for prepared in batch])
            for batch, future in asked:
                mine, answers = answers[: len(batch)], answers[len(batch) :]
                if not future.done():
                    future.set_result(mine)

    async def _deliver(self, batch: list[Prepared]) -> list[Answer]:
        """Send a batch until there is an answer: the ids tell what an earlier try has appended after all."""
        pause = SHORT_PAUSE
        while True:
            fault = self.cluster.fault_of_append()
            try:
                return await self._send(batch, fault)
            except LedgerUnreachable:
                if fault and pause == LONG_PAUSE:
                    self.cluster.lose_while_it_comes_back(pause)
                await asyncio.sleep(pause)
            pause = min(pause * 2, LONG_PAUSE)

    async def _send(self, batch: list[Prepared], fault: str | None) -> list[Answer]:
        cluster = self.cluster
        if fault is not None:
            cluster.note(f"{self.name} {fault} at an append of {_named(batch)}", fault)
        if fault == "crash before":
            await self._crash()
        if fault == "stall before":
            cluster.stall(self, cluster.long())
        if fault == "held":
            return await self._hold(batch)
        self.asked["submit"] += 1
        await self._travel()
        if fault == "lost":
            raise LedgerUnreachable("the request was lost")
        answers = self.ledger.submit(batch)
        cluster.took_over(self, batch)
        if fault == "crash after":
            await self._crash()
        if fault == "unknown":
            raise LedgerUnreachable("the answer was lost")
        if fault == "stall after":
            cluster.stall(self, cluster.long())
        await self._travel()
        return answers

    async def _hold(self, batch: list[Prepared]) -> list[Answer]:
        """The network keeps the message and delivers it late, whatever has become of the sender."""
        cluster = self.cluster
        seconds = cluster.long()

        def deliver() -> None:
            answers = self.ledger.submit(batch)
            cluster.took_over(self, batch)
            said = ", ".join(sorted({type(answer).__name__ for answer in answers}))
            cluster.note(f"{self.name}'s message of {seconds:.1f} s ago arrives: {said}")

        asyncio.get_running_loop().call_later(seconds, deliver, context=Context())
        match cluster.pick(["crash", "cut", "retry"]):
            case "crash":
                await self._crash()
            case "cut":
                cluster.cut(self, seconds + cluster.long())
            case _:
                pass
        raise LedgerUnreachable("the connection was lost")

    async def _crash(self) -> None:
        self.cluster.crash(self)
        await asyncio.get_running_loop().create_future()

    # --- the World of the engine ------------------------------------------------------------------------

    async def head(self) -> Head:
        self.looks[int(elapsed())] += 1
        return self._observe(await self._ask(self.ledger.head))

    async def renew(self, term: Term, lease: timedelta) -> Head:
        return self._observe(await self._ask(self.ledger.renew, term, lease))

    async def events_after(self, position: Position, limit: int) -> list[e.Recorded]:
        return await self._ask(self.ledger.read_all, position, limit)

    async def stream_of(self, run_id: RunId) -> list[e.Recorded]:
        return await self._ask(self.ledger.read_stream, run_stream(run_id))

    async def load(self) -> Loaded:
        return await self._ask(self.cluster.loaded)

    async def requests(self, limit: int) -> list[Requested]:
        return await self._ask(lambda: sorted(self.cluster.inbox.values(), key=lambda each: each.id)[:limit])

    async def remove_requests(self, ids: Sequence[str]) -> None:
        def remove() -> None:
            for each in ids:
                self.cluster.inbox.pop(each, None)

        await self._ask(remove)

    async def known_runs(self, run_ids: Iterable[RunId]) -> dict[RunId, run.RunState]:
        def found() -> dict[RunId, run.RunState]:
            runs = self.cluster.folded().runs
            return {run_id: runs[run_id] for run_id in sorted(run_ids) if run_id in runs}

        return await self._ask(found)

    async def instances(self) -> list[Instance]:
        def rows() -> list[Instance]:
            return [
                Instance(
                    id=world.instance, kind="service", epoch=world.facts["epoch"], jobs=frozenset(),
                    config_revision=world.facts["config_revision"], is_dead=world.is_dead_to(self),
                    beat_at=world.beat_at,
                )
                for world in self.cluster.worlds
                if not world.has_left
            ]  # fmt: skip

        return await self._ask(rows)

    async def forget(self, instances: Sequence[InstanceId]) -> None:
        await self._ask(lambda: self.cluster.forget(instances))

    async def known_builds(self) -> frozenset[str]:
        return await self._ask(lambda: frozenset(self.cluster.folded().builds))

    async def last_lineage(self) -> str:
        """The simulated database has one history."""
        return await self._ask(lambda: self.ledger.head().lineage)

    async def beat(self, **facts: Any) -> None:
        await self._travel()
        if self.cluster.hears_no_beats:
            raise LedgerUnreachable("the ledger is away")
        self.facts.update(facts)

    async def project(self) -> bool:
        try:
            await self._ask(self.cluster.project)
        except LedgerUnreachable:
            return False
        return True

    async def release_lock(self) -> None:
        self.leader_lock.release()

    def call_soon(self, function: Callable[[], None]) -> None:
        function()


def _named(batch: Sequence[Prepared]) -> str:
    streams = [write.stream for prepared in batch for write in prepared.item.writes]
    return ", ".join(streams[:3]) + (f" and {len(streams) - 3} more" if len(streams) > 3 else "")
