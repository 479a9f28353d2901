"""Many rows of a table, found or written by few statements: what one row costs decides how fast views are.

SQLite's driver lets go of the interpreter's lock at each execution, and beside a busy thread has to wait for
it each time, so many rows stand in one list of values there, in a few sizes, so that the statements stay
prepared. PostgreSQL takes any number of rows as one JSON text: its driver would spend more time on each
parameter than the server on the row. Rows whose keys are certainly free are copied there: the server takes
half the time for them, and works while they are still being sent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Literal, Protocol

import msgspec
from sqlalchemy import Connection

Row = tuple[Any, ...]
Kind = Literal["text", "int8"]
"""What the values of a column are."""

_MOST_VALUES = 30_000
_SIZES = (256, 128, 64, 32, 16, 8, 4, 2, 1)
_encode = msgspec.json.Encoder().encode


class Bulk(Protocol):
    """The statements for one table."""

    def find(self, connection: Connection, keys: Collection[Row]) -> list[Row]:
        """Return the rows that stand under some of the keys."""

    def put(self, connection: Connection, rows: Sequence[Row], *, replace: bool) -> None:
        """Insert rows of different keys; where a key is taken, replace that row or leave it."""

    def fill(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert rows of different keys, none of which is taken."""


def bulk_of(dialect: str, table: str, *, columns: Mapping[str, Kind], key: tuple[str, ...]) -> Bulk:
    """Return the statements for a table on a database, by the name of SQLAlchemy's dialect."""
    kind = _OnPostgres if dialect == "postgresql" else _OnSqlite
    return kind(table, columns, key)


class _Statements:
    def __init__(self, table: str, columns: Iterable[str], key: tuple[str, ...]) -> None:
        kept = ", ".join(f'kept."{name}"' for name in columns)
        moved = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in key)
        self.selecting = f"SELECT {kept} FROM"
        self.inserting = f"INSERT INTO {table} ({_quoted(columns)})"
        self.replacing = f"ON CONFLICT ({_quoted(key)}) DO UPDATE SET {moved}"
        self.adding = f"ON CONFLICT ({_quoted(key)}) DO NOTHING"


class Lists:
    """An INSERT for SQLite with lists of values, in sizes that stay prepared; `verb`: if a key is taken."""

    def __init__(self, table: str, columns: Sequence[str], verb: str = "") -> None:
        group = f"({', '.join('?' * len(columns))})"
        inserting = f"INSERT INTO {table} ({_quoted(columns)}) VALUES"
        self._statements = {
            size: f"{inserting} {', '.join([group] * size)} {verb}"
            for size in _SIZES
            if size * len(columns) <= _MOST_VALUES
        }

    def put(self, execute: Callable[[str, Row], Any], rows: Sequence[Row]) -> None:
        """Insert rows."""
        for part in _parts(rows):
            execute(self._statements[len(part)], tuple(chain.from_iterable(part)))


class _OnSqlite(_Statements):
    def __init__(self, table: str, columns: Mapping[str, Kind], key: tuple[str, ...]) -> None:
        super().__init__(table, columns, key)
        wanted = " AND ".join(
            f"kept.\"{name}\" = json_extract(wanted.value, '$[{at}]')" for at, name in enumerate(key)
        )
        # CROSS: each key is looked up. SQLite would otherwise be free to read the whole table.
        self._find = f"{self.selecting} json_each(?) AS wanted CROSS JOIN {table} AS kept WHERE {wanted}"
        self._put = {
            True: Lists(table, tuple(columns), self.replacing),
            False: Lists(table, tuple(columns), self.adding),
        }

    def find(self, connection: Connection, keys: Collection[Row]) -> list[Row]:
        result = connection.exec_driver_sql(self._find, (_encode(list(keys)).decode(),))
        return fetched(result)

    def put(self, connection: Connection, rows: Sequence[Row], *, replace: bool) -> None:
        self._put[replace].put(connection.exec_driver_sql, rows)

    def fill(self, connection: Connection, rows: Sequence[Row]) -> None:
        self.put(connection, rows, replace=True)


class _OnPostgres(_Statements):
    def __init__(self, table: str, columns: Mapping[str, Kind], key: tuple[str, ...]) -> None:
        super().__init__(table, columns, key)
        given = f"json_populate_recordset(NULL::{table}, %s::json)"
        self._find = f"{self.selecting} {given} AS wanted JOIN {table} AS kept USING ({_quoted(key)})"
        put = f"{self.inserting} SELECT {_quoted(columns)} FROM {given}"  # noqa: S608 - names of our own
        self._put = {True: f"{put} {self.replacing}", False: f"{put} {self.adding}"}
        self._wanted: Any = msgspec.defstruct("Wanted", key)
        self._given: Any = msgspec.defstruct("Given", columns)
        self._copy = f"COPY {table} ({_quoted(columns)}) FROM STDIN"
        self._kinds = list(columns.values())

    def find(self, connection: Connection, keys: Collection[Row]) -> list[Row]:
        wanted = _encode([self._wanted(*each) for each in keys]).decode()
        return fetched(connection.exec_driver_sql(self._find, (wanted,)))

    def put(self, connection: Connection, rows: Sequence[Row], *, replace: bool) -> None:
        if rows:
            given = _encode([self._given(*each) for each in rows]).decode()
            connection.exec_driver_sql(self._put[replace], (given,))

    def fill(self, connection: Connection, rows: Sequence[Row]) -> None:
        driver: Any = connection.connection
        if rows:
            with driver.cursor() as cursor, cursor.copy(self._copy) as copying:
                copying.set_types(self._kinds)  # or the driver would look at each value
                for row in rows:
                    copying.write_row(row)


def fetched(result: Any) -> list[Row]:
    """Return all rows as the driver gives them: making SQLAlchemy's own takes longer than to fetch them."""
    rows: list[Row] = result.cursor.fetchall()
    result.close()
    return rows


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Part rows into the sizes for which there are statements, the greatest first."""
    at = 0
    for size in _SIZES:
        while len(rows) - at >= size:
            yield rows[at : at + size]
            at += size


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
