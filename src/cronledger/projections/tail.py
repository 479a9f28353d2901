"""The tail of the ledger as the loop has followed it, so that the views need not read it once more.

Whoever folds into memory reads every event anyway, or has written it itself. The views are brought up from
there; what is not there is read as before, and before anything is written the ledger is asked whether it
still holds what was folded.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from cronledger.domain.events import Recorded
from cronledger.domain.ids import Position
from cronledger.errors import LedgerRegressed
from cronledger.projections import fold

MOST = 20_000
"""Events kept between two calls of `catch_up`: more are not remembered, but read."""


class Tail:
    """Events without a gap, from the last call of `catch_up` on; nothing before the first one."""

    def __init__(self) -> None:
        self._events: list[Recorded] | None = None

    def follow(self, page: Sequence[Recorded]) -> None:
        """Remember what was read, if somebody will ask for it; its first event may be known already."""
        known = self._events
        if known is None:
            return
        last = known[-1].position if known else Position(0)
        news = [each for each in page if each.position > last]
        if known and news and news[0].position != last + 1:
            known.clear()
        known += news
        if len(known) > MOST:
            self._events = None

    def take(self) -> list[Recorded]:
        """Return what was remembered, and begin to remember what comes after it."""
        taken, self._events = self._events or [], []
        return taken

    def forget(self) -> None:
        """Remember nothing of what was followed so far: it may be of another history."""
        self._events = None


def catch_up(store: fold.Complete, followed: list[Recorded]) -> Position:
    """Bring the views up, as `fold.catch_up`, to where the ledger was followed; without that, to the head.

    What is appended meanwhile is left for the next time: it will have been followed then. Views that are
    further already are asked whether the ledger is as well. Raises LedgerRegressed, and writes nothing, if
    the ledger does not hold what was followed any more.
    """
    if followed:
        reached = fold.advance(_Remembered(store, followed))
        if reached <= followed[-1].position:
            return reached
    return fold.catch_up(store)


class _Remembered:
    """What a fold needs of a store, as if it ended with the events at hand."""

    def __init__(self, store: fold.Source, events: list[Recorded]) -> None:
        self._store = store
        self._events = events
        self._given: Recorded | None = None
        self.reading = store.reading

    @property
    def ledger(self) -> fold.Events:
        """The events are read here."""
        return self

    def read_all(self, after: Position, limit: int) -> list[Recorded]:
        """Return the next events, from memory if they stand there."""
        start = after + 1 - self._events[0].position
        if start < 0:
            return self._store.ledger.read_all(after, limit)
        page = self._events[start : start + limit]
        self._given = page[-1] if page else self._given
        return page

    def writing(self, *, relaxed: bool = False) -> AbstractContextManager[Connection]:
        """Give a connection to write with, if the ledger still holds what was given from memory."""
        given = self._given
        if given is not None:
            there = self._store.ledger.read_all(Position(given.position - 1), 1)
            if not there or there[0].id != given.id:
                raise LedgerRegressed(given.position, given.id)
        return self._store.writing(relaxed=relaxed)
