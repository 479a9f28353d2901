"""One upgrade at a time, with short waits, and beside nobody's tables; and who is in the way of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, inspect, text

from cronledger.errors import CronledgerError
from cronledger.ledger.database import Store
from cronledger.ledger.schema import METADATA
from cronledger.projections import tables

UPGRADE_SECONDS = 300
LOCK_SECONDS = 2
"""How long one attempt may wait for a lock: whoever comes later waits behind it."""

CLASS = 0x63726C6D
"""The class of the advisory lock that upgrades of one schema take turns by."""

_HOLDERS = text(
    "SELECT a.pid, coalesce(nullif(a.application_name, ''), a.usename, 'unnamed') AS name, a.state, "
    "round(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.state_change)))::int AS seconds, "
    "string_agg(DISTINCT coalesce(c.relname, 'the turn to upgrade'), ', ') AS held "
    "FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid "
    "LEFT JOIN pg_class AS c ON c.oid = l.relation AND l.locktype = 'relation' "
    "WHERE l.granted AND l.pid <> pg_backend_pid() "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (c.relkind = 'r' AND c.relnamespace = quote_ident(current_schema())::regnamespace "
    "OR l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid::bigint = :class "
    "AND l.objid::bigint = hashtext(current_schema())::bigint & 4294967295) "
    "GROUP BY a.pid, name, a.state, seconds HAVING bool_or(l.locktype = 'advisory') "
    "OR max(extract(epoch FROM clock_timestamp() - a.xact_start)) > 1 "
    "ORDER BY seconds DESC LIMIT 5"
)


class NamesTaken(CronledgerError):
    """Somebody else's tables have the names of the ledger's; none of them was changed."""

    code = "names_taken"
    exit_code = 6

    def __init__(self, url: str, names: Sequence[str]) -> None:
        super().__init__(
            f"the database {url} has no cronledger schema, but tables of the same names as one: "
            f"{', '.join(names)}; none of them was changed",
            hint="use another database, or on PostgreSQL a schema made for the ledger, by "
            "`?options=-csearch_path%3DNAME` in the URL; a ledger whose cronledger_version was emptied is "
            "restored from a backup",
        )
        self.names = tuple(names)


def require_free_names(connection: Connection, url: str) -> None:
    """Raise NamesTaken if a table is there already that the ledger would make: it is not the ledger's.

    All schemas of the search path count, as they do for every statement that follows.
    """
    found = inspect(connection)
    taken = [name for name in sorted({*METADATA.tables, *tables.METADATA.tables}) if found.has_table(name)]
    if taken:
        raise NamesTaken(url, taken)


def take_turn(connection: Connection) -> None:
    """Wait for another upgrade to end, as long as for any lock; SQLite's own transaction does that there."""
    if connection.dialect.name == "postgresql":
        session: Any = connection.connection.driver_connection
        session.limit_seconds = UPGRADE_SECONDS + 10.0
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{UPGRADE_SECONDS}s'")
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({CLASS}, hashtext(current_schema()))")


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
