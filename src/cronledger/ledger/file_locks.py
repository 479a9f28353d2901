"""Locks that the kernel frees when their process dies: `flock` on files beside a SQLite database.

The database file itself is never opened here: closing any descriptor of it would drop SQLite's own locks.
A forked child closes its copies, or the lock would outlive the parent; and a file that was deleted and made
again is a different lock, so the inode is compared after locking and while holding.
"""

from __future__ import annotations

import fcntl
import logging
import os
import weakref
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from threading import Event, Thread, current_thread

from cronledger.domain.ids import InstanceId
from cronledger.ledger.instances import Instance

log = logging.getLogger("cronledger.ledger")

PAUSE_SECONDS = 0.1
WATCH_SECONDS = 1.0


class FileLock:
    """One exclusive lock on one file; not waiting, not counted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner = os.getpid()
        """The process whose lock it is: a forked child has a copy of this object, and no part in the lock."""
        self._descriptor: int | None = None
        forget = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())

    def take(self) -> bool:
        """Try to take the lock; whether it is held now. Raises OSError where files cannot be locked."""
        if self._descriptor is not None:
            return self.is_intact()
        if os.getpid() != self.owner:
            return False
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self.is_intact()

    def is_intact(self) -> bool:
        """Whether the lock is held and the file still has its name; a lock without a name is given back."""
        if self._descriptor is None:
            return False
        try:
            named, held = self.path.stat(), os.fstat(self._descriptor)
        except OSError:
            self.release()
            return False
        if (named.st_dev, named.st_ino) != (held.st_dev, held.st_ino):
            self.release()
            return False
        return True

    def release(self, *, remove: bool = False) -> None:
        """Give the lock back, and delete its file first if it will not be used again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(descriptor)

    def _forget(self) -> None:
        self.release()


class FileLeaderLock:
    """The leader's lock of a SQLite ledger, contended for on a thread of its own."""

    session: int | None = None
    """There is no database session behind this lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._contender: _Contender | None = None

    @property
    def held(self) -> bool:
        """Whether this instance holds the lock."""
        contender = self._contender
        return contender is not None and contender.held and os.getpid() == contender.lock.owner

    def contend(self, on_change: Callable[[], None]) -> None:
        """Try until held, then watch; `on_change` is called, on the lock's thread, on every change."""
        if self._contender is None:
            self._contender = _Contender(FileLock(self._path), on_change)
            self._contender.thread.start()

    def release(self) -> None:
        """Give the lock back and contend no longer."""
        contender, self._contender = self._contender, None
        if contender is not None:
            contender.stop()


class _Contender:
    """One contention, from `contend` to `release`: the next one may begin before this one has ended."""

    def __init__(self, lock: FileLock, on_change: Callable[[], None]) -> None:
        self.lock = lock
        self.held = False
        self.thread = Thread(target=self._run, name="cronledger-leader", daemon=True)
        self._on_change = on_change
        self._stopping = Event()
        self._error: str | None = None

    def stop(self) -> None:
        self._stopping.set()
        if self.thread is not current_thread():
            self.thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                held = self._try()
                if held != self.held:
                    self.held = held
                    self._on_change()
                self._stopping.wait(WATCH_SECONDS if held else PAUSE_SECONDS)
        finally:
            self.lock.release()

    def _try(self) -> bool:
        try:
            held = self.lock.take()
        except OSError as error:
            self._say(f"the lock file {self.lock.path} cannot be used: {error.strerror}")
            return False
        self._error = None
        return held

    def _say(self, text: str) -> None:
        """Warn of what keeps this instance from contending, once."""
        if text != self._error:
            log.warning("%s; leadership rests on the lease alone", text)
        self._error = text


class FileInstanceLock:
    """The sign that one process lives, on a file that it removes when it goes."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)
        self._released = False
        self._stand()

    @property
    def held(self) -> bool:
        """Whether the sign stands; it is set up again if somebody removed its file."""
        return self._stand()

    def release(self) -> None:
        """Take the sign down."""
        self._released = True
        self._lock.release(remove=True)

    def _stand(self) -> bool:
        try:
            # Somebody who asks whether we are dead holds the file for a moment.
            return not self._released and any(self._lock.take() for _ in range(3))
        except OSError:
            return False


def instance_file(database: Path, instance: str) -> Path:
    """Return the file that one process holds while it lives."""
    return database.with_name(f"{database.name}.instance-{instance}")


def dead_instances(database: Path, known: Iterable[Instance], now: datetime) -> set[InstanceId]:
    """Return those of the instances whose process is provably gone."""
    return {each.id for each in known if _is_gone(instance_file(database, each.id), late=each.is_late(now))}


def _is_gone(path: Path, *, late: bool) -> bool:
    """Whether nobody holds the file; a deleted one proves nothing while its instance beats."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return late
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        if late:  # until then the file is the proof, for others too
            path.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)
