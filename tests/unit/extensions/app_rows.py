"""Rows of an application, for tests: what is not said has an everyday value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import Engine, MetaData, Table, func, select, text

from tests.unit.extensions.conftest import NOON

LONG_AGO = NOON - timedelta(days=365)
"""Before every cutoff."""

INSTANT = timedelta(microseconds=1)
"""The least by which two instants differ, on both databases."""

_numbers = count(1)


def add(db: Engine, name: str, **values: Any) -> str:
    """Add a row to a table and return its key."""
    (key,) = add_all(db, name, [values])
    return key


def add_all(db: Engine, name: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Add rows to a table and return their keys."""
    table = Table(name, MetaData(), autoload_with=db)
    (key,) = table.primary_key
    said = {column for row in rows for column in row}
    columns = [each for each in table.columns if each.name in said or not _may_be_left_out(each)]
    given = [
        {each.name: _usual(each) for each in columns} | {key.name: f"{name}-{next(_numbers)}"} | row
        for row in rows
    ]
    with db.begin() as connection:
        connection.execute(table.insert(), given)
    return [str(row[key.name]) for row in given]


def keys(db: Engine, name: str) -> list[str]:
    """Return the keys of all rows of a table, sorted."""
    table = Table(name, MetaData(), autoload_with=db)
    with db.connect() as connection:
        return sorted(connection.scalars(select(*table.primary_key)))


def value(db: Engine, name: str, column: str) -> Any:
    """Return what the only row of a table has in a column; instants in UTC."""
    with db.connect() as connection:
        found = connection.execute(select(Table(name, MetaData(), autoload_with=db).c[column])).scalar_one()
    return found.replace(tzinfo=NOON.tzinfo) if isinstance(found, datetime) and not found.tzinfo else found


def how_many(db: Engine, name: str) -> int:
    """Return how many rows a table has."""
    with db.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(text(name))) or 0)


def _may_be_left_out(column: Any) -> bool:
    return column.nullable or column.server_default is not None


def _usual(column: Any) -> Any:
    if column.nullable:
        return None
    kind = column.type.python_type
    usual = {str: f"{column.name}-{next(_numbers)}", datetime: LONG_AGO, int: next(_numbers)}
    return usual.get(kind, [])  # what is left is JSON
