"""Reading the ledger: one set of statements for both databases.

Appending differs between them and is handed in as an `Appender`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, text

from cronledger.clock import Clock
from cronledger.domain.events import Recorded
from cronledger.domain.ids import InstanceId, Position, Stream, Term
from cronledger.entropy import Entropy
from cronledger.errors import LedgerGap
from cronledger.ledger.admission import settled
from cronledger.ledger.api import START, Answer, Appended, Head, Item, Prepared, Same, Stored, Write
from cronledger.ledger.bulk import fetched
from cronledger.ledger.codec import prepared, recorded_rows
from cronledger.ledger.instants import from_micros, to_micros
from cronledger.ledger.missing_tables import without_head

Reading = Callable[[], AbstractContextManager[Connection]]
_stored: Callable[..., Stored] = Stored
"""By position: its fields are the columns."""

_HEADER = (
    "e.position, e.id, e.stream, e.version, e.type, e.schema, e.must_understand, e.recorded_at, e.instance, "
    "e.term, e.actor, e.job, e.attempt, e.fire_at, e.cause"
)
_JOINED = "FROM event AS e LEFT JOIN event_body AS b ON b.position = e.position"
_FROM = f"SELECT {_HEADER}, b.body {_JOINED}"
_PAGE = "AND b.position > :after WHERE e.position > :after ORDER BY e.position LIMIT :limit"
"""Said of the bodies as well, or PostgreSQL merges them with a page from the very first one on."""

_ALL = text(f"{_FROM} {_PAGE}")
_STORED = text(f"SELECT {_HEADER}, e.commitment, b.salt, b.body {_JOINED} {_PAGE}")
_STREAM = text(f"{_FROM} WHERE e.stream = :stream AND e.version > :after ORDER BY e.version")
_DEMANDING = text(
    f"{_FROM} WHERE e.position IN (SELECT min(d.position) FROM event AS d WHERE d.must_understand = 1 "  # noqa: S608 - of constants
    "GROUP BY d.type, d.schema) ORDER BY e.position"
)
_HEAD = text("SELECT position FROM head")
_FIRST = text("SELECT min(position) FROM event")
_AT = text("SELECT recorded_at FROM event WHERE position = :position")


class Appender(Protocol):
    """What differs between the databases: the transaction that moves the head."""

    def submit(self, batch: Sequence[Prepared]) -> list[Answer]:
        """Append each item or refuse it."""

    def renew(self, term: Term, lease: timedelta) -> Head:
        """Set the lease of the current term to end `lease` from now."""

    def head(self) -> Head:
        """Return the head as it stands."""


class SqlLedger:
    """The ledger in a database."""

    def __init__(
        self, instance: InstanceId, *, appender: Appender, reading: Reading, clock: Clock, entropy: Entropy
    ) -> None:
        self._instance = instance
        self._appender = appender
        self._reading = reading
        self._clock = clock
        self._entropy = entropy

    @property
    def instance(self) -> InstanceId:
        """The process that speaks through this object."""
        return self._instance

    def prepare(self, item: Item) -> Prepared:
        """Give every event its id, salt and commitment."""
        return prepared(item, self._entropy, self._clock.now())

    def submit(self, batch: Sequence[Prepared]) -> list[Answer]:
        """Append each item or refuse it."""
        return self._appender.submit(batch) if batch else []

    def append(self, *writes: Write, fence: Term | None = None) -> Appended | Same:
        """Append one item; raise its refusal."""
        return settled(self.submit([self.prepare(Item(writes, fence))])[0])

    def renew(self, term: Term, lease: timedelta) -> Head:
        """Set the lease of the current term to end `lease` from now."""
        return self._appender.renew(term, lease)

    def head(self) -> Head:
        """Return the head as it stands."""
        return self._appender.head()

    def read_all(self, after: Position, limit: int) -> list[Recorded]:
        """Return up to `limit` events after a position, in order."""
        with self._reading() as connection:
            rows = fetched(connection.execute(_ALL, {"after": after, "limit": limit}))
            last = after + len(rows)
            end = last if len(rows) == limit else _end(connection)
        if rows and rows[-1][0] != last:
            expected, row = next(each for each in enumerate(rows, after + 1) if each[1][0] != each[0])
            raise LedgerGap(expected, row[0])
        if last < end:
            raise LedgerGap(last + 1, end + 1)
        return recorded_rows(rows)

    def read_stream(self, stream: Stream, after: int = START) -> list[Recorded]:
        """Return a stream's events after a version, in order."""
        with self._reading() as connection:
            rows = fetched(connection.execute(_STREAM, {"stream": stream, "after": after}))
        return recorded_rows(rows)

    def read_stored(self, after: Position, limit: int) -> list[Stored]:
        """Return up to `limit` events after a position exactly as kept."""
        with self._reading() as connection:
            rows = fetched(connection.execute(_STORED, {"after": after, "limit": limit}))
        return [_stored(*row[:6], bool(row[6]), *row[7:]) for row in rows]

    def demanding(self) -> list[Recorded]:
        """Return the first event of each type that must be understood, in order."""
        with self._reading() as connection:
            rows = fetched(connection.execute(_DEMANDING))
        return recorded_rows(rows)

    def position_at(self, instant: datetime) -> Position:
        """Return the position of the last event recorded at or before an instant.

        Positions are dense and `recorded_at` never goes back, so halving finds it without an index.
        """
        wanted = to_micros(instant)
        with self._reading() as connection:
            end = _end(connection)
            start: int = connection.execute(_FIRST).scalar_one() or 1
            low, high = start - 1, end
            while low < high:
                middle = (low + high + 1) // 2
                at = connection.execute(_AT, {"position": middle}).scalar_one_or_none()
                if at is None:
                    raise LedgerGap(middle, middle + 1)
                low, high = (middle, high) if at <= wanted else (low, middle - 1)
        return Position(0 if low < start else low)


def _end(connection: Connection) -> int:
    end: int | None = connection.execute(_HEAD).scalar_one_or_none()
    if end is None:
        raise without_head()
    return end


def head_of(row: Sequence[Any], clock: datetime, *, has_requests: bool = False) -> Head:
    """Return the head from its columns, in the order of the table, the ledger's clock, and the inbox."""
    return Head(
        position=Position(row[0]),
        recorded_at=from_micros(row[1]),
        term=Term(row[2]),
        leader=None if row[3] is None else InstanceId(row[3]),
        lease_until=None if row[4] is None else from_micros(row[4]),
        epoch=row[5],
        lineage=row[6],
        min_writer=row[7],
        clock=clock,
        has_requests=has_requests,
    )
