"""Counting what a database is asked, at the database itself: SQLite's trace, PostgreSQL's log."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.pool import Pool

from tests.postgres import OwnServer

CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA", "SET ", "SHOW ")
KEEP_ALIVE = "SELECT 1"
_LOGGED = re.compile(r"(?:statement|execute [^:]*): (.*)")


class Heard:
    """The statements that a database was asked since `forget`, in order."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def forget(self) -> None:
        """Begin anew."""
        self.all.clear()

    @property
    def statements(self) -> list[str]:
        """What reads or writes tables: without what begins and ends transactions, and signs of life."""
        return [each for each in self.all if not each.startswith(CONTROL) and each != KEEP_ALIVE]

    @property
    def commits(self) -> int:
        """How many transactions with more than one statement were committed."""
        return self.all.count("COMMIT")


@contextmanager
def heard_by_sqlite() -> Iterator[Heard]:
    """Listen to every connection of a pool that is made meanwhile."""
    heard = Heard()

    def listen(connection: Any, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(heard.all.append)

    event.listen(Pool, "connect", listen)
    try:
        yield heard
    finally:
        event.remove(Pool, "connect", listen)


class Logged(Heard):
    """What a server has written into its log about one database."""

    def __init__(self, log: Path, database: str) -> None:
        super().__init__()
        self._log, self._mark = log, f"db={database} "
        self._from = 0
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.all = []
        self._from = self._log.stat().st_size

    def read(self) -> Logged:
        """Take in what has been logged since."""
        with self._log.open() as log:
            log.seek(self._from)
            told = [line for line in log if self._mark in line]
        found = [_LOGGED.search(line) for line in told]
        self.all = [each[1].strip() for each in found if each]
        return self


def logged_by(server: OwnServer, url: str) -> Logged:
    """Let a server log what one database is asked by sessions that begin from now on."""
    database = url.rsplit("/", 1)[1]
    return Logged(server.folder / "log", database)


LOGGING = {"log_statement": "all", "log_line_prefix": "db=%d "}
"""What such a server is started with."""
