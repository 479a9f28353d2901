"""One upgrade at a time, with short waits; and who is in the way when they are not enough."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from cronledger.errors import CronledgerError
from cronledger.ledger.database import Store

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
