"""Bringing the views up to the head, rebuilding them, checking them.

A batch of events is read first and applied afterwards, in one short transaction that locks the checkpoints
and begins anew if another projector was faster. So rows and checkpoints always belong together, and no event
is applied twice, however many instances and commands fold at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, delete

from cronledger.domain.events import Recorded
from cronledger.domain.ids import Position
from cronledger.domain.understanding import understood
from cronledger.ledger.database import Store
from cronledger.projections import job_status, leadership, run_history, step_history, unrecognized
from cronledger.projections.outdated import ViewNewer
from cronledger.projections.projection import Projection, fold, fold_ledger
from cronledger.projections.rows import Key
from cronledger.projections.tables import CHECKPOINT, METADATA, Checkpoint

__all__ = [
    "PROJECTIONS",
    "Difference",
    "Projection",
    "catch_up",
    "check",
    "checkpoints",
    "fold",
    "fold_ledger",
    "lag",
    "rebuild",
]

BATCH = 1000
"""Events applied in one transaction: enough to make its cost small, few enough to keep it short."""

PROJECTIONS: tuple[Projection[Any], ...] = (
    job_status.PROJECTION,
    run_history.PROJECTION,
    step_history.PROJECTION,
    leadership.PROJECTION,
    unrecognized.PROJECTION,
)

Marks = dict[str, Checkpoint]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A column that is not what the events say; a row too many or too few differs in its key."""

    projection: str
    key: Key
    field: str
    row: Any
    fold: Any


def catch_up(store: Store, *, limit: int | None = None) -> Position:
    """Fold what was appended since into every view, at most `limit` events; return up to where they stand.

    Raises LedgerGap if an event is missing, an `Outdated` if only a newer version may go on, and
    LedgerUnreachable if this user may not write: `replay.current` then folds in memory.
    """
    left = limit
    while True:
        with store.reading() as connection:
            marks = checkpoints(connection)
        position = min(_start(projection, marks) for projection in PROJECTIONS)
        size = BATCH if left is None else min(BATCH, left)
        events = understood(store.ledger.read_all(position, size)) if size else []
        if not events:
            return position
        with store.writing(relaxed=True) as connection:
            if _locked(connection) != marks:
                continue
            for projection in PROJECTIONS:
                _apply(connection, projection, _start(projection, marks), events)
        if left is not None:
            left -= len(events)


def checkpoints(connection: Connection) -> Marks:
    """Return how far each projection has come."""
    return _marks(CHECKPOINT.read(connection, CHECKPOINT.select()))


def lag(store: Store) -> dict[str, int]:
    """Return how many events each projection is behind the head."""
    with store.reading() as connection:
        marks = checkpoints(connection)
    head = store.ledger.head().position
    return {name: max(0, head - mark.position) for name, mark in marks.items()}


def rebuild(store: Store) -> Position:
    """Drop what the views hold, make their tables where they are missing, and fold everything again."""
    with store.writing() as connection:
        METADATA.create_all(connection)
        _locked(connection)
        for each in PROJECTIONS:
            connection.execute(delete(each.rows.table))
        fresh = [Checkpoint(projection=projection.name) for projection in PROJECTIONS]
        CHECKPOINT.put(connection, fresh)
    return catch_up(store)


def check(store: Store) -> list[Difference]:
    """Compare every row with a fresh fold of the events up to the same position.

    A view that an older version folded is left out: it is rebuilt when it is next caught up.
    """
    with store.reading() as connection:
        marks = checkpoints(connection)
        current = [each for each in PROJECTIONS if marks[each.name].version == each.version]
        found = {each.name: _raw(connection, each) for each in current}
    differences: list[Difference] = []
    for position in sorted({marks[each.name].position for each in current}):
        here = [each for each in current if marks[each.name].position == position]
        folded, _ = fold_ledger(store.ledger, here, position)
        for each in here:
            expected = {key: each.rows.dump(state) for key, state in folded[each.name].items()}
            differences += _differences(each, found[each.name], expected)
    return differences


# --- private --------------------------------------------------------------------------------------------


def _marks(kept: list[Checkpoint]) -> Marks:
    """Complete the checkpoints: a projection that has none stands before the first event."""
    found = {mark.projection: mark for mark in kept}
    return {each.name: found.get(each.name, Checkpoint(projection=each.name)) for each in PROJECTIONS}


def _start(projection: Projection[Any], marks: Marks) -> Position:
    """Return after which position a projection goes on: from the beginning, if its rules have changed."""
    mark = marks[projection.name]
    if mark.version > projection.version:
        raise ViewNewer(projection.name, mark.version, projection.version)
    return mark.position if mark.version == projection.version else Position(0)


def _locked(connection: Connection) -> Marks:
    """Hold the checkpoints until the transaction ends; there must be a row to be held."""
    statement = CHECKPOINT.select().order_by(CHECKPOINT.table.c.projection).with_for_update()
    kept = CHECKPOINT.read(connection, statement)
    missing = [mark for mark in _marks(kept).values() if mark not in kept]
    if not missing:
        return _marks(kept)
    CHECKPOINT.add(connection, missing)
    return _marks(CHECKPOINT.read(connection, statement))


def _apply(
    connection: Connection, projection: Projection[Any], start: Position, events: list[Recorded]
) -> None:
    rows = projection.rows
    last = events[-1].position
    if start >= last:
        return
    if start == 0:
        connection.execute(delete(rows.table))
    news = events if start < events[0].position else [each for each in events if each.position > start]
    keys = {key for recorded in news if (key := projection.key(recorded)) is not None}
    states = rows.find(connection, keys) if start else {}
    changed = fold(projection, states, news)
    rows.put(connection, [states[key] for key in changed])
    mark = Checkpoint(projection=projection.name, position=last, version=projection.version)
    CHECKPOINT.put(connection, [mark])


def _raw(connection: Connection, projection: Projection[Any]) -> dict[Key, tuple[Any, ...]]:
    names = projection.rows.names
    places = [names.index(column) for column in projection.rows.key]
    found = [tuple(row) for row in connection.execute(projection.rows.select())]
    return {tuple(row[place] for place in places): row for row in found}


def _differences(
    projection: Projection[Any], found: dict[Key, tuple[Any, ...]], expected: dict[Key, tuple[Any, ...]]
) -> Iterator[Difference]:
    names = projection.rows.names
    nothing = (None,) * len(names)
    for key in sorted(found.keys() | expected.keys()):
        row, fresh = found.get(key, nothing), expected.get(key, nothing)
        for field, kept, folded in zip(names, row, fresh, strict=True):
            whole = key in found and key in expected
            if kept != folded and (whole or field in projection.rows.key):
                yield Difference(projection=projection.name, key=key, field=field, row=kept, fold=folded)
