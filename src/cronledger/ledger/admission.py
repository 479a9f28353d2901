"""Whether items may be appended: the decision that the memory ledger and SQLite share.

Pure: the head and the facts are given, and nothing is written. The facts move along with the items that were
accepted, so a later item of a batch sees the earlier ones. PostgreSQL decides the same in its own function;
the contract tests hold all three to one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from cronledger.domain.events import Cause, Event
from cronledger.domain.ids import InstanceId, Position, Term
from cronledger.errors import Conflict, Early, Fenced, Led, LedgerDamaged, Refusal
from cronledger.ledger.api import Answer, Appended, Head, Item, Prepared, Same, Sealed, Write
from cronledger.ledger.codec import actor_text
from cronledger.ledger.instants import from_micros, to_micros

Row = tuple[Any, ...]
"""An event as stored: the columns of `event` but the position, then salt, body and the position last."""


class Kept(msgspec.Struct, frozen=True, gc=False):
    """Where an id has been used."""

    position: int
    stream: str
    version: int
    type: str
    commitment: bytes
    recorded_at: int


class Named(msgspec.Struct, frozen=True, gc=False):
    """What a batch asks about: streams, and the jobs whose quiet it needs."""

    streams: list[str]
    jobs: list[str]


class Facts(msgspec.Struct, gc=False):
    """What the ledger holds of that: versions of streams, latest positions of jobs, ids in use.

    `used` is None if nobody looked: then no id counts as used, and a unique index has the last word.
    """

    versions: dict[str, int]
    latest: dict[str, int]
    used: dict[bytes, Kept] | None


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """An answer for each item, the rows to store, and the head as it is then."""

    answers: list[Answer]
    rows: list[Row]
    head: Head


def named(batch: Sequence[Prepared], *, thorough: bool) -> Named:
    """Collect what `admit` needs to know about a batch.

    Unless it is to be thorough, a stream that is to begin is taken for new: it cannot be behind that, and if
    it is not new a unique index says so.
    """
    streams: dict[str, None] = {}
    jobs: dict[str, None] = {}
    for prepared in batch:
        for write in prepared.item.writes:
            if thorough or write.expected != 0 or not write.events:
                streams[write.stream] = None
            if write.quiet_since is not None:
                jobs[write.quiet_since.job] = None
    return Named(list(streams), list(jobs))


def ids_of(batch: Sequence[Prepared]) -> list[bytes]:
    """Return the ids of a batch's events."""
    return [one.id for prepared in batch for sealed in prepared.sealed for one in sealed]


def admit(head: Head, facts: Facts, batch: Sequence[Prepared], *, instance: InstanceId) -> Admitted:
    """Decide about each item in order; `facts` move along and are used up.

    Raises LedgerDamaged if an id is used again for another event.
    """
    admission = _Admission(head, facts, instance)
    answers = [admission.answer(prepared) for prepared in batch]
    return Admitted(answers, admission.rows, admission.head())


def settled(answer: Answer) -> Appended | Same:
    """Return a good answer, raise a refusal."""
    if isinstance(answer, Refusal):
        raise answer
    return answer


def damaged(event_id: bytes) -> LedgerDamaged:
    """Say that an id came again with another event."""
    return LedgerDamaged(
        f"the event id {event_id.hex()} has been used for another event; nothing was appended",
        hint="two processes share one source of randomness, or a stored intention was changed",
    )


class _Admission:
    """One batch under the head."""

    def __init__(self, head: Head, facts: Facts, instance: InstanceId) -> None:
        self.rows: list[Row] = []
        self._before = head
        self._facts = facts
        self._instance = instance
        self._stamp = max(head.recorded_at, head.clock)
        self._micros = to_micros(self._stamp)
        self._position: int = head.position
        self._term, self._leader = head.term, head.leader
        self._lease_until, self._epoch = head.lease_until, head.epoch

    def head(self) -> Head:
        """Return the head after what was accepted so far."""
        return msgspec.structs.replace(
            self._before,
            position=Position(self._position),
            recorded_at=self._stamp if self.rows else self._before.recorded_at,
            term=self._term,
            leader=self._leader,
            lease_until=self._lease_until,
            epoch=self._epoch,
        )

    def answer(self, prepared: Prepared) -> Answer:
        item = prepared.item
        if item.fence is not None and item.fence != self._term:
            # A takeover that is asked for again meets the term it has begun itself.
            again = None if item.takeover is None else self._same(prepared)
            return again or Fenced(item.fence, self._term)
        return (
            self._led(item)
            or self._same(prepared)
            or self._conflict(item)
            or self._early(item)
            or self._append(prepared)
        )

    def _led(self, item: Item) -> Led | None:
        takeover = item.takeover
        if takeover is None or takeover.force or self._leader is None or self._lease_until is None:
            return None
        return Led(self._leader, self._lease_until) if self._lease_until >= self._before.clock else None

    def _same(self, prepared: Prepared) -> Same | None:
        used = self._facts.used
        if used is None:
            return None
        kept = [used.get(one.id) for sealed in prepared.sealed for one in sealed]
        found = [each for each in kept if each is not None]
        if not found:
            return None
        for write, sealed in zip(prepared.item.writes, prepared.sealed, strict=True):
            _assert_kept(write, sealed, used)
        first, last = min(each.position for each in found), max(each.position for each in found)
        return Same(Position(first), Position(last), from_micros(found[0].recorded_at))

    def _conflict(self, item: Item) -> Conflict | None:
        ahead: dict[str, int] = {}
        for write in item.writes:
            stream, expected, quiet = write.stream, write.expected, write.quiet_since
            actual = self._facts.versions.get(stream, 0) + ahead.get(stream, 0)
            if expected is not None and expected != actual:
                return Conflict(stream, expected, actual)
            if quiet is not None and self._facts.latest.get(quiet.job, 0) > quiet.since:
                return not_quiet(quiet.job, quiet.since, self._facts.latest[quiet.job])
            ahead[stream] = ahead.get(stream, 0) + len(write.events)
        return None

    def _early(self, item: Item) -> Early | None:
        for fire_at in early_at(item):
            if fire_at > self._before.clock:
                return Early(fire_at, self._before.clock)
        return None

    def _append(self, prepared: Prepared) -> Appended:
        item = prepared.item
        if item.takeover is not None:
            self._term = Term(self._term + 1)
            self._leader = item.takeover.leader
            self._lease_until = self._before.clock + item.takeover.lease
            self._epoch = item.takeover.epoch
        before = self._position
        term = item.fence if item.takeover is None else self._term
        for write, sealed in zip(item.writes, prepared.sealed, strict=True):
            if sealed:
                self._store(write, sealed, term)
        if before == self._position:
            return Appended(Position(0), Position(0), self._stamp)
        return Appended(Position(before + 1), Position(self._position), self._stamp)

    def _store(self, write: Write, sealed: tuple[Sealed, ...], term: Term | None) -> None:
        facts, stream, instance, micros = self._facts, write.stream, self._instance, self._micros
        version, position, latest = facts.versions.get(stream, 0), self._position, facts.latest
        if facts.used is not None:
            self._remember(stream, sealed, facts.used)
        for one in sealed:
            version += 1
            position += 1
            event = one.event
            body = event.body
            if event.job is not None:
                latest[event.job] = position
            self.rows.append(
                (
                    one.id, stream, version, body.type, body.schema, body.must_understand, micros, instance,
                    term, actor_text(event.actor), event.job, event.attempt, fire_micros(event), event.cause,
                    one.commitment, one.salt, one.body, position,
                )
            )  # fmt: skip
        facts.versions[stream] = version
        self._position = position

    def _remember(self, stream: str, sealed: tuple[Sealed, ...], used: dict[bytes, Kept]) -> None:
        version, position = self._facts.versions.get(stream, 0), self._position
        for n, one in enumerate(sealed, 1):
            tag = one.event.body.type
            kept = Kept(position + n, stream, version + n, tag, one.commitment, self._micros)
            if used.setdefault(one.id, kept) is not kept:
                raise damaged(one.id)


def not_quiet(job: str, since: int, latest: int) -> Conflict:
    """Say that something was recorded about a job after the position a decision was based on."""
    return Conflict(f"the latest event of job '{job}'", since, latest)


def early_at(item: Item) -> Iterable[datetime]:
    """Return the fire times that an item's scheduled triggers stand for."""
    for write in item.writes:
        for event in write.events:
            if (
                event.cause is Cause.SCHEDULE
                and event.fire_at is not None
                and event.body.type == "run.triggered"
            ):
                yield event.fire_at


def fire_micros(event: Event) -> int | None:
    """Return an event's fire time as stored."""
    return None if event.fire_at is None else to_micros(event.fire_at)


def _assert_kept(write: Write, sealed: tuple[Sealed, ...], used: dict[bytes, Kept]) -> None:
    version = write.expected
    for one in sealed:
        kept = used.get(one.id)
        if kept is None:
            raise damaged(one.id)
        version = kept.version if version is None else version + 1
        wanted = (write.stream, version, one.event.body.type, one.commitment)
        if wanted != (kept.stream, kept.version, kept.type, kept.commitment):
            raise damaged(one.id)
