"""A ledger in memory with everything around it: for tests, demonstrations and commands that keep nothing.

Stores of one name in one process are one ledger; it ends when the last of them is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Lock, RLock
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from cronledger.clock import Clock
from cronledger.domain.ids import InstanceId
from cronledger.entropy import Entropy
from cronledger.errors import CronledgerError, SchemaOutdated
from cronledger.ledger import inbox
from cronledger.ledger.api import Concern
from cronledger.ledger.failures import translated
from cronledger.ledger.instances import Instance
from cronledger.ledger.memory import MemoryLedger, MemoryLog
from cronledger.ledger.sqlite_connections import begin
from cronledger.ledger.sqlite_problems import problem


class _Place:
    """What the stores of one name share."""

    def __init__(self, lineage: str) -> None:
        self.log = MemoryLog(lineage)
        self.lock = RLock()
        self.engine: Engine = create_engine(
            "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
        event.listen(self.engine, "connect", _settle)
        event.listen(self.engine, "begin", begin)
        self.connection: Connection | None = None
        self.users = 0
        self.alive: set[str] = set()
        self.candidates: list[MemoryLeaderLock] = []


_PLACES: dict[str, _Place] = {}
_FINDING = Lock()


class MemoryStore:
    """A ledger in memory under a name."""

    kind: Literal["memory"] = "memory"

    def __init__(self, name: str, *, instance: InstanceId, clock: Clock, entropy: Entropy) -> None:
        self.url = f"memory://{name}"
        self._name = name
        self._place = _enter(name, entropy)
        self._place.log.has_requests = self._has_requests
        self.ledger = MemoryLedger(instance, clock, entropy, self._place.log)
        self._open = True

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees the tables as of one moment."""
        with self._turn("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self, *, relaxed: bool = False) -> Iterator[Connection]:
        """Give a connection whose changes are kept together at the end; `relaxed` changes nothing here."""
        del relaxed
        with self._turn("BEGIN IMMEDIATE") as connection:
            yield connection

    def leader_lock(self) -> MemoryLeaderLock:
        """Return this instance's hand on the leader's lock."""
        return MemoryLeaderLock(self._place)

    def instance_lock(self, instance: InstanceId) -> MemoryInstanceLock:
        """Set up the sign that an instance lives."""
        return MemoryInstanceLock(self._place, instance)

    def dead_instances(self, known: Iterable[Instance], now: datetime) -> set[InstanceId]:
        """Return those of the instances that have no sign of life: here it goes with its instance only."""
        del now
        return {each.id for each in known} - self._place.alive

    def lost(self) -> None:
        """Nothing is lost before all of it is."""

    def concerns(self) -> list[Concern]:
        """Return what about the ledger deserves attention: nothing."""
        return []

    def wake(self, callback: Callable[[], None]) -> MemoryWake:
        """Call back, on the appending thread, when somebody has appended."""
        return MemoryWake(self._place.log, callback)

    def close(self) -> None:
        """Leave; the last one out ends the ledger."""
        if self._open:
            self._open = False
            _leave(self._name, self._place)

    @contextmanager
    def _turn(self, how: str) -> Iterator[Connection]:
        place = self._place
        with place.lock, translated(self._problem):
            if place.connection is not None:
                yield place.connection
                return
            with place.engine.connect() as connection:
                try:
                    place.connection = connection.execution_options(cronledger_begin=how)
                    with connection.begin():
                        yield connection
                finally:
                    place.connection = None

    def _has_requests(self) -> bool:
        try:
            with self.reading() as connection:
                return inbox.has_requests(connection)
        except SchemaOutdated:
            return False  # without tables there is no inbox; the ledger itself needs none

    def _problem(self, error: BaseException) -> CronledgerError | None:
        return problem(self.url, error)


class MemoryLeaderLock:
    """The leader's lock among the instances of one process: first come, first served."""

    session: int | None = None

    def __init__(self, place: _Place) -> None:
        self._place = place
        self._on_change: Callable[[], None] | None = None

    @property
    def held(self) -> bool:
        """Whether this instance holds the lock."""
        return bool(self._place.candidates) and self._place.candidates[0] is self

    def contend(self, on_change: Callable[[], None]) -> None:
        """Wait in line; `on_change` is called whenever `held` changes."""
        with self._place.lock:
            if self in self._place.candidates:
                return
            self._on_change = on_change
            self._place.candidates.append(self)
        if self.held:
            on_change()

    def notify(self) -> None:
        """Tell the instance that its lock has changed."""
        if self._on_change is not None:
            self._on_change()

    def release(self) -> None:
        """Leave the line; the next one holds the lock."""
        with self._place.lock:
            if self not in self._place.candidates:
                return
            was_held = self.held
            self._place.candidates.remove(self)
            following = self._place.candidates[:1] if was_held else []
        for lock in ([self] if was_held else []) + following:
            lock.notify()


class MemoryInstanceLock:
    """The sign that an instance lives."""

    def __init__(self, place: _Place, instance: InstanceId) -> None:
        self._place = place
        self._instance = instance
        place.alive.add(instance)

    @property
    def held(self) -> bool:
        """Whether the sign stands."""
        return self._instance in self._place.alive

    def release(self) -> None:
        """Take the sign down."""
        self._place.alive.discard(self._instance)


class MemoryWake:
    """Hears every append at once."""

    def __init__(self, log: MemoryLog, callback: Callable[[], None]) -> None:
        self._log = log
        self._callback = callback
        with log.lock:
            log.listeners.append(callback)

    def close(self) -> None:
        """Hear no longer."""
        with self._log.lock:
            if self._callback in self._log.listeners:
                self._log.listeners.remove(self._callback)


def _settle(connection: object, record: object) -> None:
    del record
    connection.isolation_level = None  # type: ignore[attr-defined]  # the event hands over a bare object


def _enter(name: str, entropy: Entropy) -> _Place:
    with _FINDING:
        place = _PLACES.get(name)
        if place is None:
            place = _PLACES[name] = _Place(str(UUID(bytes=entropy.token(), version=4)))
        place.users += 1
        return place


def _leave(name: str, place: _Place) -> None:
    with _FINDING:
        place.users -= 1
        if place.users == 0:
            del _PLACES[name]
            place.engine.dispose()
