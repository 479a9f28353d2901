"""The ledger in memory: the reference that the databases are compared with, and the simulator's.

Several instances share one `MemoryLog`, as several processes share one database.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from threading import RLock

import msgspec

from cronledger.clock import Clock
from cronledger.domain.events import Recorded
from cronledger.domain.ids import InstanceId, Position, Stream, Term
from cronledger.entropy import Entropy
from cronledger.errors import Fenced, LedgerGap
from cronledger.ledger.admission import Facts, Kept, Row, admit, ids_of, named, settled
from cronledger.ledger.api import (
    MIN_WRITER,
    START,
    Answer,
    Appended,
    Head,
    Item,
    Prepared,
    Same,
    Stored,
    Write,
    require_writer,
)
from cronledger.ledger.codec import prepared, recorded
from cronledger.ledger.instants import EPOCH, to_micros


class MemoryLog:
    """Everything a database would hold of one ledger."""

    def __init__(self, lineage: str = "memory") -> None:
        self.lock = RLock()
        self.events: list[Stored] = []
        self.streams: dict[str, list[Stored]] = {}
        self.latest: dict[str, int] = {}
        self.used: dict[bytes, Kept] = {}
        self.listeners: list[Callable[[], None]] = []
        self.has_requests: Callable[[], bool] = lambda: False
        """Asked without the lock: whoever has an inbox has a lock of its own round it."""
        self.head = Head(
            position=Position(0),
            recorded_at=EPOCH,
            term=Term(0),
            leader=None,
            lease_until=None,
            epoch=0,
            lineage=lineage,
            min_writer=MIN_WRITER,
            clock=EPOCH,
        )

    def facts(self, batch: Sequence[Prepared]) -> Facts:
        """Return what the log holds of the things a batch names."""
        asked = named(batch, thorough=True)
        return Facts(
            versions={stream: len(self.streams.get(stream, ())) for stream in asked.streams},
            latest={job: self.latest.get(job, 0) for job in asked.jobs},
            used={each: self.used[each] for each in ids_of(batch) if each in self.used},
        )

    def add(self, row: Row) -> None:
        """Keep one event."""
        stored = _stored(row)
        self.events.append(stored)
        self.streams.setdefault(stored.stream, []).append(stored)
        self.used[stored.id] = Kept(
            stored.position, stored.stream, stored.version, stored.type, stored.commitment, stored.recorded_at
        )
        if stored.job is not None:
            self.latest[stored.job] = stored.position


class MemoryLedger:
    """A ledger that obeys the contract and ends with the process.

    >>> from cronledger.clock import SystemClock
    >>> from cronledger.entropy import SeededEntropy
    >>> ledger = MemoryLedger(InstanceId("here.1.aa"), SystemClock(), SeededEntropy())
    >>> ledger.head().position
    0
    """

    def __init__(
        self, instance: InstanceId, clock: Clock, entropy: Entropy, store: MemoryLog | None = None
    ) -> None:
        self.log = store if store is not None else MemoryLog()
        self._instance = instance
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
        with self.log.lock:
            head = self._head()
            require_writer(head)
            admitted = admit(head, self.log.facts(batch), batch, instance=self._instance)
            for row in admitted.rows:
                self.log.add(row)
            self.log.head = admitted.head
            listeners = tuple(self.log.listeners) if admitted.rows else ()
        for listener in listeners:
            listener()
        return admitted.answers

    def append(self, *writes: Write, fence: Term | None = None) -> Appended | Same:
        """Append one item; raise its refusal."""
        return settled(self.submit([self.prepare(Item(writes, fence))])[0])

    def renew(self, term: Term, lease: timedelta) -> Head:
        """Set the lease of the current term to end `lease` from now."""
        with self.log.lock:
            head = self._head()
            if head.term != term:
                raise Fenced(term, head.term)
            until = head.clock + lease if lease else None
            self.log.head = head = msgspec.structs.replace(head, lease_until=until)
            return head

    def head(self) -> Head:
        """Return the head as it stands."""
        return msgspec.structs.replace(self._head(), has_requests=self.log.has_requests())

    def read_all(self, after: Position, limit: int) -> list[Recorded]:
        """Return up to `limit` events after a position, in order."""
        return [recorded(stored) for stored in contiguous(self.read_stored(after, limit), after)]

    def read_stream(self, stream: Stream, after: int = START) -> list[Recorded]:
        """Return a stream's events after a version, in order."""
        with self.log.lock:
            stored = self.log.streams.get(stream, [])[after:]
        return [recorded(each) for each in stored]

    def read_stored(self, after: Position, limit: int) -> list[Stored]:
        """Return up to `limit` events after a position exactly as kept."""
        with self.log.lock:
            return self.log.events[after : after + limit]

    def demanding(self) -> list[Recorded]:
        """Return the first event of each type that must be understood, in order."""
        with self.log.lock:
            first: dict[tuple[str, int], Stored] = {}
            for each in self.log.events:
                if each.must_understand:
                    first.setdefault((each.type, each.schema), each)
        return [recorded(each) for each in first.values()]

    def position_at(self, instant: datetime) -> Position:
        """Return the position of the last event recorded at or before an instant."""
        with self.log.lock:
            return Position(
                bisect_right(self.log.events, to_micros(instant), key=lambda each: each.recorded_at)
            )

    def _head(self) -> Head:
        with self.log.lock:
            return msgspec.structs.replace(self.log.head, clock=self._clock.now())


def contiguous(stored: list[Stored], after: int) -> list[Stored]:
    """Return the events unchanged; raise LedgerGap unless they follow `after` without a hole."""
    for expected, each in enumerate(stored, after + 1):
        if each.position != expected:
            raise LedgerGap(expected, each.position)
    return stored


def _stored(row: Row) -> Stored:
    return Stored(
        id=row[0],
        stream=row[1],
        version=row[2],
        type=row[3],
        schema=row[4],
        must_understand=row[5],
        recorded_at=row[6],
        instance=row[7],
        term=row[8],
        actor=row[9],
        job=row[10],
        attempt=row[11],
        fire_at=row[12],
        cause=row[13],
        commitment=row[14],
        salt=row[15],
        body=row[16],
        position=row[17],
    )
