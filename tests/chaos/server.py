"""A PostgreSQL server of one run's own: it may be stopped, killed and restarted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests import postgres
from tests.conftest import bring_to_head
from tests.postgres import OwnServer

OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'cronledger %'"
)
HOLDER = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
    f"AND classid::bigint = {0x63726C64} "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """Give a server of one's own, with a template for ledgers, while the block lasts."""
    server = postgres.own_server(bring_to_head)
    try:
        yield server
    finally:
        server.end()


def terminate_sessions(url: str) -> None:
    """End every session that cronledger has on a database."""
    _execute(url, OTHERS)


def terminate_lock_holder(url: str) -> None:
    """End the session that holds the leader's lock."""
    _execute(url, HOLDER)


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
