"""Bringing a ledger's schema to the one that this version needs. Alembic is imported only when it is used."""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from cronledger.errors import SchemaOutdated
from cronledger.ledger.database import Store
from cronledger.ledger.schema import REVISION

HEAD = REVISION
"""The revision that this version needs."""

_VERSION = text("SELECT version_num FROM cronledger_version")
_LOCK = 0x63726C6D


def current(store: Store) -> str | None:
    """Return the revision that a ledger is at, None without a schema: one SELECT."""
    with store.reading() as connection:
        try:
            return connection.execute(_VERSION).scalar_one_or_none()
        except (OperationalError, ProgrammingError) as error:
            if _says_no_table(error):
                return None
            raise


def check(store: Store) -> None:
    """Raise SchemaOutdated unless a ledger is at the revision that this version needs."""
    found = current(store)
    if found != HEAD:
        raise SchemaOutdated(store.url, found, HEAD)


def upgrade(store: Store) -> None:
    """Bring a ledger to the revision that this version needs; nothing happens if it is there."""
    from alembic import command  # noqa: PLC0415 - a third of a second that no other command should pay
    from alembic.config import Config  # noqa: PLC0415

    if current(store) == HEAD:
        return
    with store.writing() as connection:
        _take_turn(connection)
        config = Config()
        config.set_main_option("script_location", "cronledger:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _take_turn(connection: Connection) -> None:
    """Wait for another upgrade to end; SQLite's own transaction does that there."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = '5min'")
        connection.exec_driver_sql("SET LOCAL lock_timeout = '30s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK}, hashtext(current_schema()))")


def _says_no_table(error: OperationalError | ProgrammingError) -> bool:
    return getattr(error.orig, "sqlstate", None) == "42P01" or "no such table" in str(error.orig)
