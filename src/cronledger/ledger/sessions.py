"""Connections to PostgreSQL outside the pool, each kept alive by a thread of its own.

The leader's lock, an instance's lock and the listener live and die with their session, so each has its own.
A pooled connection would go back to the pool with the lock still on it, and the next borrower in the same
process would be granted the lock as well: advisory locks are re-entrant.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from hashlib import sha256
from threading import Event, Thread, current_thread
from typing import Any, LiteralString

import msgspec
import psycopg

from cronledger.clock import Clock
from cronledger.errors import CronledgerError, LedgerUnreachable

LEADER_CLASS = 0x63726C64
INSTANCE_CLASS = 0x63726C69
MIGRATION_CLASS = 0x63726C6D
CHANNEL = "cronledger"

WATCH_SECONDS = 1.0
TOUCH_EVERY = 3
IDLE_SECONDS = 10
SHORT_PAUSE_SECONDS = 0.05
LONG_PAUSE_SECONDS = 1.0

Connection = psycopg.Connection[tuple[Any, ...]]


class Address(msgspec.Struct, frozen=True):
    """Where a ledger is: what the driver wants to know, and what may be shown."""

    url: str
    arguments: dict[str, Any]
    schema: str


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
        self.error: str | None = None
        self._address = address
        self._purpose = purpose
        self._begin, self._attend, self._lost = begin, attend, lost
        self._stopping = Event()
        self._connection: Connection | None = None
        self._hush, self._nudge = os.pipe()
        self._thread = Thread(target=self._run, name=f"cronledger-{purpose}", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self) -> None:
        """End the session, also while it waits in the server."""
        if self._stopping.is_set():
            return
        os.write(self._nudge, b".")  # before the thread may end, and close the pipe
        self._stopping.set()
        while self._thread.is_alive() and self._thread is not current_thread():
            connection = self._connection
            if connection is not None:
                _cancel(connection)
            self._thread.join(0.1)

    def _run(self) -> None:
        pause = SHORT_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                with _connected(self._address, self._purpose) as self._connection:
                    self.error = None
                    self._begin(self._connection)
                    pause = SHORT_PAUSE_SECONDS
                    self._watch(self._connection)
            except (psycopg.Error, CronledgerError) as error:
                self.error = str(error).strip()
            finally:
                self._connection = None
                self._lost()
            self._stopping.wait(pause)
            pause = min(pause * 2, LONG_PAUSE_SECONDS)
        os.close(self._hush)
        os.close(self._nudge)

    def _watch(self, connection: Connection) -> None:
        quiet = 0
        while not self._stopping.is_set():
            ready, _, _ = select.select([connection.fileno(), self._hush], [], [], WATCH_SECONDS)
            if connection.fileno() in ready:
                self._attend(connection)
            quiet = 0 if ready else quiet + 1
            if quiet >= TOUCH_EVERY:
                touch(connection)
                quiet = 0


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

    @property
    def error(self) -> str | None:
        """Why the lock cannot be contended for, if it cannot."""
        return self._session.error

    def start(self) -> None:
        """Begin to contend."""
        self._session.start()

    def release(self) -> None:
        """Give the lock back."""
        self._session.stop()

    def _take(self, connection: Connection) -> None:
        require_own_session(connection)
        connection.execute("SELECT pg_advisory_lock(%s::int, %s::int)", self._numbers)
        self.session = connection.info.backend_pid
        self.since = self._clock.monotonic()
        self.tried.set()
        self._changed()

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

    @property
    def error(self) -> str | None:
        """Why the lock cannot be contended for, if it cannot."""
        return None if self._lock is None else self._lock.error

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


def connect(address: Address, purpose: str) -> Connection:
    """Open a connection in autocommit mode, with the settings that the guarantees rest on.

    Raises LedgerUnreachable.
    """
    try:
        connection = _connected(address, purpose)
    except psycopg.Error as error:
        raise LedgerUnreachable(f"{address.url} does not answer: {str(error).strip()}") from error
    return connection


def settle(connection: psycopg.Connection[Any]) -> None:
    """Make the session's settings ours, whatever the server's are."""
    settings = SETTINGS if connection.info.server_version >= 140_000 else SETTINGS_13
    connection.execute(settings)


def require_own_session(connection: Connection) -> None:
    """Raise LedgerUnreachable unless the other end is one session of a primary.

    A standby grants advisory locks as happily as a primary, and a pooler lends its sessions to anybody.
    """
    row = connection.execute("SELECT pg_backend_pid(), pg_is_in_recovery()").fetchone()
    assert row is not None
    if row[1]:
        raise LedgerUnreachable("the database is a standby; no instance may lead there")
    if row[0] != connection.info.backend_pid:
        raise LedgerUnreachable(
            "the database is behind a connection pooler, so locks of sessions mean nothing; connect directly"
        )


def touch(connection: Connection) -> None:
    """Show the server that we live, and notice if it does not; raises psycopg.Error then."""
    connection.execute("SELECT 1")


_COMMON: LiteralString = (
    "SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') "
    "WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false), "
    "set_config('statement_timeout', '10s', false), set_config('lock_timeout', '5s', false), "
    "set_config('idle_in_transaction_session_timeout', '10s', false), "
    "set_config('default_transaction_isolation', 'read committed', false)"
)
SETTINGS_13: LiteralString = _COMMON
SETTINGS: LiteralString = _COMMON + ", set_config('client_connection_check_interval', '2s', false)"
_WAITING: LiteralString = (
    "SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)"
)
_WAITING_NEW: LiteralString = _WAITING + f", set_config('idle_session_timeout', '{IDLE_SECONDS}s', false)"


def _connected(address: Address, purpose: str) -> Connection:
    name = f"{address.arguments['application_name']} {purpose}"
    connection = psycopg.connect(**address.arguments | {"application_name": name, "autocommit": True})
    try:
        settle(connection)
        if purpose != "append":
            new = connection.info.server_version >= 140_000
            connection.execute(_WAITING_NEW if new else _WAITING)
    except BaseException:
        connection.close()
        raise
    return connection


def _cancel(connection: Connection) -> None:
    try:
        connection.cancel_safe(timeout=1.0)
    except psycopg.Error:
        return


def _nothing() -> None:
    pass
