"""The ledger as lines of JSON: every field of every event, in order."""

from __future__ import annotations

from collections.abc import Iterator

from cronledger.domain.ids import Position
from cronledger.ledger.api import Ledger
from cronledger.ledger.codec import exported

PAGE = 1000


def export(
    ledger: Ledger, after: int = 0, until: int | None = None, stream: str | None = None
) -> Iterator[bytes]:
    r"""Give the events after a position, up to and with another, of all streams or of one: a line each.

    The export of a prefix never changes, but for bodies that are erased later.

    >>> from cronledger.clock import SystemClock
    >>> from cronledger.entropy import SeededEntropy
    >>> from cronledger.ledger.memory import MemoryLedger
    >>> list(export(MemoryLedger("here.1.aa", SystemClock(), SeededEntropy())))
    []
    """
    position = after
    while until is None or position < until:
        limit = PAGE if until is None else min(PAGE, until - position)
        page = ledger.read_stored(Position(position), limit)
        for stored in page:
            if until is not None and stored.position > until:
                return
            if stream is None or stored.stream == stream:
                yield exported(stored) + b"\n"
        if len(page) < limit:
            return
        position = page[-1].position
