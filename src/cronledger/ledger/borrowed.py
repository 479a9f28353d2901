"""Writing a request into the ledger's inbox over a connection of the application, in its transaction.

The connection is only borrowed: nothing is begun, committed or rolled back on it, and what its driver raises
reaches the application as it is. What can be refused is refused before anything is written, and without a
statement that fails, because on PostgreSQL that would spoil the application's transaction.
"""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select, text

from cronledger.domain.requests import Requested
from cronledger.errors import UsageError
from cronledger.ledger import inbox
from cronledger.ledger.database import Store
from cronledger.ledger.postgres_schema import SCHEMA
from cronledger.ledger.schema import HEAD

Execute = Callable[[str, Mapping[str, Any]], list[tuple[Any, ...]]]
"""Executes a statement whose parameters are written `:name`, and returns the rows if there are any."""

_TABLES = {
    "sqlite": "SELECT count(*) FROM main.sqlite_master "
    "WHERE type = 'table' AND 'main.' || name IN (:head, :inbox)",
    "postgresql": "SELECT count(to_regclass(:head)) + count(to_regclass(:inbox))",
}
_IS_HOME = "SELECT count(*) FROM {head} WHERE lineage = :lineage"
_INSERT = (
    "INSERT INTO {inbox} (id, written_at, job, parameters, actor, idempotency_key, reason) "
    "VALUES (:id, :written_at, :job, :parameters, :actor, :idempotency_key, :reason)"
)


class Home(msgspec.Struct, frozen=True):
    """What tells a ledger's database from others: its kind, where its tables are, and its lineage."""

    url: str
    dialect: str
    schema: str
    lineage: str

    def table(self, name: str) -> str:
        """Return the full name of a table; the connection may look for its own tables elsewhere."""
        return f"{self.schema}.{name}"


def home_of(store: Store) -> Home:
    """Learn what a connection to the same database is recognized by."""
    with store.reading() as connection:
        dialect, schema = connection.dialect.name, "main"
        if dialect == "postgresql":
            schema = str(connection.execute(text(f"SELECT quote_ident({SCHEMA})")).scalar_one())
        lineage = connection.execute(select(HEAD.c.lineage)).scalar_one()
    return Home(store.url, dialect, schema, lineage)


def write(connection: object, home: Home, request: Requested, now: datetime) -> None:
    """Write a request over an application's connection; it counts once the application commits.

    Raises UsageError, before anything is written, for a connection of another kind or to another database.
    """
    dialect, execute = _speaking(connection)
    if dialect != home.dialect or not _leads_to(execute, home):
        raise UsageError(
            f"the connection does not lead to the ledger {home.url}",
            hint="let the application keep its tables and the ledger in one database, and give the "
            "connection whose transaction the run is to depend on",
        )
    execute(_INSERT.format(inbox=home.table("inbox")), inbox.columns(request, now))


def _leads_to(execute: Execute, home: Home) -> bool:
    tables = {name: home.table(name) for name in ("head", "inbox")}
    if execute(_TABLES[home.dialect], tables) != [(len(tables),)]:
        return False
    return execute(_IS_HOME.format(**tables), {"lineage": home.lineage}) == [(1,)]


def _speaking(connection: object) -> tuple[str, Execute]:
    """Return a connection's dialect and how to execute over it; modules that nobody loaded are not needed."""
    orm, psycopg = sys.modules.get("sqlalchemy.orm"), sys.modules.get("psycopg")
    if orm is not None and isinstance(connection, (orm.Session, orm.scoped_session)):
        connection = connection.connection()
    if isinstance(connection, Connection):
        return connection.dialect.name, _over_sqlalchemy(connection)
    if isinstance(connection, sqlite3.Connection):
        return "sqlite", _over_sqlite(connection)
    if psycopg is not None and isinstance(connection, psycopg.Connection):
        return "postgresql", _over_psycopg(connection)
    raise UsageError(
        f"a {type(connection).__name__} is no connection that a run can be triggered over",
        hint="give a Connection or Session of SQLAlchemy, or a connection of psycopg or sqlite3",
    )


def _over_sqlalchemy(connection: Connection) -> Execute:
    def execute(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        result = connection.execute(text(statement), dict(values))
        return [tuple(row) for row in result] if result.returns_rows else []

    return execute


def _over_sqlite(connection: sqlite3.Connection) -> Execute:
    def execute(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        cursor = connection.cursor()
        cursor.row_factory = None
        return cursor.execute(statement, dict(values)).fetchall()

    return execute


def _over_psycopg(connection: Any) -> Execute:
    def execute(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        psycopg = sys.modules["psycopg"]
        # Not the application's own kind of cursor: its parameters may be written otherwise.
        with psycopg.Cursor(connection, row_factory=psycopg.rows.tuple_row) as cursor:
            cursor.execute(re.sub(r":(\w+)", r"%(\1)s", statement), dict(values))
            # In a pipeline a cursor does not know what it will return before it is asked for it.
            return cursor.fetchall() if statement.startswith("SELECT") else []

    return execute
