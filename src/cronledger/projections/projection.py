"""A projection: a fold of the ledger, kept in a dict or in a table by the same function."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from cronledger.domain.events import Body, Recorded
from cronledger.domain.ids import Position
from cronledger.domain.understanding import understood
from cronledger.ledger.api import Ledger
from cronledger.projections.rows import Key, Rows

T = TypeVar("T", bound=msgspec.Struct)
PAGE = 1000
FIRST = 1
"""The version of the event with which a stream begins."""

Groups = Mapping[Key, list[Recorded]]
"""Events in order, under the key of the row that they are about."""


class Projection(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What a view is made of: which row an event is about, and what it makes of that row.

    `bodies` are those that concern it, None for any. `of_runs`: each row is about one run, and its key begins
    with that run's id. Raise `version` whenever `key`, `evolve` or what `evolve` understands changes: the
    rows are then rebuilt.
    """

    name: str
    version: int
    rows: Rows[T]
    key: Callable[[Recorded], Key | None]
    evolve: Callable[[T | None, Recorded], T | None]
    bodies: frozenset[type[Body]] | None = None
    of_runs: bool = False

    def grouped(self, events: Iterable[Recorded]) -> Groups:
        """Return the events that are about a row, in order, under the key of that row."""
        key_of, bodies = self.key, self.bodies
        concerned = events if bodies is None else [each for each in events if type(each.body) in bodies]
        groups: defaultdict[Key, list[Recorded]] = defaultdict(list)
        for each in concerned:
            if (key := key_of(each)) is not None:
                groups[key].append(each)
        return groups

    def may_stand(self, keys: Iterable[Key], events: Iterable[Recorded]) -> set[Key]:
        """Return the keys whose rows may stand already: none is about a run that begins with these events."""
        if not self.of_runs:
            return set(keys)
        begun = {each.run_id for each in events if each.version == FIRST}
        return {key for key in keys if key[0] not in begun}


Folded = dict[str, dict[Key, Any]]
"""For each projection, by name, its rows."""


def fold(projection: Projection[T], rows: dict[Key, T], events: Iterable[Recorded]) -> dict[Key, None]:
    """Fold events into `rows`; return the keys of those that changed, in order.

    A row is never taken back: an event that makes nothing of it leaves it as it is.
    """
    return fold_groups(projection, rows, projection.grouped(events))


def fold_groups(projection: Projection[T], rows: dict[Key, T], groups: Groups) -> dict[Key, None]:
    """Do the same with events that are grouped already: a row is looked up and kept once, not each time."""
    changed: dict[Key, None] = {}
    evolve = projection.evolve
    for key, events in groups.items():
        before = row = rows.get(key)
        for recorded in events:
            after = evolve(row, recorded)
            row = row if after is None else after
        if row is not None and row is not before:
            rows[key] = row
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
