"""The ledger in PostgreSQL, for several instances.

Views and rows go through SQLAlchemy's pool; appends through one connection of their own in autocommit mode;
locks and notifications through sessions of their own.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Literal, LiteralString
from uuid import UUID

import msgspec
import psycopg
from psycopg import errors
from sqlalchemy import Connection, text

from cronledger import process_identity
from cronledger.clock import Clock
from cronledger.domain.ids import InstanceId, Position, Term
from cronledger.entropy import Entropy
from cronledger.errors import CronledgerError, Fenced, LedgerDamaged, LedgerUnreachable
from cronledger.ledger import sessions
from cronledger.ledger.api import Answer, Appended, Concern, Head, Item, Prepared, Same
from cronledger.ledger.connecting import (
    DURABLE,
    LIMIT_SECONDS,
    Address,
    BoundedConnection,
    OnStandby,
    connect,
    has_been_left,
    met,
    server_of,
)
from cronledger.ledger.failures import parsed, safe_url, translated
from cronledger.ledger.instances import Instance
from cronledger.ledger.instants import from_micros
from cronledger.ledger.missing_tables import without_head
from cronledger.ledger.pools import close_for_good
from cronledger.ledger.postgres_append import answers, request
from cronledger.ledger.postgres_concerns import concerns
from cronledger.ledger.postgres_pool import arguments, pool_of, problem
from cronledger.ledger.postgres_schema import SCHEMA
from cronledger.ledger.sessions import Listener, SessionInstanceLock, SessionLeaderLock
from cronledger.ledger.sql import SqlLedger, head_of

TRUSTED_SECONDS = 5.0
"""How long our own session must have lasted before the absence of another one means anything."""

_HEAD = (
    "SELECT position, recorded_at, term, leader, lease_until, epoch, lineage, min_writer, "
    "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint, EXISTS (SELECT 1 FROM inbox) FROM head"
)
_APPEND: LiteralString = (
    f"SELECT set_config('synchronous_commit', {DURABLE}, true), set_config('lock_timeout', '5s', true), "
    "cronledger_append(%s, %s)"
)
"""What the guarantees rest on is set in the statement itself: behind a pooler there is no other place."""

_ID_AT: LiteralString = "SELECT id FROM event WHERE position = %s"
_RENEW = text("SELECT cronledger_renew(:term, :lease)")
_HELD = text(
    "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 "
    "AND classid::bigint = :classid "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class PostgresStore:
    """A ledger in a PostgreSQL database, with everything around it."""

    kind: Literal["postgres"] = "postgres"

    def __init__(
        self,
        url: str,
        *,
        instance: InstanceId,
        clock: Clock,
        entropy: Entropy,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        parts = parsed(url).set(drivername="postgresql+psycopg")
        self.url = safe_url(parts.render_as_string(hide_password=False))
        self._clock = clock
        self._password = parts.password
        self._arguments = arguments(parts, instance)
        self._limit = limit_seconds
        self._engine = pool_of(parts, self._arguments, limit_seconds)
        self._process = os.getpid()
        self._schema: str | None = None
        self._signs: list[SessionInstanceLock] = []
        self._writer = PostgresAppender(self, instance)
        self.ledger = SqlLedger(
            instance, appender=self._writer, reading=self.reading, clock=clock, entropy=entropy
        )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees the database as of one moment."""
        with self.guarded(), self._engine.connect() as connection:
            yield connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def writing(self, *, relaxed: bool = False) -> Iterator[Connection]:
        """Give a connection whose changes are committed together at the end.

        `relaxed`: the commit need not be durable when this returns; for what can be computed again.
        """
        with self.guarded(), self._engine.begin() as connection:
            if relaxed:
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            yield connection

    @contextmanager
    def stating(self) -> Iterator[Connection]:
        """Give a connection in autocommit mode: nothing is ever held between statements."""
        with self.guarded(), self._engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def leader_lock(self) -> SessionLeaderLock:
        """Return this instance's hand on the leader's lock."""
        return SessionLeaderLock(self.address(), self._clock)

    def instance_lock(self, instance: InstanceId) -> SessionInstanceLock:
        """Set up the sign that an instance lives; raises LedgerUnreachable where no instance can serve."""
        with self.reading() as connection:
            if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar_one():
                raise OnStandby(self.url)
        sign = SessionInstanceLock(self.address(), instance, self._clock)
        self._signs.append(sign)
        return sign

    def dead_instances(self, known: Iterable[Instance], now: datetime) -> set[InstanceId]:
        """Return those whose session is gone, and whose process is too, or which missed a beat as well.

        A restart or failover of the server ends every session at once. So silence proves nothing unless a
        sign of our own has stood for a while: others have had the same time to set theirs up again. A single
        session ends too, and behind a pooler there is none: whoever still beats is alive.

        That a process is gone the kernel knows at once, if it was one of this machine. A machine that was
        copied while it ran shares its boot id; an instance that lives there has a session, or another host.
        """
        known = list(known)
        ended = {each.id for each in known if _has_ended(each)}
        late = {each.id for each in known if each.is_late(now)}
        since = self._signed_since()
        if not since or self._clock.monotonic() - min(since) < TRUSTED_SECONDS:
            late = set()
        if not ended and not late:
            return set()
        schema = self.address().schema
        with self.reading() as connection:
            held = set(connection.execute(_HELD, {"classid": sessions.INSTANCE_CLASS}).scalars())
        silent = late if self._signed_since() == since else set()
        return {each for each in ended | silent if sessions.number_of(schema, each) % 2**32 not in held}

    def _signed_since(self) -> list[float]:
        return [since for sign in self._signs if (since := sign.since) is not None]

    def lost(self) -> tuple[Position, str] | None:
        """Return, once, position and id of the newest event acknowledged to this process, if it is gone."""
        return self._writer.lost()

    def concerns(self) -> list[Concern]:
        """Return what about the server and the way to it endangers the ledger."""
        lock = (sessions.LEADER_CLASS, sessions.number_of(self.address().schema))
        with self.stating() as connection:
            return concerns(_session(connection), lock)

    def wake(self, callback: Callable[[], None]) -> Listener:
        """Call back, on a thread of its own, when somebody has appended what concerns others; a hint."""
        return Listener(self.address(), callback)

    def close(self) -> None:
        """Close every connection; those of a parent process are not ours to close."""
        if os.getpid() == self._process:
            self._writer.close()
            close_for_good(self._engine)

    def address(self) -> Address:
        """Return what a session of its own needs to know."""
        if self._schema is None:
            with self.reading() as connection:
                self._schema = str(connection.exec_driver_sql(f"SELECT {SCHEMA}").scalar_one())
        return Address(self.url, self._arguments, self._schema, self._limit)

    def server(self, connection: Connection) -> str:
        """Return whose history a connection shows: asked once per session, and each time of a pooler."""
        return connection.info.get("server") or server_of(_session(connection))

    def problem(self, error: BaseException) -> CronledgerError | None:
        """Return what an error of the driver means, or None if it is a mistake of ours."""
        return problem(self.url, error, secret=self._password)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Raise what the driver's errors mean, and refuse to work across a fork."""
        if os.getpid() != self._process:
            raise LedgerUnreachable(
                "this ledger was opened by the parent process", hint="open it again after a fork"
            )
        try:
            with translated(self.problem):
                yield
        except psycopg.Error as error:  # of a session that was spoken to directly
            found = self.problem(error)
            if found is None:
                raise
            raise found from error


class PostgresAppender:
    """Appends in one autocommit statement, on a connection of its own."""

    def __init__(self, store: PostgresStore, instance: InstanceId) -> None:
        self._store = store
        self._instance = instance
        self._lock = Lock()
        self._connection: BoundedConnection | None = None
        self._warnings: list[str] = []
        self._server: str | None = None
        self._is_pooled = False
        self._is_deposed = False
        self._acknowledged: tuple[Position, bytes] | None = None
        self._lost: tuple[Position, str] | None = None

    def submit(self, batch: Sequence[Prepared]) -> list[Answer]:
        """Append each item or refuse it.

        On another server, or another timeline of it, the terms of the earlier one mean nothing, and the same
        number may be somebody else's: what claims one is refused until this instance leads here.
        """
        with self._lock:
            return self._submit(batch)

    def renew(self, term: Term, lease: timedelta) -> Head:
        """Set the lease of the current term to end `lease` from now."""
        micros = lease // timedelta(microseconds=1)
        with self._store.stating() as connection:
            row = connection.execute(_RENEW, {"term": term, "lease": micros}).scalar_one()
            head = _renewed(row, self._store.server(connection))
        if head.term != term:
            raise Fenced(term, head.term)
        return head

    def head(self) -> Head:
        """Return the head as it stands."""
        with self._store.stating() as connection:
            row = connection.exec_driver_sql(_HEAD).first()
            if row is None:
                raise without_head()
            return _head(row, self._store.server(connection))

    def lost(self) -> tuple[Position, str] | None:
        """Return, once, what had been acknowledged and is gone."""
        lost, self._lost = self._lost, None
        return lost

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _submit(self, batch: Sequence[Prepared]) -> list[Answer]:
        with self._store.guarded():
            try:
                self._reach()
                void = [i for i, each in enumerate(batch) if self._is_void(each.item)]
                valid = [each for i, each in enumerate(batch) if i not in void]
                given = iter(self._ask(valid))
                return [self._refused(each) if i in void else next(given) for i, each in enumerate(batch)]
            except psycopg.Error as error:
                if self._connection is not None and _is_spent(self._connection, error):
                    self._connection.close()
                    self._connection = None
                raise self._meaning(error) from error

    def _reach(self) -> None:
        """Have a connection, and know whose history it shows: a pooler may lead elsewhere at any time."""
        if self._connection is not None and has_been_left(self._connection):
            self._connection.close()
            self._connection = None
        if self._connection is None:
            connection = connect(self._store.address(), "append")
            try:
                connection.add_notice_handler(self._notice)
                self._is_pooled = met(connection).is_pooler
                self._recognize(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        elif self._is_pooled:
            self._recognize(self._connection)

    def _recognize(self, connection: BoundedConnection) -> None:
        server = server_of(connection)
        is_known = self._remembers(connection) and self._server in (None, server)
        self._is_deposed = self._is_deposed or not is_known
        self._server = server or self._server

    def _remembers(self, connection: BoundedConnection) -> bool:
        """Whether the database still knows the newest event that it acknowledged here."""
        if self._acknowledged is None:
            return True
        position, event_id = self._acknowledged
        if connection.execute(_ID_AT, (position,)).fetchone() == (event_id,):
            return True
        self._lost, self._acknowledged = (position, UUID(bytes=event_id).hex), None
        return False

    def _is_void(self, item: Item) -> bool:
        return self._is_deposed and item.fence is not None and item.takeover is None

    def _refused(self, prepared: Prepared) -> Fenced:
        assert prepared.item.fence is not None
        return Fenced(prepared.item.fence, self.head().term)

    def _ask(self, batch: Sequence[Prepared]) -> list[Answer]:
        if not batch:
            return []
        given = answers(batch, self._execute(request(batch, self._instance)))
        for prepared, answer in zip(batch, given, strict=True):
            if isinstance(answer, Appended) and answer.last:
                last = next(sealed[-1] for sealed in reversed(prepared.sealed) if sealed)
                self._acknowledged = (answer.last, last.id)
            if prepared.item.takeover is not None and isinstance(answer, Appended | Same):
                self._is_deposed = False
        return given

    def _execute(self, asked: tuple[str, str]) -> str:
        assert self._connection is not None
        self._warnings.clear()
        row = self._connection.execute(_APPEND, asked).fetchone()
        if self._warnings:
            # "canceling wait for synchronous replication": it is committed here, and perhaps only here.
            raise LedgerUnreachable(f"the append may not be durable: {self._warnings[0]}")
        assert row is not None
        return str(row[2])

    def _meaning(self, error: psycopg.Error) -> CronledgerError:
        return self._store.problem(error) or LedgerDamaged(f"an event cannot be stored: {error}")

    def _notice(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "")


def _has_ended(instance: Instance) -> bool:
    """Whether the kernel proves that an instance of this machine has ended."""
    return instance.host == socket.gethostname() and process_identity.is_gone(instance.process)


def _session(connection: Connection) -> BoundedConnection:
    """Return the driver's connection behind one of the pool."""
    session = connection.connection.driver_connection
    assert isinstance(session, BoundedConnection)
    return session


def _is_spent(connection: psycopg.Connection[Any], error: psycopg.Error) -> bool:
    """Whether the next try should go over another connection: to the primary, if there is one by then."""
    return connection.closed or isinstance(error, errors.ReadOnlySqlTransaction)


class _Head(msgspec.Struct):
    position: int
    recorded_at: int
    term: int
    leader: str | None
    lease_until: int | None
    epoch: int
    lineage: str
    min_writer: int
    clock: int
    has_requests: bool = False


def _renewed(reply: str, server: str) -> Head:
    return _head(msgspec.structs.astuple(msgspec.json.decode(reply, type=_Head)), server)


def _head(row: Sequence[Any], server: str) -> Head:
    """Return the head; its lineage names the ledger and the server's history that it stands in."""
    head = head_of(row, from_micros(row[8]), has_requests=row[9])
    return msgspec.structs.replace(head, lineage=f"{head.lineage}/{server}" if server else head.lineage)
