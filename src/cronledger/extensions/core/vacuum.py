"""Giving back what removed rows took: pages to the file system, room in the indexes; fresh statistics.

Outside transactions, and in slices where the database allows it: nobody waits long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, func, select, text

from cronledger import JobContext, JobResult

SLICE_PAGES = 1_000
"""What SQLite gives back in one transaction."""

LEAST_ROWS = 1_000
"""Indexes that have lost fewer rows are not rebuilt."""

_INCREMENTAL = 2
_MAY_VACUUM = text(
    "SELECT pg_has_role(relowner, 'USAGE') OR pg_has_role((SELECT datdba FROM pg_database "
    "WHERE datname = current_database()), 'USAGE') FROM pg_class WHERE oid = CAST(:name AS regclass)"
)
_BYTES = text("SELECT pg_total_relation_size(CAST(:name AS regclass))")


class NotOwned(Exception):
    """Only the owner of a table may vacuum it."""


def vacuum(ctx: JobContext, removed: Sequence[tuple[Table, int]]) -> JobResult:
    """Give back what rows took that were removed from tables; the message says what was done."""
    with ctx.db.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        match ctx.db.dialect.name:
            case "sqlite":
                said = _sqlite(ctx, connection, removed)
            case "postgresql":
                said = _postgres(connection, {table for table, many in removed if many})
            case other:
                said = f"how to vacuum {other} is not known"
    return JobResult.success().with_message(said)


def _sqlite(ctx: JobContext, connection: Connection, removed: Iterable[tuple[Table, int]]) -> str:
    emptied = [table for table, many in removed if _is_worthwhile(connection, table, many)]
    names = sorted({_quoted(connection, table) for table in emptied})
    for name in names:
        connection.exec_driver_sql(f"REINDEX {name}")
    connection.exec_driver_sql("PRAGMA optimize")
    rebuilt = f"indexes of {', '.join(names)} rebuilt, " if names else ""
    return f"{rebuilt}statistics brought up to date, {_pages_given_back(ctx, connection)}"


def _is_worthwhile(connection: Connection, table: Table, removed: int) -> bool:
    """Whether the indexes of a table are more room than rows: at least half of its rows have gone."""
    if removed < LEAST_ROWS:
        return False
    return removed >= int(connection.scalar(select(func.count()).select_from(table)) or 0)


def _pages_given_back(ctx: JobContext, connection: Connection) -> str:
    free = _pragma(connection, "freelist_count")
    if _pragma(connection, "auto_vacuum") != _INCREMENTAL:
        return f"{free} free pages kept (the file was not created with auto_vacuum = INCREMENTAL)"
    left = free
    while left and not ctx.cancelled:
        # A plain `execute` stops at the first page.
        connection.connection.cursor().executescript(f"PRAGMA incremental_vacuum({SLICE_PAGES})")
        before, left = left, _pragma(connection, "freelist_count")
        if left >= before:
            break  # somebody else removes rows meanwhile; the next run goes on
    return f"{free - left} pages given back"


def _postgres(connection: Connection, touched: set[Table]) -> str:
    names = sorted(_quoted(connection, table) for table in touched)
    strange = [name for name in names if not connection.scalar(_MAY_VACUUM, {"name": name})]
    if strange:  # the server would only warn, and do nothing
        raise NotOwned(
            f"{', '.join(strange)} cannot be vacuumed: this role does not own it; let its owner vacuum, "
            "and set the parameter `vacuum` to false"
        )
    given_back = 0
    for name in names:
        before = _size(connection, name)
        connection.exec_driver_sql(f"VACUUM (ANALYZE, INDEX_CLEANUP ON) {name}")
        given_back += max(0, before - _size(connection, name))
    if not names:
        return "nothing to vacuum"
    return f"{', '.join(names)} vacuumed and analyzed, {given_back // 1024} KiB given back"


def _size(connection: Connection, name: str) -> int:
    return int(connection.scalar(_BYTES, {"name": name}) or 0)


def _quoted(connection: Connection, table: Table) -> str:
    return connection.dialect.identifier_preparer.format_table(table)


def _pragma(connection: Connection, name: str) -> int:
    value: Any = connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
    return int(value)
