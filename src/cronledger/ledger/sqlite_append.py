"""Appending to a SQLite file: one IMMEDIATE transaction for a whole batch, and what it has acknowledged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from cronledger.clock import Clock
from cronledger.domain.ids import InstanceId, Position, Term
from cronledger.errors import Fenced, LedgerDamaged, LedgerUnreachable, Refusal
from cronledger.ledger.admission import Admitted, Facts, Kept, Row, admit, ids_of, named
from cronledger.ledger.api import Answer, Head, Prepared, require_writer
from cronledger.ledger.codec import encode
from cronledger.ledger.instants import to_micros
from cronledger.ledger.marks import Mark, read_mark, write_mark
from cronledger.ledger.missing_tables import without_head
from cronledger.ledger.sql import head_of
from cronledger.ledger.sqlite_connections import Checkpoints, WriterLock, raw
from cronledger.ledger.wakeups import OwnWrites

IDS_AT_A_TIME = 500

_COLUMNS = (
    "position, recorded_at, term, leader, lease_until, epoch, lineage, min_writer, "
    "(SELECT id FROM event AS e WHERE e.position = ?), EXISTS (SELECT 1 FROM inbox)"
)
_HEAD = f"SELECT {_COLUMNS} FROM head"  # noqa: S608 - of constants
# One row: beside a busy loop the driver waits for the interpreter's lock at each row that it fetches.
_VERSIONS = (
    "SELECT json_group_object(value, coalesce((SELECT max(version) FROM event WHERE stream = value), 0)) "
    "FROM json_each(?)"
)
_LATEST = (
    "SELECT json_group_object(value, coalesce((SELECT max(position) FROM event WHERE job = value), 0)) "
    "FROM json_each(?)"
)
_USED = "SELECT id, position, stream, version, type, commitment, recorded_at FROM event WHERE id IN "
_OWN = (
    "stream", "version", "type", "schema", "must_understand", "term", "actor", "job", "attempt", "fire_at",
    "cause",
)  # fmt: skip
"""What differs from event to event, and is no bytes."""
_EVENT = f"""
    INSERT INTO event ({", ".join(_OWN)}, position, id, commitment, recorded_at, instance)
    SELECT {", ".join(f"json_extract(given.value, '$[{at}]')" for at in range(len(_OWN)))},
           :first + given.key, substr(:bytes, 1 + 48 * given.key, 16),
           substr(:bytes, 17 + 48 * given.key, 32), :recorded_at, :instance
      FROM json_each(:rows) AS given
"""  # noqa: S608 - of constants
_BODY = """
    INSERT INTO event_body (position, salt, body)
    SELECT :first + given.key, substr(:bytes, 1 + 16 * given.key, 16), given.value
      FROM json_each(:rows) AS given
"""
_read_numbers = msgspec.json.Decoder(dict[str, int]).decode
_MOVE = "UPDATE head SET position = ?, recorded_at = ?, term = ?, leader = ?, lease_until = ?, epoch = ?"
_RENEW = f"UPDATE head SET lease_until = ? WHERE term = ? RETURNING {_COLUMNS}"  # noqa: S608 - of constants


class SqliteAppender:
    """Appends in one IMMEDIATE transaction, on a connection of its own.

    By the driver's own statements: SQLAlchemy's take as long as the commit of a single event.
    """

    def __init__(
        self,
        engine: Engine,
        turn: WriterLock,
        checkpoints: Checkpoints,
        path: Path,
        *,
        own_writes: OwnWrites,
        instance: InstanceId,
        clock: Clock,
        check: Callable[[], Any],
        unmoved: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._turn = turn
        self._checkpoints = checkpoints
        self._path = path
        self._own_writes = own_writes
        self._mark: Mark | None = None
        self._lost: tuple[Position, str] | None = None
        self._instance = instance
        self._clock = clock
        self._check = check
        self._require_unmoved = unmoved
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
        if admitted.rows and self._mark is not None:
            last = admitted.rows[-1]
            self._mark = msgspec.structs.replace(self._mark, position=admitted.head.position, id=last[0])
        return admitted.answers

    def renew(self, term: Term, lease: timedelta) -> Head:
        """Set the lease of the current term to end `lease` from now."""
        with self._check(), self._turn.held():
            with ExitStack() as written, self._writing() as connection:
                now = self._clock.now()
                head = self._head(raw(connection), _RENEW, to_micros(now + lease) if lease else None, term)
                if head is None:
                    raise Fenced(term, self._require_head(raw(connection)).term)
                written.enter_context(self._own_writes.overlooked())
            return self._named(msgspec.structs.replace(head, clock=now), self._note())

    def head(self) -> Head:
        """Return the head as it stands; its lineage names the ledger, and the history after a loss."""
        with self._check(), self._engine.connect() as connection:
            # One statement sees one moment by itself.
            head = self._require_head(raw(connection))
        return self._named(head, read_mark(self._path))

    def lost(self) -> tuple[Position, str] | None:
        """Return, once, what had been acknowledged and is gone."""
        lost, self._lost = self._lost, None
        return lost

    def close(self) -> None:
        """Close the connections."""
        with self._turn.held():
            self._note()
            self._checkpoints.close()
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _attempt(self, batch: Sequence[Prepared], *, thorough: bool) -> Admitted | None:
        """Admit and store; None if a unique index says that the facts were not all there."""
        try:
            with self._writing() as connection:
                driver = raw(connection)
                head = self._require_head(driver)
                require_writer(head)
                facts = _facts(driver, batch, thorough=thorough)
                admitted = admit(head, facts, batch, instance=self._instance)
                if not thorough and any(isinstance(answer, Refusal) for answer in admitted.answers):
                    connection.rollback()
                elif admitted.rows or admitted.head != head:
                    _store(driver, admitted)
                return admitted
        except sqlite3.IntegrityError:
            return None

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        self._require_unmoved()
        if self._connection is None:
            connection = self._engine.connect()
            self._connection = connection.execution_options(cronledger_begin="BEGIN IMMEDIATE")
        try:
            self._connection.begin()
            yield self._connection
            self._require_unmoved()
            self._connection.commit()
            self._checkpoints.committed(self._connection)
        except BaseException:
            connection, self._connection = self._connection, None
            connection.close()
            raise

    def _require_head(self, driver: sqlite3.Connection) -> Head:
        head = self._head(driver, _HEAD)
        if head is None:
            raise without_head()
        return head

    def _head(self, driver: sqlite3.Connection, statement: str, *values: int | None) -> Head | None:
        """Return the head that a statement tells of, None if it tells of none."""
        mark = self._mark or read_mark(self._path)
        row = driver.execute(statement, (*values, mark.position)).fetchone()
        if row is None:
            return None
        if mark.lineage != row[6]:
            mark = Mark(lineage=row[6])
        elif row[0] < mark.position or row[8] not in {mark.id, None}:
            # An event that has been archived is no longer there; nobody archives beyond the head.
            self._mark = self._begin_history(mark)
        if self._mark is None or self._mark.lineage != row[6]:
            self._mark = mark
        return head_of(row, self._clock.now(), has_requests=bool(row[9]))

    def _named(self, head: Head, noted: Mark) -> Head:
        """Let the lineage of a head name the history after a loss as well."""
        history = "" if self._mark is None else _history(noted, self._mark)
        return msgspec.structs.replace(head, lineage=f"{head.lineage}/{history}") if history else head

    def _begin_history(self, lost: Mark) -> Mark:
        """Give the ledger's history another name: it is not the one in which this event was acknowledged."""
        event_id = lost.id.hex()
        self._lost = (Position(lost.position), event_id)
        mark = Mark(lineage=lost.lineage, history=f"{lost.position}-{event_id}")
        write_mark(self._path, mark)
        return mark

    def _note(self) -> Mark:
        """Leave word of what was acknowledged, for whoever opens the file next; return what stood there."""
        try:
            noted, mark = read_mark(self._path), self._mark
        except LedgerUnreachable:
            # What was committed is; a note that cannot be left now is left with the next renewal.
            return self._mark or Mark()
        if mark is not None and mark.position > (noted.position if noted.lineage == mark.lineage else 0):
            write_mark(self._path, msgspec.structs.replace(mark, history=_history(noted, mark)))
        return noted


def _history(noted: Mark, mark: Mark) -> str:
    """Return the name of the history as all instances know it."""
    return noted.history if noted.lineage == mark.lineage else mark.history


def _facts(driver: sqlite3.Connection, batch: Sequence[Prepared], *, thorough: bool) -> Facts:
    asked = named(batch, thorough=thorough)
    versions = _numbers(driver, _VERSIONS, asked.streams)
    latest = _numbers(driver, _LATEST, asked.jobs) if asked.jobs else {}
    used = _used(driver, ids_of(batch)) if thorough else None
    return Facts(versions, latest, used)


def _numbers(driver: sqlite3.Connection, statement: str, names: list[str]) -> dict[str, int]:
    (text,) = driver.execute(statement, (encode(names).decode(),)).fetchone()
    return _read_numbers(text)


def _used(driver: sqlite3.Connection, ids: list[bytes]) -> dict[bytes, Kept]:
    used: dict[bytes, Kept] = {}
    for start in range(0, len(ids), IDS_AT_A_TIME):
        some = tuple(ids[start : start + IDS_AT_A_TIME])
        marks = ", ".join("?" * len(some))
        for row in driver.execute(f"{_USED} ({marks})", some):
            used[row[0]] = Kept(*row[1:])
    return used


def _store(driver: sqlite3.Connection, admitted: Admitted) -> None:
    head, rows = admitted.head, admitted.rows
    if rows:
        _store_events(driver, rows)
    until = None if head.lease_until is None else to_micros(head.lease_until)
    moved = (head.position, to_micros(head.recorded_at), head.term, head.leader, until, head.epoch)
    driver.execute(_MOVE, moved)


def _store_events(driver: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Insert all rows by one statement for each table: JSON for the database to take apart, and the bytes.

    It does that without the interpreter's lock; values would be bound one by one under it.
    """
    recorded_at, instance, first = rows[0][6], rows[0][7], rows[0][17]
    own = [(*row[1:6], *row[8:14]) for row in rows]
    given = {"rows": encode(own).decode(), "bytes": b"".join([row[0] + row[14] for row in rows])}
    driver.execute(_EVENT, given | {"first": first, "recorded_at": recorded_at, "instance": instance})
    bodies, salts = encode([row[16] for row in rows]).decode(), b"".join([row[15] for row in rows])
    driver.execute(_BODY, {"rows": bodies, "bytes": salts, "first": first})
