"""Whether the ledger is what it was: dense, in order, each body true to its commitment."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from cronledger.domain.ids import Position
from cronledger.ledger.api import Ledger, Stored

PAGE = 1000
MOST_PROBLEMS = 1000


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


def verify(ledger: Ledger) -> Report:
    """Look at every event up to the head; the first thousand problems are named."""
    walk = _Walk()
    end = ledger.head().position
    while page := ledger.read_stored(Position(walk.position), PAGE):
        for stored in page:
            if stored.position <= end:
                walk.look_at(stored)
        if page[-1].position >= end:
            break
    if walk.position < end:
        walk.note(end, f"the head is at {end}, but the last event has position {walk.position}")
    _look_beyond(ledger, end, walk)
    return Report(
        ok=not walk.problems,
        events=walk.events,
        sealed_through=0,
        head=Mark(walk.position, walk.last_id),
        problems=tuple(walk.problems[:MOST_PROBLEMS]),
    )


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

    def note(self, position: int, problem: str) -> None:
        self.problems.append(Problem(position, problem))

    def look_at(self, stored: Stored) -> None:
        position = stored.position
        if position != self.position + 1:
            self.note(self.position + 1, f"missing; the next event has position {position}")
        version = self._versions.get(stored.stream, 0) + 1
        if stored.version != version:
            self.note(position, f"version {stored.version} of {stored.stream} where {version} should be")
        if stored.recorded_at < self._recorded_at:
            self.note(position, "recorded before the event in front of it")
        if stored.id in self._ids:
            self.note(position, f"the id {stored.id.hex()} has been used before")
        if not _is_true(stored):
            self.note(position, "the body is not the one that was committed to")
        self.position, self.last_id, self._recorded_at = position, stored.id.hex(), stored.recorded_at
        self._versions[stored.stream] = stored.version
        self._ids.add(stored.id)
        self.events += 1


def _is_true(stored: Stored) -> bool:
    """Whether the body is the one committed to; an erased one can no longer be compared."""
    if stored.body is None or stored.salt is None:
        return stored.body is None and stored.salt is None
    return sha256(stored.salt + stored.body.encode()).digest() == stored.commitment
