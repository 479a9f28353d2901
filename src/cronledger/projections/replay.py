"""The views as of a position, folded from the events alone, in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from cronledger.domain.ids import Position
from cronledger.errors import LedgerUnreachable, NotUnderstood, Outdated
from cronledger.ledger.api import Ledger
from cronledger.ledger.database import Store
from cronledger.projections import job_status
from cronledger.projections.fold import PROJECTIONS, catch_up
from cronledger.projections.projection import fold_ledger
from cronledger.projections.tables import CHECKPOINT, METADATA, Checkpoint

log = logging.getLogger("cronledger.views")


class Views:
    """Tables that every question of a view can be put to, and the position that they are as of."""

    def __init__(
        self,
        ledger: Ledger,
        position: Position,
        reading: Callable[[], AbstractContextManager[Connection]],
        close: Callable[[], None] | None = None,
    ) -> None:
        self.ledger = ledger
        self.position = position
        self.reading = reading
        self._close = close

    def close(self) -> None:
        """Forget the tables, if they are in memory."""
        if self._close is not None:
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def current(store: Store) -> Views:
    """Return the views as of the head: the tables caught up, or, where they may not be written, a fold.

    A fold ends before an event that this version does not know and must not skip, and a warning says so.
    """
    try:
        position = catch_up(store)
    except (LedgerUnreachable, Outdated):
        return _folded(store)
    return Views(store.ledger, position, store.reading)


def _folded(store: Store) -> Views:
    """Fold as far as this version understands the ledger, and say where that ends."""
    try:
        return views_at(store.ledger)
    except NotUnderstood as error:
        last = Position(error.position - 1)
        log.warning("shown is the state as of position %s: %s", last, error.message)
        return views_at(store.ledger, last)


def views_at(ledger: Ledger, position: Position | None = None) -> Views:
    """Return the views as of a position (the head, if None or beyond it), in tables in memory."""
    folded, reached = fold_ledger(ledger, PROJECTIONS, position)
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})

    @contextmanager
    def reading() -> Iterator[Connection]:
        with engine.connect() as connection:
            yield connection

    with engine.begin() as connection:
        METADATA.create_all(connection)
        for each in PROJECTIONS:
            each.rows.put(connection, folded[each.name].values())
            mark = Checkpoint(projection=each.name, position=reached, version=each.version)
            CHECKPOINT.put(connection, [mark])
    return Views(ledger, reached, reading, engine.dispose)


def replay(ledger: Ledger, to: Position | None = None) -> dict[str, Any]:
    """Return the state of all jobs as of a position, as `cronledger replay` shows it."""
    projection = job_status.PROJECTION
    folded, reached = fold_ledger(ledger, [projection], to)
    return job_status.document(folded[projection.name].values(), position=reached, now=None)
