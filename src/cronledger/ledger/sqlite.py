"""The ledger in a SQLite file: WAL, `synchronous=FULL`, one writer at a time.

Every writing transaction begins IMMEDIATE, under a lock that all stores of one file in this process share,
so that its threads queue fairly and only ever wait for other processes. A connection never crosses a fork,
and never outlives the file's name. What was acknowledged is remembered, also beside the file, and a ledger
that holds it no longer is told apart by its lineage.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, event

from cronledger.clock import Clock
from cronledger.domain.ids import InstanceId, Position
from cronledger.entropy import Entropy
from cronledger.errors import CronledgerError, LedgerUnreachable, UsageError
from cronledger.ledger.api import Concern
from cronledger.ledger.failures import translated
from cronledger.ledger.file_locks import FileInstanceLock, FileLeaderLock, dead_instances, instance_file
from cronledger.ledger.instances import Instance
from cronledger.ledger.pools import close_for_good
from cronledger.ledger.sql import SqlLedger
from cronledger.ledger.sqlite_append import SqliteAppender
from cronledger.ledger.sqlite_connections import (
    Checkpoints,
    engine_for,
    file_url,
    make_private,
    unsynced,
    writer_lock,
)
from cronledger.ledger.sqlite_problems import problem, require_local, warn_of_others
from cronledger.ledger.wakeups import FileWatch, OwnWrites

OLDEST = (3, 37, 0)


class SqliteStore:
    """A ledger in a file, with everything around it."""

    kind: Literal["sqlite"] = "sqlite"

    def __init__(
        self, path: Path, *, instance: InstanceId, clock: Clock, entropy: Entropy, create: bool = False
    ) -> None:
        require_sqlite(sqlite3.sqlite_version_info)
        self.path = Path(os.path.realpath(path))
        """The file itself: SQLite follows links, and what lies beside the file has to be one for all."""
        self._given = path.absolute()
        self.url = file_url(path).render_as_string()
        _require_file(self.path, create=create)
        self._turn = writer_lock(self.path)
        self.checkpoints = Checkpoints(self.path)
        self._engine = engine_for(self.path, guarded=self.checkpoints.guarded)
        self._immediate = self._engine.execution_options(cronledger_begin="BEGIN IMMEDIATE")
        event.listen(self._engine, "connect", self._connected)
        self._process = os.getpid()
        self._file, self._log = _identity(self.path), _log_of(self.path)
        self._own_writes = OwnWrites()
        self._writer = SqliteAppender(
            self._engine,
            self._turn,
            self.checkpoints,
            self.path,
            own_writes=self._own_writes,
            instance=instance,
            clock=clock,
            check=self._guarded,
            unmoved=self._require_unmoved,
        )
        self.ledger = SqlLedger(
            instance, appender=self._writer, reading=self.reading, clock=clock, entropy=entropy
        )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees the database as of one moment."""
        with self._guarded(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, relaxed: bool = False) -> Iterator[Connection]:
        """Give a connection whose changes are committed together.

        `relaxed`: the commit is not awaited on the disk; the next append's is, and stands behind it there.
        """
        with self._guarded(), self._turn.held():
            self._require_unmoved()
            with self._immediate.connect() as connection:
                with unsynced(connection) if relaxed else nullcontext():
                    transaction = connection.begin()
                    with self._own_writes.overlooked(), transaction:
                        yield connection
                        self._require_unmoved()
                self.checkpoints.committed(connection)

    def leader_lock(self) -> FileLeaderLock:
        """Return this instance's hand on the leader's lock."""
        return FileLeaderLock(self.path.with_name(f"{self.path.name}.leader"))

    def instance_lock(self, instance: InstanceId) -> FileInstanceLock:
        """Set up the sign that an instance lives."""
        return FileInstanceLock(instance_file(self.path, instance))

    def dead_instances(self, known: Iterable[Instance], now: datetime) -> set[InstanceId]:
        """Return those of the instances whose process is provably gone."""
        return dead_instances(self.path, known, now)

    def lost(self) -> tuple[Position, str] | None:
        """Return, once, position and id of the newest event that was acknowledged, if it is gone."""
        return self._writer.lost()

    def concerns(self) -> list[Concern]:
        """Return what about the file endangers the ledger: nothing that is not refused when it is opened."""
        return []

    def wake(self, callback: Callable[[], None]) -> FileWatch:
        """Call back when somebody may have appended; a hint, from a thread of its own."""
        log = self.path.with_name(f"{self.path.name}-wal")
        return self._own_writes.watched_by(FileWatch(log, callback))

    def close(self) -> None:
        """Close every connection; those of a parent process are not ours to close."""
        if os.getpid() == self._process:
            self._writer.close()
            close_for_good(self._engine)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        if os.getpid() != self._process:
            raise LedgerUnreachable(
                "this ledger was opened by the parent process", hint="open it again after a fork"
            )
        if self._has_moved():
            self._change_file()
        try:
            with translated(self._problem):
                yield
        except sqlite3.Error as error:
            found = self._problem(error)
            if found is None:
                raise
            raise found from error

    def _has_moved(self) -> bool:
        return any(_identity(name) != self._file for name in {self.path, self._given})

    def _require_unmoved(self) -> None:
        """Ask again after each wait: what is committed to a file that has lost its name is gone."""
        if self._has_moved():
            raise LedgerUnreachable(
                f"the ledger {self.path} was replaced, moved or deleted meanwhile; nothing was written",
                hint="the next try takes the file of that name",
            )

    def _change_file(self) -> None:
        """Let go of a file that has lost its name, or nobody else would ever see what is appended to it."""
        with self._turn.held():
            found = _identity(self.path)
            if found is None:
                raise LedgerUnreachable(
                    f"the ledger {self.path} has been moved or deleted", hint="put the file back"
                )
            if os.path.realpath(self._given) != str(self.path):
                raise LedgerUnreachable(
                    f"{self._given} is a link to another file than {self.path} by now",
                    hint="set it back, or stop every instance and start them again",
                )
            if found != self._file:
                self._require_no_old_log()
                self._writer.close()
                self._engine.dispose()
                self._file, self._log = found, _log_of(self.path)

    def _require_no_old_log(self) -> None:
        """SQLite would take the log of the file before for the new one's, and so undo or damage it."""
        if self._log & _log_of(self.path):
            raise LedgerUnreachable(
                f"the ledger {self.path} was replaced, and the write-ahead log of the one before still "
                "stands beside it",
                hint=f"stop every instance, move {self.path}-wal and {self.path}-shm away too, start again",
            )

    def _connected(self, driver: sqlite3.Connection, record: object) -> None:
        del driver, record
        if not self._has_moved():
            self._log = _log_of(self.path)

    def _problem(self, error: BaseException) -> CronledgerError | None:
        return problem(self.url, error, self.path)


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
    require_local(path)
    if path.exists():
        warn_of_others(path)
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
        make_private(path)
    except OSError as error:
        raise LedgerUnreachable(f"the ledger {path} cannot be made: {error.strerror}") from error


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerUnreachable(f"the ledger {path} cannot be looked at: {error.strerror}") from error
    return found.st_dev, found.st_ino


def _log_of(path: Path) -> frozenset[tuple[int, int]]:
    """Return what tells the write-ahead log of a file, and the log's index, from others of the same name."""
    found = [_identity(path.with_name(path.name + end)) for end in ("-wal", "-shm")]
    return frozenset(each for each in found if each is not None)
