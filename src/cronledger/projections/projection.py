"""A projection: a fold of the ledger, kept in a dict or in a table by the same function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from cronledger.domain.events import Recorded
from cronledger.domain.ids import Position
from cronledger.domain.understanding import understood
from cronledger.ledger.api import Ledger
from cronledger.projections.rows import Key, Rows

T = TypeVar("T", bound=msgspec.Struct)
PAGE = 1000


class Projection(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What a view is made of: which row an event is about, and what it makes of that row.

    Raise `version` whenever `key`, `evolve` or what `evolve` understands changes: the rows are then rebuilt.
    """

    name: str
    version: int
    rows: Rows[T]
    key: Callable[[Recorded], Key | None]
    evolve: Callable[[T | None, Recorded], T | None]


Folded = dict[str, dict[Key, Any]]
"""For each projection, by name, its rows."""


def fold(projection: Projection[T], rows: dict[Key, T], events: Iterable[Recorded]) -> dict[Key, None]:
    """Fold events into `rows`; return the keys of those that changed, in order.

    A row is never taken back: an event that makes nothing of it leaves it as it is.
    """
    changed: dict[Key, None] = {}
    key_of, evolve = projection.key, projection.evolve
    for recorded in events:
        key = key_of(recorded)
        if key is None:
            continue
        before = rows.get(key)
        after = evolve(before, recorded)
        if after is not None and after is not before:
            rows[key] = after
            changed[key] = None
    return changed


def fold_ledger(
    ledger: Ledger, projections: Sequence[Projection[Any]], until: Position | None = None
) -> tuple[Folded, Position]:
    """Fold the events from the first up to a position, or to the head; return where that was as well."""
    folded: Folded = {projection.name: {} for projection in projections}
    position = Position(0)
    while until is None or position < until:
        size = PAGE if until is None else min(PAGE, until - position)
        events = understood(ledger.read_all(position, size))
        if not events:
            break
        for projection in projections:
            fold(projection, folded[projection.name], events)
        position = events[-1].position
    return folded, position
