"""How far runs are: one row a run, the latest word only, gone when its attempt has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from cronledger.domain.ids import RunId
from cronledger.domain.progress import Progress
from cronledger.ledger.instants import from_micros, to_micros
from cronledger.ledger.schema import RUN_PROGRESS

_c = RUN_PROGRESS.c


def put(connection: Connection, reports: Iterable[Progress]) -> None:
    """Keep the latest word of each run; an earlier attempt has none once a later one has spoken."""
    rows = [msgspec.structs.asdict(each) | {"at": to_micros(each.at)} for each in reports]
    if not rows:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(RUN_PROGRESS)
    moved = {column.name: statement.excluded[column.name] for column in _c if not column.primary_key}
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[_c.run_id], set_=moved, where=_c.attempt <= statement.excluded.attempt
        ),
        rows,
    )


def remove(connection: Connection, ended: Mapping[RunId, int]) -> None:
    """Forget the words of attempts that have ended, and of those before them."""
    for run_id, attempt in ended.items():
        connection.execute(delete(RUN_PROGRESS).where(_c.run_id == run_id, _c.attempt <= attempt))


def remove_before(connection: Connection, instant: datetime) -> None:
    """Forget what nobody has renewed since: its instance ended without a word."""
    connection.execute(delete(RUN_PROGRESS).where(_c.at < to_micros(instant)))


def everything(connection: Connection) -> list[Progress]:
    """Return every row, by run; those whose attempt is not running any more mean nothing."""
    rows = connection.execute(select(RUN_PROGRESS).order_by(_c.run_id)).mappings()
    return [_progress(row) for row in rows]


def one(connection: Connection, run_id: RunId) -> Progress | None:
    """Return the row of a run, if there is one."""
    row = connection.execute(select(RUN_PROGRESS).where(_c.run_id == run_id)).mappings().first()
    return None if row is None else _progress(row)


def _progress(row: Mapping[Any, Any]) -> Progress:
    return Progress(**{**row, "at": from_micros(row["at"])})
