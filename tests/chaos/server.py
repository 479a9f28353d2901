"""A PostgreSQL server of one run's own: it may be stopped, killed and restarted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests import postgres
from tests.conftest import bring_to_head

OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'cronledger %'"
)
HOLDER = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
    f"AND classid::bigint = {0x63726C64} "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class OwnServer:
    """A server, as somebody with the power switch sees it."""

    def __init__(self) -> None:
        self._known = postgres.start(postgres.binaries())
        self._server = postgres.Server(self._known["url"])

    def make_database(self) -> str:
        """Make a fresh ledger; return its URL."""
        url = self._server.make_database(template=None)
        bring_to_head(url)
        return url

    def drop_database(self, url: str) -> None:
        """Drop a ledger, whoever uses it."""
        self._server.drop_database(url)

    def restart(self) -> None:
        """Restart: sessions are ended, transactions rolled back."""
        postgres.control(self._known, "restart", "-m", "fast")

    def crash(self) -> None:
        """Stop without a word to anybody, as in a crash."""
        postgres.control(self._known, "stop", "-m", "immediate")

    def start(self) -> None:
        """Start again, with recovery if need be."""
        postgres.control(self._known, "start")

    def close(self) -> None:
        """End the server and forget everything."""
        postgres.discard(self._known)


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """Give a server of one's own while the block lasts."""
    server = OwnServer()
    try:
        yield server
    finally:
        server.close()


def terminate_sessions(url: str) -> None:
    """End every session that cronledger has on a database."""
    _execute(url, OTHERS)


def terminate_lock_holder(url: str) -> None:
    """End the session that holds the leader's lock."""
    _execute(url, HOLDER)


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
