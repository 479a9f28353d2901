"""Opening a ledger by its URL: the one place that knows which databases there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from sqlalchemy import Connection

from cronledger.clock import Clock
from cronledger.domain.ids import InstanceId, Position
from cronledger.entropy import Entropy
from cronledger.errors import UsageError
from cronledger.ledger.api import Concern, Ledger
from cronledger.ledger.failures import parsed
from cronledger.ledger.instances import Instance
from cronledger.ledger.memory_store import MemoryStore
from cronledger.ledger.sqlite import SqliteStore


class Closable(Protocol):
    """Something that goes on until it is closed."""

    def close(self) -> None:
        """End it."""


class LeaderLock(Protocol):
    """A hand on the one lock that makes an instance the leader, fast; safety does not rest on it."""

    @property
    def held(self) -> bool:
        """Whether this instance holds the lock."""

    @property
    def session(self) -> int | None:
        """The database session behind the lock, where there is one."""

    def contend(self, on_change: Callable[[], None]) -> None:
        """Wait for the lock in the background and hold it; call back, from any thread, on change."""

    def release(self) -> None:
        """Give the lock back and contend no longer; `contend` may be called again."""


class InstanceLock(Protocol):
    """The sign that a process lives: the system takes it down when the process dies."""

    @property
    def held(self) -> bool:
        """Whether the sign stands; asking sets it up again where that does not happen by itself."""

    def release(self) -> None:
        """Take it down."""


class Store(Protocol):
    """An open ledger with the tables, locks and hints around it."""

    @property
    def url(self) -> str:
        """Where it is, without secrets."""

    @property
    def kind(self) -> Literal["memory", "sqlite", "postgres"]:
        """Which database it is."""

    @property
    def ledger(self) -> Ledger:
        """The truth."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection that sees the tables as of one moment."""

    def writing(self, *, relaxed: bool = False) -> AbstractContextManager[Connection]:
        """Give a connection whose changes are committed together at the end.

        `relaxed`: they need not be durable then, because they can be computed again.
        Never append to the ledger inside it.
        """

    def leader_lock(self) -> LeaderLock:
        """Return this instance's hand on the leader's lock."""

    def instance_lock(self, instance: InstanceId) -> InstanceLock:
        """Set up the sign that an instance lives."""

    def dead_instances(self, known: Iterable[Instance], now: datetime) -> set[InstanceId]:
        """Return those of the instances that are provably gone.

        A sign that may be lost while its instance lives (its session, its file) proves nothing before a beat
        is overdue as well, or the process is known to be gone.
        """

    def lost(self) -> tuple[Position, str] | None:
        """Return, once, position and id of the newest event acknowledged to this process, if it is gone."""

    def concerns(self) -> list[Concern]:
        """Return what about the database endangers the ledger, or makes it slower to recover."""

    def wake(self, callback: Callable[[], None]) -> Closable:
        """Call back, from any thread, when somebody may have appended: a hint, not a promise."""

    def close(self) -> None:
        """Close every connection."""


def open_store(
    url: str, *, instance: InstanceId, clock: Clock, entropy: Entropy, create: bool = False
) -> Store:
    """Open the ledger at a URL; `create`: make a SQLite file that is not there.

    `sqlite:///FILE`, `postgresql://USER:PASSWORD@HOST/DATABASE` (or `postgres://`), or `memory://NAME` for
    one that this process forgets. Raises UsageError for any other URL and LedgerUnreachable.

    >>> from cronledger.clock import SystemClock
    >>> from cronledger.entropy import SystemEntropy
    >>> store = open_store("memory://example", instance=InstanceId("here.1.aa"), clock=SystemClock(),
    ...                    entropy=SystemEntropy())
    >>> store.kind, store.ledger.head().position
    ('memory', 0)
    >>> store.close()
    """
    parts = parsed(url)
    match parts.drivername.partition("+")[0]:
        case "memory":
            return MemoryStore(parts.host or "", instance=instance, clock=clock, entropy=entropy)
        case "sqlite":
            path = _file(parts.database, options=url.partition("?")[2])
            return SqliteStore(path, instance=instance, clock=clock, entropy=entropy, create=create)
        case "postgres" | "postgresql":
            # The driver comes with the extra `postgres`; nobody else needs it.
            from cronledger.ledger.postgres import PostgresStore  # noqa: PLC0415

            return PostgresStore(url, instance=instance, clock=clock, entropy=entropy)
        case other:
            raise UsageError(
                f"there is no support for databases of type {other!r}",
                hint="use sqlite:///FILE, postgresql://USER:PASSWORD@HOST/DATABASE or memory://NAME",
            )


def _file(database: str | None, *, options: str) -> Path:
    if not database or database == ":memory:":
        raise UsageError("the database URL names no file", hint="use sqlite:///FILE, or memory://NAME")
    if "/" in options or (options and "=" not in options):
        raise UsageError(
            "the database URL names a file or folder with a ? in it, and would lead to another one",
            hint="rename it, or start in its folder and name the file alone, as in sqlite:///cronledger.db",
        )
    return Path(database)
