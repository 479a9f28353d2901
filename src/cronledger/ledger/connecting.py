"""Connections to PostgreSQL on which nothing is left to the server's defaults, and no call waits for ever.

Over a connection that is half open, or held by something in between, libpq waits as long as TCP is content.
So every call has a limit here; once it has passed, the connection is closed and what became of the statement
is unknown. An answer that is there counts, however late it is looked at: the process may have been stopped.

Behind a pooler in transaction mode the next statement may be another session's. There nothing may be set for
a session, lest other users of the pooler get it, and what an append needs is said in its own statement.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Generator
from threading import Event
from typing import Any, LiteralString, TypeVar

import msgspec
import psycopg
from psycopg import errors

from cronledger.clock import SystemClock
from cronledger.errors import LedgerUnreachable

LIMIT_SECONDS = 12.0
"""How long a call may take: more than the server's own limit for a statement, so as to hear of that."""
IDLE_SECONDS = 10

Answer = TypeVar("Answer")
_monotonic = SystemClock().monotonic


class Address(msgspec.Struct, frozen=True):
    """Where a ledger is: what the driver wants to know, and what may be shown."""

    url: str
    arguments: dict[str, Any]
    schema: str
    limit_seconds: float = LIMIT_SECONDS


class BehindPooler(LedgerUnreachable):
    """The other end lends its sessions to anybody: what is set or locked in one is soon another's."""

    def __init__(self) -> None:
        super().__init__(
            "the database is behind a connection pooler, where locks of sessions mean nothing: "
            "leadership rests on the lease alone, and what others append is seen a second later",
            hint="connect directly, and a leader that crashes is replaced at once",
        )


class OnStandby(LedgerUnreachable):
    """The other end is a copy that follows a primary: it grants locks as happily, and takes no events."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"the database {url} is a standby: no instance can lead or serve there",
            hint="give the address of the primary, or all addresses: postgresql://USER@/DB?host=A&host=B",
        )


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that closes itself when a call gets no answer within `limit_seconds`, or is given up."""

    limit_seconds: float = LIMIT_SECONDS
    given_up: Event | None = None
    """Once this is set, by any thread, no call waits any longer."""

    def wait(self, gen: Generator[Any, Any, Answer], *args: Any, **options: Any) -> Answer:
        """Drive libpq until there is an answer; raises psycopg.OperationalError once the time is over."""
        until = _monotonic() + self.limit_seconds
        try:
            return super().wait(_bounded(gen, lambda: self._is_over(until)), *args, **options)
        except _NoAnswerError:
            self.close()
            raise psycopg.OperationalError(f"no answer within {self.limit_seconds:g} s") from None

    def _is_over(self, until: float) -> bool:
        return _monotonic() > until or (self.given_up is not None and self.given_up.is_set())


Connection = BoundedConnection


class _NoAnswerError(Exception):
    """The time of a call is over."""


def _bounded(steps: Generator[Any, Any, Answer], is_over: Callable[[], bool]) -> Generator[Any, Any, Answer]:
    """Go the steps of a call, as the driver's waiting wants them, until it has waited too long for one."""
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and is_over():
                raise _NoAnswerError
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # what a generator returns is its own affair


class Other(msgspec.Struct, frozen=True):
    """Who is at the other end of a connection."""

    is_pooler: bool
    is_standby: bool


def met(connection: psycopg.Connection[Any]) -> Other:
    """Find out who is at the other end, and make a session that is ours work by our settings."""
    row = connection.execute("SELECT pg_backend_pid(), pg_is_in_recovery()").fetchone()
    assert row is not None
    other = Other(is_pooler=row[0] != connection.info.backend_pid, is_standby=row[1])
    if not other.is_pooler:
        connection.execute(SETTINGS if connection.info.server_version >= 140_000 else SETTINGS_13)
    return other


def connect(address: Address, purpose: str, given_up: Event | None = None) -> Connection:
    """Open a connection of one's own in autocommit mode; raises psycopg.Error."""
    name = f"{address.arguments['application_name']} {purpose}"
    arguments = address.arguments | {"application_name": name, "autocommit": True}
    connection = BoundedConnection.connect(**arguments)
    connection.limit_seconds, connection.given_up = address.limit_seconds, given_up
    return connection


def has_been_left(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server has spoken unasked on a connection that stood idle: it says so when it goes.

    Then the next statement would fail on it, though another connection may be had. What else it may say, a
    notice, costs a new connection as well, and is rare.
    """
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def require_own_session(connection: Connection, url: str) -> None:
    """Make this a session that may hold a lock; raises BehindPooler or OnStandby where none can.

    Its settings are those of any session of ours, but it may wait as long as it shows itself now and then.
    """
    other = met(connection)
    if other.is_standby:
        raise OnStandby(url)
    if other.is_pooler:
        raise BehindPooler
    connection.execute(_WAITING if connection.info.server_version >= 140_000 else _WAITING_13)


def server_of(connection: psycopg.Connection[Any]) -> str:
    """Return which server's history this is: its system identifier and timeline; nothing on a standby.

    A standby that has been promoted, and a server restored to a point in time, begin a new timeline.
    """
    try:
        row = connection.execute(SERVER).fetchone()
    except errors.InsufficientPrivilege:
        return "unknown"
    assert row is not None
    return str(row[0])


SERVER: LiteralString = (
    "SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE "
    "(SELECT system_identifier FROM pg_control_system())::text || '/' || "
    "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END"
)
DURABLE: LiteralString = (
    "CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END"
)
SETTINGS_13: LiteralString = (
    f"SELECT set_config('synchronous_commit', {DURABLE}, false), "
    "set_config('statement_timeout', '10s', false), set_config('lock_timeout', '5s', false), "
    "set_config('idle_in_transaction_session_timeout', '10s', false), "
    "set_config('default_transaction_isolation', 'read committed', false)"
)
SETTINGS: LiteralString = (
    SETTINGS_13 + ", set_config('client_connection_check_interval', '2s', false), "
    "set_config('idle_session_timeout', '0', false)"
)
_WAITING_13: LiteralString = (
    "SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)"
)
_WAITING: LiteralString = _WAITING_13 + f", set_config('idle_session_timeout', '{IDLE_SECONDS}s', false)"
