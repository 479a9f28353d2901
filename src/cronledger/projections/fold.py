"""Bringing the views up to the head, rebuilding them, checking them.

Events are read and folded first and written afterwards, in one short transaction that locks the checkpoints;
if another projector was faster, the work begins anew. So rows and checkpoints always belong together, and no
event is applied twice, however many instances and commands fold at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from enum import Enum, auto
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection, delete

from cronledger.domain.events import Recorded
from cronledger.domain.ids import Position
from cronledger.domain.understanding import understood
from cronledger.errors import LedgerGap, NotUnderstood
from cronledger.ledger.api import Ledger
from cronledger.ledger.bulk import Row
from cronledger.ledger.database import Store
from cronledger.projections import job_status, leadership, run_history, step_history, unrecognized
from cronledger.projections.outdated import ViewNewer
from cronledger.projections.projection import Folded, Groups, Projection, fold_groups, fold_ledger
from cronledger.projections.rows import Key
from cronledger.projections.tables import CHECKPOINT, METADATA, Checkpoint

log = logging.getLogger("cronledger.views")

PAGE = 1000
"""Events read at once: as many as processors keep close at hand."""

PAGES = 4
"""Pages applied in one transaction: enough to make its cost small, few enough to keep it short."""

PAGES_FROM_START = 20
"""The same from the first event on: the more events of a job at once, the fewer times its row is written."""

PROJECTIONS: tuple[Projection[Any], ...] = (
    job_status.PROJECTION,
    run_history.PROJECTION,
    step_history.PROJECTION,
    leadership.PROJECTION,
    unrecognized.PROJECTION,
)

Marks = dict[str, Checkpoint]
_NOTHING: Folded = {}
"""Rows that are known without being read: those that were written last, while the checkpoints stand there.

Rows of runs are not among them, for few of those change again.
"""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A column that is not what the events say; a row too many or too few differs in its key."""

    projection: str
    key: Key
    field: str
    row: Any
    fold: Any


class Events(Protocol):
    """Where events are read."""

    def read_all(self, after: Position, limit: int) -> list[Recorded]:
        """Return up to `limit` events after a position, in order."""


class Source(Protocol):
    """What is folded, and where to: all that bringing the views up needs of a store."""

    @property
    def ledger(self) -> Events:
        """The events."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection that sees the tables as of one moment."""

    def writing(self, *, relaxed: bool = False) -> AbstractContextManager[Connection]:
        """Give a connection whose changes are committed together at the end."""


class Complete(Source, Protocol):
    """A source of which it is known where the ledger ends."""

    @property
    def ledger(self) -> Ledger:
        """The ledger."""


def catch_up(store: Complete, *, limit: int | None = None) -> Position:
    """Fold what was appended before into every view, at most `limit` events; return up to where they stand.

    A view that stands where the ledger has no event is folded afresh. Raises LedgerGap if an event is
    missing, an `Outdated` if only a newer version may go on, and LedgerUnreachable if this user may not
    write: `replay.current` then folds in memory.
    """
    marks = _standing(store)
    head = store.ledger.head().position  # after the checkpoints: a view may not have gone further meanwhile
    starts = {each.name: _start(each, marks) for each in PROJECTIONS}
    astray = [name for name, start in starts.items() if not 0 <= start <= head]
    if astray:
        _forget(store, marks, astray, head)
    elif all(start == head for start in starts.values()):
        return head
    return advance(store, None if astray else marks, limit=limit)


def advance(store: Source, marks: Marks | None = None, *, limit: int | None = None) -> Position:
    """Do the same as far as there are events to be read, whether or not the ledger ends there."""
    marks, known = marks or _standing(store), _NOTHING
    start = min(_start(each, marks) for each in PROJECTIONS)
    is_afresh = start == 0
    most = (PAGES_FROM_START if is_afresh else PAGES) * PAGE
    while True:
        views = [_View(each, _start(each, marks), known, is_afresh=is_afresh) for each in PROJECTIONS]
        before = min(view.position for view in views)
        until = before + most if limit is None else min(before + most, start + limit)
        ending = _fold_pages(store, marks, views, Position(until))
        reached = min(view.position for view in views)
        if ending is not _Ending.OVERTAKEN and reached == before:
            return before
        if ending is _Ending.OVERTAKEN or not _write(store, marks, views):
            marks, known = _standing(store), _NOTHING
            continue
        if ending is _Ending.HEAD:
            return reached
        marks = _marks([*marks.values(), *(view.mark for view in views)])
        known = {view.projection.name: view.states for view in views if not view.projection.of_runs}


def checkpoints(connection: Connection) -> Marks:
    """Return how far each projection has come."""
    return _marks(CHECKPOINT.read(connection, CHECKPOINT.select()))


def standing(connection: Connection) -> Position:
    """Return up to where the rows that a connection sees are folded: others may have gone on meanwhile."""
    return min(mark.position for mark in checkpoints(connection).values())


def lag(store: Store) -> dict[str, int]:
    """Return how many events each projection is behind the head."""
    with store.reading() as connection:
        marks = checkpoints(connection)
    head = store.ledger.head().position
    return {name: head - (mark.position if 0 <= mark.position <= head else 0) for name, mark in marks.items()}


def rebuild(store: Store) -> Position:
    """Drop what the views hold, make their tables where they are missing, and fold everything again.

    The rows go when the first new ones are written. Until then they count as folded by older rules, so that
    whoever catches up begins at the first event, even if this is killed.
    """
    has_events = store.ledger.head().position > 0
    with store.writing() as connection:
        METADATA.create_all(connection)
        marks = _locked(connection)
        CHECKPOINT.put(connection, [Checkpoint(projection=name) for name in marks])
        for each in () if has_events else PROJECTIONS:
            connection.execute(delete(each.rows.table))
    return catch_up(store)


def check(store: Store) -> list[Difference]:
    """Compare every row with a fresh fold of the events up to the same position, and that with the ledger.

    Those that are `left_out` are not compared. Raises ViewNewer.
    """
    with store.reading() as connection:
        marks = checkpoints(connection)
        current = [each for each in PROJECTIONS if _is_current(each, marks)]
        found = {each.name: _raw(connection, each) for each in current}
    differences: list[Difference] = []
    for position in sorted({marks[each.name].position for each in current}):
        here = [each for each in current if marks[each.name].position == position]
        folded, reached = fold_ledger(store.ledger, here, position)
        for each in here:
            if reached != position:
                differences.append(
                    Difference(projection=each.name, key=(), field="checkpoint", row=position, fold=reached)
                )
            expected = {key: each.rows.dump(state) for key, state in folded[each.name].items()}
            differences += _differences(each, found[each.name], expected)
    return differences


def left_out(store: Store) -> list[str]:
    """Return the views that are not checked: what stands there is folded afresh when they are next caught up.

    Older rules have folded them, or nobody has begun to. Raises ViewNewer.
    """
    marks = _standing(store)
    return [each.name for each in PROJECTIONS if not _is_current(each, marks)]


# --- private --------------------------------------------------------------------------------------------


def _standing(store: Source) -> Marks:
    with store.reading() as connection:
        return checkpoints(connection)


def _marks(kept: list[Checkpoint]) -> Marks:
    """Complete the checkpoints: a projection that has none stands before the first event."""
    found = {mark.projection: mark for mark in kept}
    return {each.name: found.get(each.name, Checkpoint(projection=each.name)) for each in PROJECTIONS}


def _start(projection: Projection[Any], marks: Marks) -> Position:
    """Return after which position a projection goes on: from the beginning, if its rules have changed."""
    return marks[projection.name].position if _is_current(projection, marks) else Position(0)


def _is_current(projection: Projection[Any], marks: Marks) -> bool:
    """Whether the rows of a view are folded by the rules of this version."""
    mark = marks[projection.name]
    if mark.version > projection.version:
        raise ViewNewer(projection.name, mark.version, projection.version)
    return mark.version == projection.version


def _forget(store: Source, marks: Marks, names: list[str], head: Position) -> None:
    """Begin views anew that stand where the ledger has no event, unless somebody has moved a checkpoint."""
    with store.writing() as connection:
        if _locked(connection) != marks:
            return
        for each in PROJECTIONS:
            if each.name in names:
                connection.execute(delete(each.rows.table))
        CHECKPOINT.put(connection, [Checkpoint(projection=name) for name in names])
    at = ", ".join(f"{name} at {marks[name].position}" for name in names)
    log.warning("the ledger ends at position %s: views that stand elsewhere are folded afresh (%s)", head, at)


def _locked(connection: Connection) -> Marks:
    """Hold the checkpoints until the transaction ends; there must be a row to be held."""
    statement = CHECKPOINT.select().order_by(CHECKPOINT.table.c.projection).with_for_update()
    kept = CHECKPOINT.read(connection, statement)
    missing = [mark for mark in _marks(kept).values() if mark not in kept]
    if not missing:
        return _marks(kept)
    CHECKPOINT.add(connection, missing)
    return _marks(CHECKPOINT.read(connection, statement))


class _Ending(Enum):
    """Why a fold went no further."""

    HEAD = auto()
    ENOUGH = auto()
    OVERTAKEN = auto()
    """Somebody else was faster: what was folded is of no use."""


def _fold_pages(store: Source, marks: Marks, views: list[_View], until: Position) -> _Ending:
    """Fold page after page, at most up to a position.

    What stops the fold is raised only if nothing stands before it: the next look meets it again.
    """
    before = position = min(view.position for view in views)
    try:
        while position < until:
            size = min(PAGE, until - position)
            page = store.ledger.read_all(position, size)
            events = understood(page)
            if events and not _fold_page(store, marks, views, events):
                return _Ending.OVERTAKEN
            if len(page) < size and len(events) == len(page):
                return _Ending.HEAD
            position = Position(position + len(events))
    except (LedgerGap, NotUnderstood):
        if position == before:
            raise
    return _Ending.ENOUGH


def _fold_page(store: Source, marks: Marks, views: list[_View], events: list[Recorded]) -> bool:
    """Fold events into the views, unless their rows do not stand at the checkpoints any more."""
    asked = [(view, keys) for view in views if (keys := view.take(events))]
    if asked:
        with store.reading() as connection:
            if checkpoints(connection) != marks:
                return False
            for view, keys in asked:
                view.states |= view.projection.rows.find(connection, keys)
    for view in views:
        view.fold()
    return True


def _write(store: Source, marks: Marks, views: list[_View]) -> bool:
    """Write what has been folded, unless somebody else has moved the checkpoints meanwhile."""
    moved = [(view, *view.rows()) for view in views if view.position > view.start]
    with store.writing(relaxed=True) as connection:
        if _locked(connection) != marks:
            return False
        for view, new, changed in moved:
            if view.start == 0:
                connection.execute(delete(view.projection.rows.table))
            view.projection.rows.fill_rows(connection, new)
            view.projection.rows.put_rows(connection, changed)
        CHECKPOINT.put(connection, [view.mark for view, *_ in moved])
    return True


class _View:
    """What becomes of one view between two transactions, folded before the checkpoints are locked.

    Where everything is folded afresh, new rows are known to be new: the tables were emptied just before.
    Otherwise none is trusted to be, or a row that somebody has put there by hand would stop the fold.
    """

    def __init__(
        self, projection: Projection[Any], start: Position, known: Folded, *, is_afresh: bool
    ) -> None:
        self.projection = projection
        self.start = self.position = start
        self.changed: dict[Key, None] = {}
        self.states: dict[Key, Any] = known.get(projection.name, {})
        self._groups: Groups = {}
        self._is_afresh = is_afresh
        self._new: set[Key] = set()

    @property
    def mark(self) -> Checkpoint:
        projection = self.projection
        return Checkpoint(projection=projection.name, position=self.position, version=projection.version)

    def take(self, events: list[Recorded]) -> set[Key]:
        """Take the next events; return the keys of rows that have to be read before they are folded."""
        last = events[-1].position
        if self.position >= last:
            return set()
        is_new = self.position < events[0].position
        news = events if is_new else [each for each in events if each.position > self.position]
        self._groups = self.projection.grouped(news)
        self.position = last
        return self.projection.may_stand(self._groups, news) - self.states.keys() if self.start else set()

    def fold(self) -> None:
        if self._is_afresh:
            self._new |= self._groups.keys() - self.states.keys()
        self.changed |= fold_groups(self.projection, self.states, self._groups)
        self._groups = {}

    def rows(self) -> tuple[list[Row], list[Row]]:
        """Return the rows that are known to be new, and the others that have changed."""
        new = [key for key in self.changed if key in self._new]
        changed = [key for key in self.changed if key not in self._new] if new else self.changed
        return self._dumped(new), self._dumped(changed)

    def _dumped(self, keys: Iterable[Key]) -> list[Row]:
        return [self.projection.rows.dump(self.states[key]) for key in keys]


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
