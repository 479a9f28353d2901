"""The real world: threads, a database, and the machine's clocks, as the engine sees them.

Synchronous below, asynchronous above: the one writer thread appends, a small pool of threads reads, one
thread gives the signs of life, and the loop awaits their answers. Nothing here decides anything.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any, TypeVar

import msgspec

from cronledger.clock import Clock, OffsetWatch, StepWatch
from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.ids import (
    CONFIG,
    LEADER,
    InstanceId,
    Position,
    RunId,
    Term,
    instance_stream,
    run_stream,
)
from cronledger.domain.requests import Requested
from cronledger.domain.revisions import Revisions, evolve
from cronledger.engine.world import Instance, Loaded
from cronledger.errors import CronledgerError, LedgerRegressed
from cronledger.ledger import inbox, instances
from cronledger.ledger.api import Answer, Appended, Head, Item, Prepared, Same, Write
from cronledger.ledger.database import InstanceLock, Store
from cronledger.ledger.notes import NoteWriter
from cronledger.projections import fold, job_status, leadership, run_history, tail
from cronledger.projections.replay import current
from cronledger.submitting import Pool, Submitter

T = TypeVar("T")
log = logging.getLogger("cronledger.instance")
_CLOCK = e.Actor.engine("clock")
_MOVED = {"uptime": "was set", "ledger": "differs from the ledger's"}
BEAT_SECONDS = 5.0
MISSED_BEATS = 3
READERS = 2


class ProcessWorld:
    """Implements `cronledger.engine.world.World` for a process of its own or a host application."""

    def __init__(self, store: Store, *, instance: InstanceId, clock: Clock, build: str) -> None:
        self.store = store
        self.clock = clock
        self.instance = instance
        self.build = build
        self.leader_lock = store.leader_lock()
        self._loop = asyncio.get_running_loop()
        self._readers = Pool(READERS, "cronledger-reader")
        self._releaser = Pool(1, "cronledger-release")
        self._submitter = Submitter(store.ledger)
        self._tail = tail.Tail()
        self._offset: float | None = None
        self._view_trouble = ""
        self._steps = StepWatch(clock)
        self._offsets = OffsetWatch()
        self.beats = Beats(store, self.now)
        self.notes = NoteWriter(store, clock)

    async def release_lock(self) -> None:
        """Give the leader's lock up on a thread of its own: a session may take long to end, and reads too."""
        await asyncio.shield(self._releaser.call(self.leader_lock.release))

    # --- time -------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the ledger's clock: the machine's own for a file, the server's as last seen otherwise."""
        if self._offset is None:
            return self.clock.now()
        return datetime.fromtimestamp(self.clock.boottime() + self._offset, UTC)

    def _observe(self, head: Head) -> Head:
        if self.store.kind == "postgres":
            self._offset = head.clock.timestamp() - self.clock.boottime()
        return head

    async def _watch_clock(self, before: datetime, head: Head) -> None:
        """Record, before anything is decided, that this machine's clock was set or is not the ledger's."""
        seconds, against = self._steps.look(), "uptime"
        if self.store.kind == "postgres":
            seconds, against = self._offsets.look(before, head.clock, self.clock.now()), "ledger"
        if seconds is None:
            return
        event = e.Event(body=e.ClockStepped(seconds=seconds, against=against), actor=_CLOCK)
        await self.append(Item((Write(instance_stream(self.instance), (event,), expected=None),)))
        log.warning("this machine's clock %s by %+.3f s", _MOVED[against], seconds)

    # --- appending --------------------------------------------------------------------------------------

    async def append(self, item: Item) -> Appended | Same:
        """Append one item; raise its refusal."""
        (answer,) = await self.submit([item])
        if isinstance(answer, Appended | Same):
            return answer
        raise answer

    def prepare(self, item: Item) -> Prepared:
        """Give the events of an item their ids, so that it can be submitted faster later, at most once."""
        return self.store.ledger.prepare(item)

    def submit(self, items: Sequence[Item | Prepared]) -> asyncio.Future[list[Answer]]:
        """Hand items to the writer; await the answers.

        A caller that is cancelled gets no answer, and the writer appends all the same: versions tell.
        """
        return self._submitter.submit(items)

    # --- reading ----------------------------------------------------------------------------------------

    async def learn_clock(self) -> None:
        """Learn the ledger's clock, before anything is said to the ledger."""
        self._steps.look()
        self._observe(await self.read(self.store.ledger.head))

    async def head(self) -> Head:
        """Return the head, and learn the ledger's clock from it."""
        return await self._seen(self.store.ledger.head)

    async def renew(self, term: Term, lease: timedelta) -> Head:
        """Prolong the lease of a term; return the head, as `head` does."""
        return await self._seen(self.store.ledger.renew, term, lease)

    async def _seen(self, function: Callable[..., Head], *args: Any) -> Head:
        before = self.clock.now()
        head = self._observe(await self.read(function, *args))
        if lost := self.store.lost():
            raise LedgerRegressed(*lost)
        self._submitter.recent.see(head.position)
        await self._watch_clock(before, head)
        return head

    async def events_after(self, position: Position, limit: int) -> list[e.Recorded]:
        """Return the next events, from memory where this process has written them all."""
        page = self._submitter.recent.after(position, limit)
        if not page:
            page = await self.read(self.store.ledger.read_all, position, limit)
        self._tail.follow(page)
        return page

    async def stream_of(self, run_id: RunId) -> list[e.Recorded]:
        """Return all events of a run."""
        return await self.read(self.store.ledger.read_stream, run_stream(run_id))

    async def load(self) -> Loaded:
        """Read the folds from the views, brought up to the head first."""
        self._submitter.recent.forget()
        self._tail.forget()
        return await self.read(self._load)

    async def known_runs(self, run_ids: Iterable[RunId]) -> dict[RunId, run.RunState]:
        """Fold the streams of the named runs."""
        return await self.read(self._runs, tuple(run_ids))

    async def requests(self, limit: int) -> list[Requested]:
        """Return the oldest requests of the inbox."""
        return await self.read(self._requests, limit)

    async def remove_requests(self, ids: Sequence[str]) -> None:
        """Remove requests whose runs are durable."""
        await self.read(self._remove_requests, ids)

    async def instances(self) -> list[Instance]:
        """Return every process with a row, marked dead where its end is proved or it has fallen silent."""
        return await self.read(self._instances)

    async def forget(self, gone: Sequence[InstanceId]) -> None:
        """Remove the rows of processes that are gone for good."""
        await self.read(self._forget, gone)

    async def known_builds(self) -> frozenset[str]:
        """Return the builds that have led before."""
        return await self.read(self._known_builds)

    async def last_lineage(self) -> str:
        """Return the lineage of the last election."""
        return await self.read(self._last_lineage)

    async def beat(self, **facts: Any) -> None:
        """Write facts about this instance into its row."""
        await self.read(self._update, facts)

    async def project(self) -> bool:
        """Bring the views up to the head; readers catch up by themselves, so trouble here stops nobody."""
        try:
            await self.read(tail.catch_up, self.store, self._tail.take())
        except CronledgerError as error:
            if str(error) != self._view_trouble:
                log.warning("the views stay behind for now: %s", error)
            self._view_trouble = str(error)
            return False
        self._view_trouble = ""
        return True

    async def read(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in a reader thread; a caller that is cancelled leaves it to end by itself."""
        return await self._readers.call(function, *args)

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call a function on the loop's thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    def close(self) -> None:
        """Flush what is queued and end the threads."""
        self._submitter.close()
        self.notes.close()
        self._readers.close()
        self._releaser.close()

    # --- on a reader's thread ---------------------------------------------------------------------------

    def _load(self) -> Loaded:
        with current(self.store) as views, views.reading() as connection:
            position = fold.standing(connection)
            jobs = job_status.all_jobs(connection)
            runs = run_history.unfinished(connection)
        stream = self.store.ledger.read_stream(CONFIG)
        told = [recorded for recorded in stream if recorded.position <= position]
        features = frozenset(each.body.name for each in told if isinstance(each.body, e.FeatureEnabled))
        return Loaded(position, jobs, runs, reduce(evolve, told, Revisions()), features)

    def _runs(self, run_ids: tuple[RunId, ...]) -> dict[RunId, run.RunState]:
        found: dict[RunId, run.RunState] = {}
        for run_id in run_ids:
            state = run.folded(self.store.ledger.read_stream(run_stream(run_id)))
            if state is not None:
                found[run_id] = state
        return found

    def _instances(self) -> list[Instance]:
        with self.store.reading() as connection:
            rows = instances.known(connection)
        dead = self.store.dead_instances(rows, self.now())
        return [
            Instance(
                id=row.id,
                kind=row.kind,
                epoch=row.epoch,
                jobs=frozenset(row.jobs),
                config_revision=row.config_revision,
                features=frozenset(row.features),
                is_dead=row.id in dead or (row.id != self.instance and self.beats.have_outlived(row.beat_at)),
                beat_at=row.beat_at,
            )
            for row in rows
        ]

    def _forget(self, gone: Sequence[InstanceId]) -> None:
        with self.store.writing() as connection:
            for instance in gone:
                instances.retire(connection, instance)

    def _requests(self, limit: int) -> list[Requested]:
        with self.store.reading() as connection:
            return inbox.waiting(connection, limit)

    def _remove_requests(self, ids: Sequence[str]) -> None:
        # Relaxed: a row that comes back after a power cut is found to have its run.
        with self.store.writing(relaxed=True) as connection:
            inbox.remove(connection, ids)

    def _known_builds(self) -> frozenset[str]:
        with self.store.reading() as connection:
            return leadership.known_builds(connection)

    def _last_lineage(self) -> str:
        elected = [each.body for each in self.store.ledger.read_stream(LEADER)]
        return next((body.lineage for body in reversed(elected) if isinstance(body, e.LeaderElected)), "")

    def _update(self, facts: dict[str, Any]) -> None:
        self.beats.learn(facts)
        with self.store.writing() as connection:
            instances.update(connection, self.instance, **facts)


class Beats:
    """Signs of life from a thread of its own, so that a blocked loop does not look like a death."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._marks: deque[datetime] = deque(maxlen=MISSED_BEATS)
        self._row: instances.Instance | None = None
        self._sign: InstanceLock | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cronledger-beats", daemon=True)

    def take(self, row: instances.Instance, sign: InstanceLock) -> None:
        """Take the row of a process that has been registered, and the sign that goes with it."""
        self._row = row
        self._sign = sign

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def learn(self, facts: dict[str, Any]) -> None:
        """Remember what the row says by now, for the case that it has to be written again."""
        if self._row is not None:
            self._row = msgspec.structs.replace(self._row, **facts)

    def have_outlived(self, beat_at: datetime) -> bool:
        """Whether this instance has beaten three times since somebody else's last beat.

        Silence counts only while we ourselves are heard, so that a database that was away for a minute
        kills nobody.
        """
        marks = tuple(self._marks)
        return len(marks) == MISSED_BEATS and marks[0] > beat_at

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2 * BEAT_SECONDS)

    def beat(self) -> None:
        """Give one sign of life; while the ledger does not hear it, nobody else's silence means anything."""
        if self._sign is not None and not self._sign.held:
            log.debug("no lock shows that this instance lives; its beats have to")
        now = self._now()
        try:
            with self._store.writing() as connection:
                self._write(connection, now)
        except CronledgerError as error:
            self._marks.clear()
            log.debug("the ledger did not hear the beat: %s", error)
        else:
            self._marks.append(now)

    def _write(self, connection: Any, now: datetime) -> None:
        """Mark the row; write it again if somebody has removed it, or the others would take us for dead."""
        row = self._row
        if row is None or self._stop.is_set() or instances.beat(connection, row.id, now):
            return
        instances.register(connection, msgspec.structs.replace(row, beat_at=now))

    def _run(self) -> None:
        while not self._stop.is_set():
            self.beat()
            self._stop.wait(BEAT_SECONDS)
