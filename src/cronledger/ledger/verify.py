"""Whether the ledger is what it was: dense, in order, each body true to its commitment, each event readable.

Headers stand under no commitment of their own before their range is sealed: one that was changed shows only
where it contradicts the others, or cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from hashlib import sha256

import msgspec
from sqlalchemy import Connection, text

from cronledger.domain.ids import Position
from cronledger.errors import LedgerDamaged
from cronledger.ledger.api import Ledger, Stored
from cronledger.ledger.bulk import fetched
from cronledger.ledger.codec import recorded

PAGE = 1000
MOST_PROBLEMS = 1000
ERASED = "body.erased"
"""The type of the event by which a body is missing for good reason: its own body names the `position`."""

_LOWEST = Position(-(2**63))
_ID_BYTES = 16
_BODIES = text(
    "SELECT b.position, e.position FROM event_body AS b "
    "LEFT JOIN event AS e ON e.position = b.position AND e.position > :after "
    "WHERE b.position > :after ORDER BY b.position LIMIT :limit"
)


class Problem(msgspec.Struct, frozen=True):
    """Something that cannot be true, and where."""

    position: int
    problem: str


class Mark(msgspec.Struct, frozen=True):
    """The last event that was looked at."""

    position: int
    id: str | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    ok: bool
    events: int
    sealed_through: int
    head: Mark
    problems: tuple[Problem, ...]


def verify(ledger: Ledger, *, stray: Iterable[int] = ()) -> Report:
    """Look at every event up to the head; the first thousand problems are named.

    `stray`: the positions of bodies without an event, where there is a database to ask (`stray_bodies`).
    """
    walk = _Walk()
    end = ledger.head().position
    after = _beginning(ledger)
    while page := ledger.read_stored(after, PAGE):
        for stored in page:
            if stored.position <= end:
                walk.look_at(stored)
        after = Position(page[-1].position)
        if after >= end:
            break
    walk.note_missing_bodies()
    if walk.position < end:
        walk.note(end, f"the head is at {end}, but the last event has position {walk.position}")
    _look_beyond(ledger, end, walk)
    for position in stray:
        walk.note(position, "a body stands here without an event")
    problems = sorted(walk.problems, key=lambda each: each.position)
    return Report(
        ok=not problems,
        events=walk.events,
        sealed_through=0,
        head=Mark(walk.position, walk.last_id),
        problems=tuple(problems[:MOST_PROBLEMS]),
    )


def stray_bodies(reading: Callable[[], AbstractContextManager[Connection]]) -> Iterator[int]:
    """Give the positions of the bodies in a database that belong to no event."""
    after = _LOWEST
    while True:
        with reading() as connection:
            rows = fetched(connection.execute(_BODIES, {"after": after, "limit": PAGE}))
        yield from (body for body, event in rows if event is None)
        if len(rows) < PAGE:
            return
        after = Position(rows[-1][0])


def _beginning(ledger: Ledger) -> Position:
    """Return after which position the events begin: 0, unless somebody has put some in front of them."""
    lowest = ledger.read_stored(_LOWEST, 1)
    return _LOWEST if lowest and lowest[0].position <= 0 else Position(0)


def _look_beyond(ledger: Ledger, end: int, walk: _Walk) -> None:
    beyond = ledger.read_stored(Position(end), 1)
    if beyond and beyond[0].position > ledger.head().position:
        walk.note(beyond[0].position, f"an event stands beyond the head, which is at {end}")


class _Walk:
    """What is known after the events so far."""

    def __init__(self) -> None:
        self.position = 0
        self.events = 0
        self.last_id: str | None = None
        self.problems: list[Problem] = []
        self._recorded_at = 0
        self._versions: dict[str, int] = {}
        self._ids: set[bytes] = set()
        self._without_body: list[int] = []
        self._erased: set[int] = set()

    def note(self, position: int, problem: str) -> None:
        self.problems.append(Problem(position, problem))

    def look_at(self, stored: Stored) -> None:
        position = stored.position
        if position <= 0:
            self.note(position, "an event stands in front of the first position, which is 1")
            return
        if position != self.position + 1:
            self.note(self.position + 1, f"missing; the next event has position {position}")
        version = self._versions.get(stored.stream, 0) + 1
        if stored.version != version:
            self.note(position, f"version {stored.version} of {stored.stream} where {version} should be")
        if stored.recorded_at < self._recorded_at:
            self.note(position, "recorded before the event in front of it")
        if stored.id in self._ids:
            self.note(position, f"the id {stored.id.hex()} has been used before")
        if len(stored.id) != _ID_BYTES:
            self.note(position, f"the id {stored.id.hex()!r} has not {_ID_BYTES} bytes")
        self._look_into(stored)
        self.position, self.last_id, self._recorded_at = position, stored.id.hex(), stored.recorded_at
        self._versions[stored.stream] = stored.version
        self._ids.add(stored.id)
        self.events += 1

    def _look_into(self, stored: Stored) -> None:
        if stored.body is None or stored.salt is None:
            self._without_body.append(stored.position)
        elif sha256(stored.salt + stored.body.encode()).digest() != stored.commitment:
            self.note(stored.position, "the body is not the one that was committed to")
        try:
            recorded(stored)
            if stored.type == ERASED:
                self._erased.add(_erasure(stored.body or "{}").position)
        except (LedgerDamaged, msgspec.MsgspecError) as error:
            self.note(stored.position, str(error))

    def note_missing_bodies(self) -> None:
        """Note those that nobody has erased: an erasure stands behind what it names."""
        for position in self._without_body:
            if position not in self._erased:
                self.note(position, "the body is missing")


class _Erasure(msgspec.Struct, frozen=True):
    position: int = 0


_erasure = msgspec.json.Decoder(_Erasure).decode
