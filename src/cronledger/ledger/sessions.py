"""Connections to PostgreSQL outside the pool, each kept alive by a thread of its own.

The leader's lock, an instance's lock and the listener live and die with their session, so each has its own.
A pooled connection would go back to the pool with the lock still on it, and the next borrower in the same
process would be granted the lock as well: advisory locks are re-entrant.
"""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Callable
from hashlib import sha256
from threading import Event, Thread, current_thread
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from cronledger.clock import Clock
from cronledger.errors import CronledgerError
from cronledger.ledger.connecting import Address, BehindPooler, Connection, connect, require_own_session

log = logging.getLogger("cronledger.ledger")

LEADER_CLASS = 0x63726C64
INSTANCE_CLASS = 0x63726C69
CHANNEL = "cronledger"

TOUCH_SECONDS = 3.0
SHORT_PAUSE_SECONDS = 0.05
LONG_PAUSE_SECONDS = 1.0
POOLER_PAUSE_SECONDS = 15.0
CLOSING_SECONDS = 2.0
TURNS_PER_LIMIT = 3
"""How many times in the limit of a call a candidate hears from the server: else it has lost its way there."""


def number_of(*words: str) -> int:
    """Return the second number of an advisory lock: the same words, the same lock.

    >>> number_of("public") == number_of("public")
    True
    """
    return int.from_bytes(sha256("/".join(words).encode()).digest()[:4], signed=True)


class Session:
    """One connection and the thread that makes it, watches it, and makes it again.

    `begin` is called with each new connection and may wait in the server; `attend` when the server has said
    something; `lost` when the connection is gone. All three run on the session's thread.
    """

    def __init__(
        self,
        address: Address,
        purpose: str,
        *,
        begin: Callable[[Connection], None],
        attend: Callable[[Connection], None],
        lost: Callable[[], None],
    ) -> None:
        self._error: str | None = None
        self._address = address
        self._purpose = purpose
        self._begin, self._attend, self._lost = begin, attend, lost
        self._stopping = Event()
        self._hush, self._nudge = os.pipe()
        self._thread = Thread(target=self._run, name=f"cronledger-{purpose}", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    @property
    def is_stopping(self) -> bool:
        """Whether the session is to end."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """End the session, also while it waits in the server, and whether or not that can be reached.

        A thread that is still busy connecting ends by itself, when it has. In a forked child there is none,
        and the pipe is the parent's.
        """
        if self._stopping.is_set() or not self._thread.is_alive():
            return
        os.write(self._nudge, b".")  # before the thread may end, and close the pipe
        self._stopping.set()
        if self._thread is not current_thread():
            self._thread.join(CLOSING_SECONDS)

    def _run(self) -> None:
        pause = SHORT_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                with connect(self._address, self._purpose, self._stopping) as connection:
                    require_own_session(connection, self._address.url)
                    self._error = None
                    self._begin(connection)
                    pause = SHORT_PAUSE_SECONDS
                    self._watch(connection)
            except BehindPooler as error:
                self._say(error)
                pause = POOLER_PAUSE_SECONDS
            except (psycopg.Error, CronledgerError) as error:
                self._say(error)
            finally:
                self._lost()
            self._stopping.wait(pause)
            pause = min(pause * 2, LONG_PAUSE_SECONDS)
        os.close(self._hush)
        os.close(self._nudge)

    def _say(self, error: Exception) -> None:
        """Keep why there is no session, and log it once; that the database is away is logged elsewhere."""
        text = str(error).strip()
        if text != self._error and isinstance(error, CronledgerError):
            level = logging.WARNING if self._purpose == "leader" else logging.INFO
            log.log(level, "no session for %s: %s", self._purpose, text)
        self._error = text

    def _watch(self, connection: Connection) -> None:
        poll = select.poll()  # select() knows no descriptor from 1,024 on
        poll.register(connection.fileno(), select.POLLIN)
        poll.register(self._hush, select.POLLIN)
        while not self._stopping.is_set():
            ready = [number for number, _ in poll.poll(TOUCH_SECONDS * 1000)]
            if connection.fileno() in ready:
                self._attend(connection)
            elif not ready:
                touch(connection)


class SessionLock:
    """An advisory lock that is taken again whenever its session was lost."""

    def __init__(
        self,
        address: Address,
        numbers: tuple[int, int],
        *,
        purpose: str,
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        self.since: float | None = None
        """The monotonic clock when the lock was taken; None while it is not held."""
        self.session: int | None = None
        self.tried = Event()
        self._numbers = numbers
        self._clock = clock
        self._changed = changed
        self._session = Session(address, purpose, begin=self._take, attend=touch, lost=self._drop)

    def start(self) -> None:
        """Begin to contend."""
        self._session.start()

    def release(self) -> None:
        """Give the lock back."""
        self._session.stop()

    def _take(self, connection: Connection) -> None:
        if not self._is_granted(connection):
            self._name_stranger(connection)
            while not self._is_granted(connection):
                if self._session.is_stopping:
                    return
                self._wait_for(connection)
        self.session = connection.info.backend_pid
        self.since = self._clock.monotonic()
        self.tried.set()
        self._changed()

    def _is_granted(self, connection: Connection) -> bool:
        row = connection.execute("SELECT pg_try_advisory_lock(%s::int, %s::int)", self._numbers).fetchone()
        return row == (True,)

    def _wait_for(self, connection: Connection) -> None:
        """Wait until the lock is free, or for a while; it is asked for afterwards.

        Nobody would notice if the way to the server were lost during one long wait, and its snapshot would
        keep old rows alive. The block is there so that the end of a wait is no error in the server's log.
        """
        first, second = self._numbers
        millis = int(connection.limit_seconds * 1000 / TURNS_PER_LIMIT)
        connection.execute(_WAIT.format(millis=millis, first=first, second=second))

    def _name_stranger(self, connection: Connection) -> None:
        """Warn if the lock is held by somebody who is no instance: the lease has to do without it."""
        for pid, user, application in strangers(connection, self._numbers):
            stranger = f"process {pid}, user {user}, application {application!r}"
            log.warning("the lock %s is held by a session of no instance: %s", self._numbers, stranger)

    def _drop(self) -> None:
        was_held, self.since, self.session = self.since is not None, None, None
        self.tried.set()
        if was_held:
            self._changed()


class SessionLeaderLock:
    """The leader's lock of a PostgreSQL ledger."""

    def __init__(self, address: Address, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._lock: SessionLock | None = None

    @property
    def held(self) -> bool:
        """Whether this instance holds the lock."""
        return self._lock is not None and self._lock.since is not None

    @property
    def session(self) -> int | None:
        """The process id of the database session that holds the lock."""
        return None if self._lock is None else self._lock.session

    def contend(self, on_change: Callable[[], None]) -> None:
        """Wait for the lock, then watch; `on_change` is called, on the lock's thread, on change."""
        if self._lock is None:
            numbers = (LEADER_CLASS, number_of(self._address.schema))
            self._lock = SessionLock(
                self._address, numbers, purpose="leader", clock=self._clock, changed=on_change
            )
            self._lock.start()

    def release(self) -> None:
        """Give the lock back and contend no longer."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()


class SessionInstanceLock:
    """The sign that one process lives, for as long as its session does."""

    def __init__(self, address: Address, instance: str, clock: Clock) -> None:
        numbers = (INSTANCE_CLASS, number_of(address.schema, instance))
        self._lock = SessionLock(address, numbers, purpose="instance", clock=clock, changed=_nothing)
        self._lock.start()
        self._lock.tried.wait(LONG_PAUSE_SECONDS)

    @property
    def held(self) -> bool:
        """Whether the sign stands."""
        return self._lock.since is not None

    @property
    def since(self) -> float | None:
        """The monotonic clock when the sign was set up, or set up again."""
        return self._lock.since

    def release(self) -> None:
        """Take the sign down."""
        self._lock.release()


class Listener:
    """Calls back when somebody has appended something that concerns others."""

    def __init__(self, address: Address, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._session = Session(address, "wake", begin=self._listen, attend=self._hear, lost=_nothing)
        self._session.start()

    def close(self) -> None:
        """Listen no longer."""
        self._session.stop()

    def _listen(self, connection: Connection) -> None:
        connection.execute(f"LISTEN {CHANNEL}")
        self._callback()

    def _hear(self, connection: Connection) -> None:
        if list(connection.notifies(timeout=0)):
            self._callback()
        else:
            touch(connection)


def strangers(
    connection: psycopg.Connection[Any], numbers: tuple[int, int]
) -> list[tuple[int, str | None, str | None]]:
    """Return process, user and application of those who hold a lock of ours and are not of us."""
    unsigned = [number % 2**32 for number in numbers]
    found = connection.execute(_STRANGERS, unsigned).fetchall()
    return [(row[0], row[1], row[2]) for row in found]


def touch(connection: Connection) -> None:
    """Show the server that we live, and notice if it does not; raises psycopg.Error then."""
    connection.execute("SELECT 1")


_WAIT = sql.SQL(
    "DO $$BEGIN PERFORM set_config('lock_timeout', '{millis}ms', true); "
    "PERFORM pg_advisory_lock(({first})::int, ({second})::int); "
    "EXCEPTION WHEN lock_not_available THEN NULL; END$$"
)
_STRANGERS: LiteralString = (
    "SELECT l.pid, a.usename, a.application_name "
    "FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid::bigint = %s "
    "AND l.objid::bigint = %s "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND coalesce(a.application_name, '') NOT LIKE 'cronledger %%'"
)


def _nothing() -> None:
    pass
