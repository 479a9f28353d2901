"""What about a PostgreSQL server, and the way to it, endangers the ledger: for `doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString

import psycopg
from psycopg.rows import DictRow, dict_row

from cronledger.ledger.api import Concern
from cronledger.ledger.connecting import BoundedConnection
from cronledger.ledger.sessions import strangers

OLD_SECONDS = 600
"""How long a snapshot may be held before it is worth a word: it keeps the head's old versions alive."""


def concerns(connection: BoundedConnection, lock: tuple[int, int]) -> list[Concern]:
    """Return everything that a person should know; `lock` is the leader's."""
    with connection.cursor(row_factory=dict_row) as cursor:
        facts = cursor.execute(_FACTS, (OLD_SECONDS,)).fetchone()
    assert facts is not None
    return [
        *_way(connection, facts),
        *_durability(facts),
        *_standbys(facts),
        *_snapshots(facts),
        *_lock(connection, lock),
    ]


def _way(connection: BoundedConnection, facts: DictRow) -> Iterator[Concern]:
    if facts["pid"] != connection.info.backend_pid:
        yield Concern(
            "the way leads through a connection pooler: leadership rests on the lease alone",
            "connect directly, and a leader that crashes is replaced at once instead of after its lease",
        )
    if facts["is_standby"]:
        yield Concern("the server is a standby: no instance can lead or serve there", "name the primary")
    elif facts["is_read_only"] == "on":
        yield Concern(
            "the database, or this user, is set to read only: nothing fires",
            "take default_transaction_read_only back when the work is done",
        )
    if not connection.pgconn.ssl_in_use and not _is_near(connection.info.hostaddr):
        yield Concern(
            f"the connection to {connection.info.host} is not encrypted",
            "add sslmode=verify-full and sslrootcert to the database URL",
        )


def _is_near(address: str) -> bool:
    """Whether nobody on a network can listen: a socket file, or loopback."""
    return address in ("", "::1") or address.startswith("127.")


def _durability(facts: DictRow) -> Iterator[Concern]:
    if facts["fsync"] == "off":
        yield Concern("fsync is off: a power cut can destroy the ledger", "set fsync = on")
    if facts["full_page_writes"] == "off":
        yield Concern(
            "full_page_writes is off: a power cut can tear pages of the ledger", "set full_page_writes = on"
        )
    if facts["data_checksums"] == "off":
        yield Concern(
            "data checksums are off: a disk that lies is not noticed by the server",
            "run `pg_checksums --enable` while the server is stopped",
        )


def _standbys(facts: DictRow) -> Iterator[Concern]:
    if facts["names"] and not facts["sync_standbys"]:
        yield Concern(
            "synchronous_standby_names is set and no synchronous standby is connected: appends wait for one",
            "bring the standby back, or take it out of synchronous_standby_names",
        )
    if facts["async_standbys"] and not facts["names"]:
        yield Concern(
            "standbys follow asynchronously: a failover can lose acknowledged events",
            "set synchronous_standby_names where that must not be",
        )


def _snapshots(facts: DictRow) -> Iterator[Concern]:
    if facts["old_snapshot"] is not None:
        yield Concern(
            f"process {facts['old_snapshot']} has held a snapshot for more than {OLD_SECONDS // 60} minutes: "
            "appends grow slower the longer it does",
            "end that report or dump, or let it read a standby",
        )


def _lock(connection: psycopg.Connection[object], lock: tuple[int, int]) -> Iterator[Concern]:
    for pid, user, application in strangers(connection, lock):
        yield Concern(
            f"the leader's lock is held by a session of no instance: process {pid}, user {user}, "
            f"application {application!r}",
            "end that session; until then leadership rests on the lease alone",
        )


_FACTS: LiteralString = """
SELECT pg_backend_pid() AS pid, pg_is_in_recovery() AS is_standby,
       current_setting('transaction_read_only') AS is_read_only,
       current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
       current_setting('data_checksums') AS data_checksums,
       current_setting('synchronous_standby_names') AS names,
       (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) AS sync_standbys,
       (SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'async') AS async_standbys,
       (SELECT pid FROM pg_stat_activity
         WHERE backend_xmin IS NOT NULL AND datname = current_database()
           AND xact_start < clock_timestamp() - make_interval(secs => %s)
         ORDER BY xact_start LIMIT 1) AS old_snapshot
"""
