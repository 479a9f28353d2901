"""Connections to a SQLite file, the turn to write to it, and the checkpoints of its write-ahead log.

Processes wait for the file by asking every three milliseconds: SQLite's own wait grows to a tenth of a
second, so that whoever writes without a pause keeps everybody else out for seconds.

SQLite before 3.51.3 can lose commits if one connection checkpoints at the moment at which another one begins
the write-ahead log anew. There nobody checkpoints by the way: a writer does it now and then, while a second
connection of its own keeps every other writer out.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, RLock
from weakref import WeakValueDictionary

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from cronledger.clock import SystemClock
from cronledger.errors import LedgerUnreachable

SAFE_CHECKPOINTS = (3, 51, 3)
"""The first SQLite in which checkpoints and writers do not harm each other."""

BUSY_SECONDS = 10.0
PAUSE_SECONDS = 0.003
CACHE_KIB = 8192
"""What a connection keeps of its file: in SQLite's own two megabytes, indexes of long views do not fit."""
WAL_FRAMES = 1000
WAL_BYTES_KEPT = 64 * 1024 * 1024
_FRAMES_A_COMMIT = 6
_CHANGES_A_FRAME = 3
_CHECKPOINT_SECONDS = 0.05
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SEEN = "cronledger_changes"

log = logging.getLogger("cronledger.ledger")

_WRITING: WeakValueDictionary[tuple[int, str], WriterLock] = WeakValueDictionary()
_FINDING = RLock()


class WriterLock:
    """The turn to write to one file, among the threads of this process."""

    def __init__(self) -> None:
        self._lock = RLock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the turn, at most as long as for another process."""
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise LedgerUnreachable(
                "another thread of this process has been writing to the ledger for 10 seconds"
            )
        try:
            yield
        finally:
            self._lock.release()


class Checkpoints:
    """Brings the write-ahead log back into the database file, on the thread that has just committed."""

    def __init__(self, path: Path, *, guarded: bool | None = None) -> None:
        self.guarded = sqlite3.sqlite_version_info < SAFE_CHECKPOINTS if guarded is None else guarded
        self.taken = 0
        """How many checkpoints this process has made."""
        self._path = path
        self._frames = 0
        self._guard: sqlite3.Connection | None = None

    def committed(self, connection: Connection) -> None:
        """Count what a connection has just committed, and checkpoint if it is time; keep the turn meanwhile.

        Raises nothing: what was committed is durable, and the next checkpoint takes what this one left.
        """
        if not self.guarded:
            return
        driver = raw(connection)
        before, now = connection.info.get(_SEEN, 0), driver.total_changes
        connection.info[_SEEN] = now
        self._frames += _FRAMES_A_COMMIT + (now - before) // _CHANGES_A_FRAME
        if self._frames >= WAL_FRAMES:
            try:
                self._checkpoint(driver)
            except sqlite3.Error as error:
                self.close()
                self._frames = 0
                log.warning("the write-ahead log of %s could not be checkpointed: %s", self._path, error)

    def close(self) -> None:
        """Close the connection that keeps the others out."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.close()

    def _checkpoint(self, driver: sqlite3.Connection) -> None:
        if self._guard is None:
            self._guard = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=0
            )
            settle(self._guard, guarded=True)
        try:
            begin_immediate(self._guard, _CHECKPOINT_SECONDS)
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            return
        try:
            driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            self._guard.execute("ROLLBACK")
        self._frames = 0
        self.taken += 1


def writer_lock(path: Path) -> WriterLock:
    """Return the lock that all stores of one file in this process share.

    A forked child has locks of its own: a thread that held one of its parent's does not exist in it.
    """
    name = os.getpid(), os.path.realpath(path)
    with _FINDING:
        lock = _WRITING.get(name)
        if lock is None:
            lock = _WRITING[name] = WriterLock()
        return lock


def make_private(path: Path) -> None:
    """Make an empty file that nobody else may read, unless there is one; raise OSError if that fails."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def file_url(path: Path) -> URL:
    """Return the URL of a file, whatever its name and its folders' are: `?` and `%` are but letters there."""
    return URL.create("sqlite", database=str(path))


def engine_for(path: Path, *, guarded: bool) -> Engine:
    """Return the pool of connections to a file; `guarded`: none of them checkpoints by the way."""
    engine = create_engine(file_url(path), connect_args={"timeout": BUSY_SECONDS}, pool_timeout=BUSY_SECONDS)

    def on_connect(connection: sqlite3.Connection, record: object) -> None:
        del record
        try:
            settle(connection, guarded=guarded)
        except sqlite3.OperationalError as error:
            if not is_busy(error) or _has_mode(connection):
                raise
            raise LedgerUnreachable(
                f"the file {path} cannot become a ledger while somebody has a transaction open in it",
                hint="end the transaction; then `cronledger db upgrade` makes the ledger's tables",
            ) from error

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", begin)
    return engine


def settle(connection: sqlite3.Connection, *, guarded: bool) -> None:
    """Make the settings of a new connection those that the guarantees rest on."""
    connection.isolation_level = None
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except UnicodeDecodeError as error:
        raise sqlite3.DatabaseError("malformed: what SQLite says of it is no text") from error
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = OFF")
    # Without this, INSERT OR REPLACE would delete a row behind the back of its trigger.
    connection.execute("PRAGMA recursive_triggers = ON")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    if guarded:
        connection.execute("PRAGMA wal_autocheckpoint = 0")


def _has_mode(connection: sqlite3.Connection) -> bool:
    """Whether a file in use has a ledger's mode already; to change it, SQLite does not wait for its turn."""
    connection.execute("PRAGMA busy_timeout = 0")
    with suppress(sqlite3.OperationalError):
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        return bool(mode == "wal")
    return True


@contextmanager
def unsynced(connection: Connection) -> Iterator[None]:
    """Let transactions of a connection end without waiting for the disk: the log stays whole, and in order.

    A connection that cannot be set back is not used again.
    """
    driver = raw(connection)
    driver.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        try:
            driver.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error:
            connection.invalidate()
            raise


def begin(connection: Connection) -> None:
    """Begin a transaction: the driver would only do so before it writes."""
    statement: str = connection.get_execution_options().get("cronledger_begin", "BEGIN")
    if statement == "BEGIN IMMEDIATE":
        begin_immediate(raw(connection), BUSY_SECONDS)
    else:
        connection.exec_driver_sql(statement)


def begin_immediate(driver: sqlite3.Connection, seconds: float) -> None:
    """Begin to write as soon as nobody else does; raise the driver's error after so many seconds."""
    clock, pause = SystemClock(), Event()
    until: float | None = None
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                driver.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                now = clock.monotonic()
                until = now + seconds if until is None else until
                if now >= until or not is_busy(error):
                    raise
            else:
                return
            pause.wait(PAUSE_SECONDS)
    finally:
        driver.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether an error says that somebody else is using the file."""
    return error.sqlite_errorcode & 0xFF in _BUSY


def raw(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver
