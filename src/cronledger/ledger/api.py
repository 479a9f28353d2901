"""What a ledger is: append under one head, read in one order.

The contract, the same for memory, SQLite and PostgreSQL:

- An *item* is one caller's request; it is accepted or refused as a whole. Items of one batch never affect
  each other except in order.
- Under the head, for each item in this order: a fence must be the current term (`Fenced`; a takeover that is
  asked for again and stands already is `Same`), and nobody else's lease may run (`Led`); ids that are all
  there already, at the same places with the same commitments, are `Same`, and any other use of a used id is
  `LedgerDamaged`; every stream must be at its expected version and every quiet job quiet (`Conflict`);
  no scheduled trigger may stand before its fire time (`Early`).
- Accepted items get dense positions from 1 in order and a `recorded_at` that never goes back. What was
  answered is durable. Readers see positions in order, without gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import msgspec

from cronledger.domain.events import Event, Recorded
from cronledger.domain.ids import InstanceId, JobName, Position, Stream, Term
from cronledger.domain.leadership import is_vacant
from cronledger.domain.understanding import require_understood
from cronledger.errors import Conflict, Refusal, WriterOutdated

START = 0
"""The version of a stream that has no event yet."""

WRITER = 1
"""The way in which this version writes; a later one raises it, and `head.min_writer` in a migration."""

MIN_WRITER = 1
"""The oldest way of writing that may append to a ledger made today."""

TRIES = 20
"""How often somebody else may be faster before an operator is told so."""

Decided = TypeVar("Decided")


class Quiet(msgspec.Struct, frozen=True, gc=False):
    """No event of `job` was recorded after position `since`, in whatever stream."""

    job: JobName
    since: Position


class Write(msgspec.Struct, frozen=True, gc=False):
    """Events for one stream, which must be at version `expected` (None: at whatever version).

    Without events it is a guard: the item is refused unless the stream is still at that version.
    """

    stream: Stream
    events: tuple[Event, ...] = ()
    expected: int | None = START
    quiet_since: Quiet | None = None


class Takeover(msgspec.Struct, frozen=True, gc=False):
    """The item begins a new term: the fence plus one, led by `leader` with a lease.

    Refused as `Led` while a leader's lease runs, unless `force` (the lock is held).
    """

    leader: InstanceId
    lease: timedelta
    epoch: int
    force: bool


class Item(msgspec.Struct, frozen=True, gc=False):
    """One request: writes that stand or fall together, under a fence if a leader asks."""

    writes: tuple[Write, ...]
    fence: Term | None = None
    takeover: Takeover | None = None


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """An event ready to be stored: made once per intention and kept across retries."""

    event: Event
    id: bytes
    salt: bytes
    body: str
    commitment: bytes


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """An item whose events are sealed, write by write."""

    item: Item
    sealed: tuple[tuple[Sealed, ...], ...]


class Appended(msgspec.Struct, frozen=True, gc=False):
    """The item stands at these positions (both 0 for an item that held only guards)."""

    first: Position
    last: Position
    recorded_at: datetime


class Same(msgspec.Struct, frozen=True, gc=False):
    """The item had been appended before, with the same ids."""

    first: Position
    last: Position
    recorded_at: datetime


Answer = Appended | Same | Refusal


class Head(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The one row that orders appends. `clock` is the ledger's clock at the moment of reading.

    `has_requests`: rows wait in the inbox; known from `Ledger.head()`, and from `Ledger.renew()` of a
    database.
    """

    position: Position
    recorded_at: datetime
    term: Term
    leader: InstanceId | None
    lease_until: datetime | None
    epoch: int
    lineage: str
    min_writer: int
    clock: datetime
    has_requests: bool = False

    @property
    def is_vacant(self) -> bool:
        """Whether no instance leads."""
        return is_vacant(leader=self.leader, lease_until=self.lease_until, clock=self.clock)


class Stored(msgspec.Struct, frozen=True, gc=False):
    """An event exactly as kept: for export and verification. `body` and `salt` are None once erased."""

    position: int
    id: bytes
    stream: str
    version: int
    type: str
    schema: int
    must_understand: bool
    recorded_at: int
    instance: str
    term: int | None
    actor: str
    job: str | None
    attempt: int | None
    fire_at: int | None
    cause: str | None
    commitment: bytes
    salt: bytes | None
    body: str | None


class Concern(msgspec.Struct, frozen=True, gc=False):
    """Something about a database that a person should know: what, and what to do."""

    what: str
    todo: str


class Ledger(Protocol):
    """All events in one order. Synchronous: every call is one short transaction."""

    @property
    def instance(self) -> InstanceId:
        """The process that speaks through this object."""

    def prepare(self, item: Item) -> Prepared:
        """Give every event its id, salt and commitment, once per intention."""

    def submit(self, batch: Sequence[Prepared]) -> list[Answer]:
        """Append each item or refuse it, and answer in the order asked.

        Raises LedgerDamaged, and appends nothing of the batch, if an id is used again for another event;
        LedgerUnreachable if the outcome is unknown: submit the same prepared items again;
        WriterOutdated, before anything is looked at, if only newer versions may append.
        """

    def append(self, *writes: Write, fence: Term | None = None) -> Appended | Same:
        """Append one item; raise its refusal.

        Raises Conflict, Fenced, Early, WriterOutdated, LedgerDamaged or LedgerUnreachable.
        """

    def renew(self, term: Term, lease: timedelta) -> Head:
        """Set the lease of the current term to end `lease` from now; a lease of zero ends it.

        Raises Fenced once a later term has begun.
        """

    def head(self) -> Head:
        """Return the head as it stands."""

    def read_all(self, after: Position, limit: int) -> list[Recorded]:
        """Return up to `limit` events after a position, in order.

        Raises LedgerGap if one is missing.
        """

    def read_stream(self, stream: Stream, after: int = START) -> list[Recorded]:
        """Return a stream's events after a version, in order."""

    def read_stored(self, after: Position, limit: int) -> list[Stored]:
        """Return up to `limit` events after a position exactly as kept, asserting nothing."""

    def position_at(self, instant: datetime) -> Position:
        """Return the position of the last event recorded at or before an instant, 0 if there is none."""

    def demanding(self) -> list[Recorded]:
        """Return the first event of each type that must be understood, in order."""


def require_writer(head: Head) -> None:
    """Raise WriterOutdated if only newer versions may append."""
    if head.min_writer > WRITER:
        raise WriterOutdated(head.min_writer, WRITER)


def require_current(ledger: Ledger) -> None:
    """Raise an `Outdated` if only a newer version may lead, decide or append."""
    require_writer(ledger.head())
    for recorded in ledger.demanding():
        require_understood(recorded)


def despite_conflicts(decide: Callable[[], Decided]) -> Decided:
    """Read, decide and append, and all of it anew for as long as somebody else was faster.

    Raises Conflict if `decide` has raised it TRIES times in a row; anything else that it raises goes through.
    """
    for _ in range(TRIES - 1):
        with suppress(Conflict):
            return decide()
    return decide()
