"""The ledger in PostgreSQL, for several instances.

Views and rows go through SQLAlchemy's pool; appends through one connection of their own in autocommit mode;
locks and notifications through sessions of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock
from typing import Any, Literal, LiteralString

import msgspec
import psycopg
from psycopg import errors
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL

from cronledger.clock import Clock
from cronledger.domain.ids import InstanceId, Term
from cronledger.entropy import Entropy
from cronledger.errors import CronledgerError, Fenced, LedgerDamaged, LedgerUnreachable, SchemaOutdated
from cronledger.ledger import sessions
from cronledger.ledger.api import Answer, Head, Prepared
from cronledger.ledger.failures import parsed, safe_url, translated
from cronledger.ledger.instants import from_micros
from cronledger.ledger.postgres_append import answers, request
from cronledger.ledger.schema import REVISION
from cronledger.ledger.sessions import Address, Listener, SessionInstanceLock, SessionLeaderLock
from cronledger.ledger.sql import SqlLedger, head_of

TRUSTED_SECONDS = 5.0
"""How long our own session must have lasted before the absence of another one means anything."""

_DAMAGED = "CL001"
_HEAD = (
    "SELECT position, recorded_at, term, leader, lease_until, epoch, lineage, min_writer, "
    "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM head"
)
_APPEND: LiteralString = "SELECT cronledger_append(%s, %s)"
_RENEW = text("SELECT cronledger_renew(:term, :lease)")
_HELD = text(
    "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 "
    "AND classid::bigint = :classid "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class PostgresStore:
    """A ledger in a PostgreSQL database, with everything around it."""

    kind: Literal["postgres"] = "postgres"

    def __init__(self, url: str, *, instance: InstanceId, clock: Clock, entropy: Entropy) -> None:
        parts = parsed(url).set(drivername="postgresql+psycopg")
        self.url = safe_url(parts.render_as_string(hide_password=False))
        self._clock = clock
        self._password = parts.password
        self._arguments = arguments(parts, instance)
        self._engine = _engine(parts, self._arguments)
        self._process = os.getpid()
        self._schema: str | None = None
        self._signs: list[SessionInstanceLock] = []
        self._writer = PostgresAppender(self, instance)
        self.ledger = SqlLedger(instance, appender=self._writer, reading=self.reading, entropy=entropy)

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
        """Set up the sign that an instance lives."""
        sign = SessionInstanceLock(self.address(), instance, self._clock)
        self._signs.append(sign)
        return sign

    def dead_instances(self, instances: Iterable[InstanceId]) -> set[InstanceId]:
        """Return those of the instances whose session is gone while ours was not.

        A restart or failover of the server ends every session at once. So nothing is proved unless a sign of
        our own has stood for a while: others have had the same time to set theirs up again.
        """
        since = [sign.since for sign in self._signs if sign.since is not None]
        if not since or self._clock.monotonic() - min(since) < TRUSTED_SECONDS:
            return set()
        schema = self.address().schema
        with self.reading() as connection:
            held = set(connection.execute(_HELD, {"classid": sessions.INSTANCE_CLASS}).scalars())
        return {each for each in instances if sessions.number_of(schema, each) % 2**32 not in held}

    def wake(self, callback: Callable[[], None]) -> Listener:
        """Call back, on a thread of its own, when somebody has appended what concerns others; a hint."""
        return Listener(self.address(), callback)

    def close(self) -> None:
        """Close every connection."""
        self._writer.close()
        self._engine.dispose()

    def address(self) -> Address:
        """Return what a session of its own needs to know."""
        if self._schema is None:
            with self.reading() as connection:
                self._schema = str(connection.exec_driver_sql("SELECT current_schema()").scalar_one())
        return Address(self.url, self._arguments, self._schema)

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
        with translated(self.problem):
            yield


class PostgresAppender:
    """Appends in one autocommit statement, on a connection of its own."""

    def __init__(self, store: PostgresStore, instance: InstanceId) -> None:
        self._store = store
        self._instance = instance
        self._lock = Lock()
        self._connection: sessions.Connection | None = None
        self._warnings: list[str] = []

    def submit(self, batch: Sequence[Prepared]) -> list[Answer]:
        """Append each item or refuse it."""
        return answers(batch, self._call(request(batch, self._instance)))

    def renew(self, term: Term, lease: timedelta) -> Head:
        """Set the lease of the current term to end `lease` from now."""
        micros = lease // timedelta(microseconds=1)
        with self._store.stating() as connection:
            row = connection.execute(_RENEW, {"term": term, "lease": micros}).scalar_one()
        head = _renewed(row)
        if head.term != term:
            raise Fenced(term, head.term)
        return head

    def head(self) -> Head:
        """Return the head as it stands."""
        with self._store.stating() as connection:
            row = connection.exec_driver_sql(_HEAD).first()
        if row is None:
            raise LedgerDamaged("the ledger has no head", hint="restore the database, or begin a new one")
        return head_of(row, from_micros(row[8]))

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _call(self, asked: tuple[str, str]) -> str:
        with self._lock, self._store.guarded():
            try:
                return self._execute(asked)
            except psycopg.Error as error:
                if self._connection is not None and self._connection.broken:
                    self._connection.close()
                    self._connection = None
                raise self._meaning(error) from error

    def _execute(self, asked: tuple[str, str]) -> str:
        if self._connection is None:
            self._connection = sessions.connect(self._store.address(), "append")
            self._connection.add_notice_handler(self._notice)
        self._warnings.clear()
        row = self._connection.execute(_APPEND, asked).fetchone()
        if self._warnings:
            # "canceling wait for synchronous replication": it is committed here, and perhaps only here.
            raise LedgerUnreachable(f"the append may not be durable: {self._warnings[0]}")
        assert row is not None
        return str(row[0])

    def _meaning(self, error: psycopg.Error) -> Exception:
        problem = self._store.problem(error)
        if problem is None and isinstance(error, psycopg.DataError | psycopg.IntegrityError):
            problem = LedgerDamaged(f"an event cannot be stored: {error}")
        return error if problem is None else problem

    def _notice(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "")


def problem(url: str, error: BaseException, *, secret: str | None = None) -> CronledgerError | None:
    """Return what an error of PostgreSQL or its driver means, or None if it is a mistake of ours."""
    if not isinstance(error, psycopg.Error):
        return None
    words = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if secret:
        words = words.replace(secret, "***")
    if error.sqlstate == _DAMAGED:
        return LedgerDamaged(words, hint="run `cronledger ledger verify`")
    match error:
        case errors.UndefinedTable() | errors.UndefinedFunction() | errors.InvalidSchemaName():
            return SchemaOutdated(url, None, REVISION)
        case errors.InsufficientPrivilege():
            return LedgerUnreachable(f"the ledger {url} may not be used so by this user: {words}")
        case errors.ReadOnlySqlTransaction():
            return LedgerUnreachable(f"the ledger {url} may not be written: {words}")
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return LedgerUnreachable(f"the ledger {url} does not answer: {words}")
        case _:
            return None


def arguments(parts: URL, instance: str) -> dict[str, Any]:
    """Return what the driver is told: the URL's parts, and limits for everything that could wait for ever."""
    given = parts.translate_connect_args(username="user", database="dbname") | dict(parts.query)
    return {
        "connect_timeout": 5,
        "keepalives": 1,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 5000,
        "application_name": f"cronledger {instance}",
        "client_encoding": "utf8",
        "prepare_threshold": None,
    } | given


def _engine(parts: URL, connect_args: dict[str, Any]) -> Engine:
    bare = URL.create(parts.drivername)
    engine = create_engine(bare, connect_args=connect_args, pool_timeout=10.0)
    event.listen(engine, "connect", _settle)
    return engine


def _settle(connection: psycopg.Connection[Any], record: object) -> None:
    del record
    try:
        sessions.settle(connection)
        connection.commit()
    except BaseException:
        connection.close()  # the pool forgets a connection whose first words failed, and leaves it open
        raise


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


def _renewed(reply: str) -> Head:
    told = msgspec.json.decode(reply, type=_Head)
    return head_of(msgspec.structs.astuple(told), from_micros(told.clock))
