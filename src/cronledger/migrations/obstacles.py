"""One upgrade at a time, with short waits, and beside nobody's tables; and who is in the way of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, inspect, text

from cronledger.errors import CronledgerError
from cronledger.ledger.database import Store
from cronledger.ledger.postgres_schema import SCHEMA
from cronledger.ledger.schema import METADATA
from cronledger.projections import tables

UPGRADE_SECONDS = 300
LOCK_SECONDS = 2
"""How long one attempt may wait for a lock: whoever comes later waits behind it."""

CLASS = 0x63726C6D
"""The class of the advisory lock that upgrades of one schema take turns by."""

_HOLDERS = text(
    f"WITH home AS (SELECT {SCHEMA} AS schema) "  # noqa: S608 - our own expression
    "SELECT a.pid, coalesce(nullif(a.application_name, ''), a.usename, 'unnamed') AS name, a.state, "
    "round(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.state_change)))::int AS seconds, "
    "string_agg(DISTINCT coalesce(c.relname, 'the turn to upgrade'), ', ') AS held "
    "FROM home CROSS JOIN pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid "
    "LEFT JOIN pg_class AS c ON c.oid = l.relation AND l.locktype = 'relation' "
    "WHERE l.granted AND l.pid <> pg_backend_pid() "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (c.relkind = 'r' AND c.relnamespace = quote_ident(home.schema)::regnamespace "
    "OR l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid::bigint = :class "
    "AND l.objid::bigint = hashtext(home.schema)::bigint & 4294967295) "
    "GROUP BY a.pid, name, a.state, seconds HAVING bool_or(l.locktype = 'advisory') "
    "OR max(extract(epoch FROM clock_timestamp() - a.xact_start)) > 1 "
    "ORDER BY seconds DESC LIMIT 5"
)


class NamesTaken(CronledgerError):
    """Somebody else's tables have the names of the ledger's; none of them was changed."""

    code = "names_taken"
    exit_code = 6

    def __init__(self, url: str, names: Sequence[str], revision: str | None) -> None:
        if revision is None:
            state = "has no cronledger schema, but tables of the same names as one"
            hint = (
                "use another database, or on PostgreSQL a schema made for the ledger, by "
                "`?options=-csearch_path%3DNAME` in the URL; a ledger whose cronledger_version was emptied "
                "is restored from a backup"
            )
        else:
            state = f"is at schema {revision}, but has tables of the same names as those of a later one"
            hint = "give them other names, then run `cronledger db upgrade` again"
        super().__init__(
            f"the database {url} {state}: {', '.join(names)}; none of them was changed", hint=hint
        )
        self.names = tuple(names)


class NoSuchSchema(CronledgerError):
    """No schema of PostgreSQL is there that a ledger could be made in."""

    code = "no_such_schema"
    exit_code = 6

    def __init__(self, url: str, path: str) -> None:
        super().__init__(
            f"the database {url} has no schema for a ledger: none of the search path ({path}) is there and "
            "open to this user",
            hint="create it first (`CREATE SCHEMA NAME`), then run `cronledger db upgrade` again",
        )
        self.path = path


class UnknownRevision(CronledgerError):
    """What a database says about its schema was never written by any version."""

    code = "unknown_revision"
    exit_code = 6

    def __init__(self, url: str, found: Sequence[str]) -> None:
        super().__init__(
            f"the database {url} is at no schema of cronledger: its table cronledger_version says "
            f"{', '.join(map(repr, found))}",
            hint="somebody has changed that table: restore the database from a backup",
        )
        self.found = tuple(found)


def require_free_names(connection: Connection, url: str, revision: str | None) -> None:
    """Raise NamesTaken if a table is there that later revisions make: it is not the ledger's.

    All schemas of the search path count, as they do for every statement of an instance.
    """
    found = inspect(connection)
    ahead = [
        name
        for name, table in sorted({**METADATA.tables, **tables.METADATA.tables}.items())
        if revision is None or table.info.get("since", revision) > revision
    ]
    if taken := [name for name in ahead if found.has_table(name)]:
        raise NamesTaken(url, taken, revision)


def take_turn(connection: Connection, url: str) -> None:
    """Wait for another upgrade to end, as long as for any lock; SQLite's own transaction does that there.

    Raises NoSuchSchema.
    """
    if connection.dialect.name == "postgresql":
        session: Any = connection.connection.driver_connection
        session.limit_seconds = UPGRADE_SECONDS + 10.0
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{UPGRADE_SECONDS}s'")
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        turn = f"SELECT {SCHEMA}, pg_advisory_xact_lock({CLASS}, hashtext({SCHEMA}))"
        if connection.exec_driver_sql(turn).one()[0] is None:
            raise NoSuchSchema(url, connection.exec_driver_sql("SHOW search_path").scalar_one())


def settle(connection: Connection) -> None:
    """Let everything that is made until the transaction ends be made beside the ledger's tables."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT set_config('search_path', quote_ident({SCHEMA}), true)")


def obstacles(store: Store) -> str:
    """Say which sessions hold what an upgrade needs; nothing where that cannot be told."""
    if store.kind != "postgres":
        return ""
    try:
        with store.reading() as connection:
            holders = connection.execute(_HOLDERS, {"class": CLASS}).all()
    except CronledgerError:
        return ""
    return "; ".join(
        f"process {each.pid} ({each.name}, {each.state} for {each.seconds} s) holds {each.held}"
        for each in holders
    )
