"""The ledger in a SQLite file: WAL, `synchronous=FULL`, one writer at a time.

Every writing transaction begins IMMEDIATE, under a lock that all stores of one file in this process share,
so that its threads queue fairly and SQLite's busy loop only ever meets other processes. A connection never
crosses a fork.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import RLock
from typing import Any, Literal
from weakref import WeakValueDictionary

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import IntegrityError

from cronledger.clock import Clock
from cronledger.domain.ids import InstanceId, Term
from cronledger.entropy import Entropy
from cronledger.errors import (
    CronledgerError,
    Fenced,
    LedgerDamaged,
    LedgerUnreachable,
    Refusal,
    SchemaOutdated,
    UsageError,
)
from cronledger.ledger.admission import Admitted, Facts, Kept, admit, ids_of, named
from cronledger.ledger.api import Answer, Head, Prepared
from cronledger.ledger.codec import encode
from cronledger.ledger.failures import safe_url, translated
from cronledger.ledger.file_locks import FileInstanceLock, FileLeaderLock, dead_instances, instance_file
from cronledger.ledger.instants import to_micros
from cronledger.ledger.schema import REVISION
from cronledger.ledger.sql import SqlLedger, head_of
from cronledger.ledger.wakeups import FileWatch

OLDEST = (3, 37, 0)
BUSY_SECONDS = 10.0
IDS_AT_A_TIME = 500

_HEAD = "SELECT position, recorded_at, term, leader, lease_until, epoch, lineage, min_writer FROM head"
_VERSIONS = (
    "SELECT s.value, coalesce((SELECT max(version) FROM event WHERE stream = s.value), 0) "
    "FROM json_each(?) AS s"
)
_LATEST = (
    "SELECT j.value, coalesce((SELECT max(position) FROM event WHERE job = j.value), 0) "
    "FROM json_each(?) AS j"
)
_USED = "SELECT id, position, stream, version, type, commitment, recorded_at FROM event WHERE id IN "
# The position is bound last in both, so that one list of rows serves both.
_EVENT = (
    "INSERT INTO event (id, stream, version, type, schema, must_understand, recorded_at, instance, term, "
    "actor, job, attempt, fire_at, cause, commitment, position) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?18)"
)
_BODY = "INSERT INTO event_body (salt, body, position) VALUES (?16, ?17, ?18)"
_MOVE = "UPDATE head SET position = ?, recorded_at = ?, term = ?, leader = ?, lease_until = ?, epoch = ?"
_RENEW = "UPDATE head SET lease_until = ? WHERE term = ?"

_WRITING: WeakValueDictionary[str, WriterLock] = WeakValueDictionary()
_FINDING = RLock()


class WriterLock:
    """The turn to write to one file, among the threads of this process."""

    def __init__(self) -> None:
        self._lock = RLock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the turn, at most as long as SQLite itself would."""
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise LedgerUnreachable(
                "another thread of this process has been writing to the ledger for 10 seconds"
            )
        try:
            yield
        finally:
            self._lock.release()


class SqliteStore:
    """A ledger in a file, with everything around it."""

    kind: Literal["sqlite"] = "sqlite"

    def __init__(
        self, path: Path, *, instance: InstanceId, clock: Clock, entropy: Entropy, create: bool = False
    ) -> None:
        require_sqlite(sqlite3.sqlite_version_info)
        self.path = path.absolute()
        self.url = f"sqlite:///{path}"
        _require_file(self.path, create=create)
        self._turn = _writer_lock(self.path)
        self._engine = _engine(self.path)
        self._immediate = self._engine.execution_options(cronledger_begin="BEGIN IMMEDIATE")
        self._process = os.getpid()
        self._writer = SqliteAppender(
            self._engine, self._turn, instance=instance, clock=clock, check=self._guarded
        )
        self.ledger = SqlLedger(instance, appender=self._writer, reading=self.reading, entropy=entropy)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees the database as of one moment."""
        with self._guarded(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, relaxed: bool = False) -> Iterator[Connection]:
        """Give a connection whose changes are committed together; `relaxed` changes nothing here."""
        del relaxed
        with self._guarded(), self._turn.held(), self._immediate.begin() as connection:
            yield connection

    def leader_lock(self) -> FileLeaderLock:
        """Return this instance's hand on the leader's lock."""
        return FileLeaderLock(self.path.with_name(f"{self.path.name}.leader"))

    def instance_lock(self, instance: InstanceId) -> FileInstanceLock:
        """Set up the sign that an instance lives."""
        return FileInstanceLock(instance_file(self.path, instance))

    def dead_instances(self, instances: Iterable[InstanceId]) -> set[InstanceId]:
        """Return those of the instances whose process is provably gone."""
        return dead_instances(self.path, instances)

    def wake(self, callback: Callable[[], None]) -> FileWatch:
        """Call back when somebody may have appended; a hint, from a thread of its own."""
        return FileWatch(self.path.with_name(f"{self.path.name}-wal"), callback)

    def close(self) -> None:
        """Close every connection."""
        self._writer.close()
        self._engine.dispose()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        if os.getpid() != self._process:
            raise LedgerUnreachable(
                "this ledger was opened by the parent process", hint="open it again after a fork"
            )
        with translated(self._problem):
            yield

    def _problem(self, error: BaseException) -> CronledgerError | None:
        return problem(self.url, error)


class SqliteAppender:
    """Appends in one IMMEDIATE transaction, on a connection of its own."""

    def __init__(
        self,
        engine: Engine,
        turn: WriterLock,
        *,
        instance: InstanceId,
        clock: Clock,
        check: Callable[[], Any],
    ) -> None:
        self._engine = engine
        self._turn = turn
        self._instance = instance
        self._clock = clock
        self._check = check
        self._connection: Connection | None = None

    def submit(self, batch: Sequence[Prepared]) -> list[Answer]:
        """Append each item or refuse it.

        Used ids are rare and looking each one up is dear, so they are looked up only if something was refused
        or the unique index has found one.
        """
        with self._check(), self._turn.held():
            admitted = self._attempt(batch, thorough=False)
            if admitted is None or any(isinstance(answer, Refusal) for answer in admitted.answers):
                admitted = self._attempt(batch, thorough=True)
        if admitted is None:
            raise LedgerDamaged(
                "the head of the ledger and its events disagree; nothing was appended",
                hint="run `cronledger ledger verify`; somebody has restored or edited a part of the database",
            )
        return admitted.answers

    def renew(self, term: Term, lease: timedelta) -> Head:
        """Set the lease of the current term to end `lease` from now."""
        with self._check(), self._turn.held(), self._writing() as connection:
            head = self._head(connection)
            if head.term != term:
                raise Fenced(term, head.term)
            until = head.clock + lease if lease else None
            connection.exec_driver_sql(_RENEW, (None if until is None else to_micros(until), term))
            return msgspec.structs.replace(head, lease_until=until)

    def head(self) -> Head:
        """Return the head as it stands."""
        with self._check(), self._engine.connect() as connection:
            return self._head(connection)

    def close(self) -> None:
        """Close the connection."""
        with self._turn.held():
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _attempt(self, batch: Sequence[Prepared], *, thorough: bool) -> Admitted | None:
        """Admit and store; None if a unique index says that the facts were not all there."""
        try:
            with self._writing() as connection:
                head, facts = self._head(connection), _facts(connection, batch, thorough=thorough)
                admitted = admit(head, facts, batch, instance=self._instance)
                if not thorough and any(isinstance(answer, Refusal) for answer in admitted.answers):
                    connection.rollback()
                elif admitted.rows or admitted.head != head:
                    _store(connection, admitted)
                return admitted
        except IntegrityError:
            return None

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self._connection is None:
            connection = self._engine.connect()
            self._connection = connection.execution_options(cronledger_begin="BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.commit()
        except BaseException:
            connection, self._connection = self._connection, None
            connection.close()
            raise

    def _head(self, connection: Connection) -> Head:
        row = connection.exec_driver_sql(_HEAD).first()
        if row is None:
            raise LedgerDamaged("the ledger has no head", hint="restore the database, or begin a new one")
        return head_of(row, self._clock.now())


def problem(url: str, error: BaseException) -> CronledgerError | None:
    """Return what an error of SQLite means, or None if it is a mistake of ours."""
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.IntegrityError):
        return None
    words, shown = str(error), safe_url(url)
    if not isinstance(error, sqlite3.OperationalError):
        broken = "malformed" in words or "not a database" in words
        return LedgerDamaged(f"{shown} is not a usable database: {words}") if broken else None
    if "no such table" in words:
        return SchemaOutdated(shown, None, REVISION)
    for sign, sentence in _SENTENCES.items():
        if sign in words:
            return LedgerUnreachable(f"the ledger {shown} {sentence}")
    return LedgerUnreachable(f"the ledger {shown} does not answer: {words}")


_SENTENCES = {
    "readonly": "may not be written by this user",
    "locked": f"was locked by another process for {BUSY_SECONDS:.0f} seconds",
    "unable to open": "cannot be opened (may this user read and write the file and its folder?)",
    "disk is full": "cannot grow: the disk is full",
}


def require_sqlite(version: tuple[int, ...]) -> None:
    """Raise LedgerUnreachable if SQLite is too old for STRICT tables."""
    if version < OLDEST:
        raise LedgerUnreachable(
            f"SQLite {'.'.join(map(str, version))} is too old; cronledger needs 3.37 or newer",
            hint="use a newer Python, or PostgreSQL",
        )


def _require_file(path: Path, *, create: bool) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder; the database URL must name a file")
    if path.exists():
        return
    if not path.parent.is_dir():
        raise LedgerUnreachable(
            f"the folder {path.parent} does not exist", hint=f"make it first: mkdir -p {path.parent}"
        )
    if not create:
        raise LedgerUnreachable(
            f"there is no ledger at {path}", hint="run `cronledger db upgrade` to make one"
        )
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise LedgerUnreachable(f"the ledger {path} cannot be made: {error.strerror}") from error


def _writer_lock(path: Path) -> WriterLock:
    name = os.path.realpath(path)
    with _FINDING:
        lock = _WRITING.get(name)
        if lock is None:
            lock = _WRITING[name] = WriterLock()
        return lock


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS}, pool_timeout=BUSY_SECONDS
    )
    event.listen(engine, "connect", _settle)
    event.listen(engine, "begin", begin)
    return engine


def _settle(connection: sqlite3.Connection, record: object) -> None:
    del record
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = OFF")
    # Without this, INSERT OR REPLACE would delete a row behind the back of its trigger.
    connection.execute("PRAGMA recursive_triggers = ON")


def begin(connection: Connection) -> None:
    """Begin a transaction: the driver would only do so before it writes."""
    statement: str = connection.get_execution_options().get("cronledger_begin", "BEGIN")
    connection.exec_driver_sql(statement)


def _facts(connection: Connection, batch: Sequence[Prepared], *, thorough: bool) -> Facts:
    asked = named(batch)
    versions = _pairs(connection, _VERSIONS, asked.streams)
    latest = _pairs(connection, _LATEST, asked.jobs) if asked.jobs else {}
    used = _used(connection, ids_of(batch)) if thorough else None
    return Facts(versions, latest, used)


def _pairs(connection: Connection, statement: str, names: list[str]) -> dict[str, int]:
    rows = connection.exec_driver_sql(statement, (encode(names).decode(),)).all()
    return {row[0]: row[1] for row in rows}


def _used(connection: Connection, ids: list[bytes]) -> dict[bytes, Kept]:
    used: dict[bytes, Kept] = {}
    for start in range(0, len(ids), IDS_AT_A_TIME):
        some = tuple(ids[start : start + IDS_AT_A_TIME])
        marks = ", ".join("?" * len(some))
        for row in connection.exec_driver_sql(f"{_USED} ({marks})", some):
            used[row[0]] = Kept(*row[1:])
    return used


def _store(connection: Connection, admitted: Admitted) -> None:
    head, rows = admitted.head, admitted.rows
    if rows:
        connection.exec_driver_sql(_EVENT, rows)
        connection.exec_driver_sql(_BODY, rows)
    until = None if head.lease_until is None else to_micros(head.lease_until)
    moved = (head.position, to_micros(head.recorded_at), head.term, head.leader, until, head.epoch)
    connection.exec_driver_sql(_MOVE, moved)
