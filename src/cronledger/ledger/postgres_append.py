"""Appending to PostgreSQL: one request, one statement, one answer.

The decision is made by a function in the database, under the head, in one autocommit statement: a client that
is paused can never hold the head. The request says everything as JSON; the function works on whole sets, so a
batch is first cut into parts whose items do not concern one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from cronledger.domain.ids import InstanceId, Position, Stream
from cronledger.errors import Conflict, Early, Fenced, Led
from cronledger.ledger.admission import early_at, fire_micros, not_quiet
from cronledger.ledger.api import WRITER, Answer, Appended, Item, Prepared, Same
from cronledger.ledger.codec import actor_text, wakes
from cronledger.ledger.instants import from_micros, to_micros


class _Claim(msgspec.Struct, gc=False):
    """What an item claims about the term; `i` is the item's place in the batch, here and below."""

    i: int
    fence: int | None
    leader: str | None
    lease: int | None
    epoch: int | None
    force: bool | None


class _Check(msgspec.Struct, gc=False):
    """The stream must be at `base`; `ahead` of it are earlier events of the item; `w` counts the writes."""

    i: int
    w: int
    stream: str
    base: int | None
    ahead: int


class _Quiet(msgspec.Struct, gc=False):
    """The job must have no event after `since`."""

    i: int
    w: int
    job: str
    since: int


class _Due(msgspec.Struct, gc=False):
    """A scheduled trigger stands for the instant `at`."""

    i: int
    at: int


class _Event(msgspec.Struct, gc=False):
    """A row to be; its version is `v`, or `r` after the stream's version if that is null."""

    i: int
    id: str
    s: str
    v: int | None
    r: int
    t: str
    n: int
    m: int
    f: int | None
    a: str
    j: str | None
    e: int | None
    d: int | None
    u: str | None
    c: str
    x: str
    b: str


class _Part(msgspec.Struct, gc=False):
    """Items that do not concern one another."""

    claims: list[_Claim]
    checks: list[_Check]
    quiets: list[_Quiet]
    dues: list[_Due]


class _Request(msgspec.Struct, gc=False):
    instance: str
    writer: int
    notify: bool
    parts: list[_Part]


class _Special(msgspec.Struct, gc=False):
    """The answer to an item that was not appended now."""

    i: int
    kind: str
    w: int | None = None
    n: int = 0
    first: int = 0
    last: int = 0
    leader: str | None = None


class _Reply(msgspec.Struct, gc=False):
    before: int
    at: int
    clock: int
    special: list[_Special]


_MICROSECOND = timedelta(microseconds=1)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Reply).decode


def request(batch: Sequence[Prepared], instance: InstanceId) -> tuple[str, str]:
    """Return a batch as the function in the database reads it: what it asks for, and the events apart."""
    notify = any(wakes(prepared.item) for prepared in batch)
    parts = [_part(some) for some in independent(batch)]
    asked = _Request(instance, WRITER, notify, [part for part, _ in parts])
    return _encode(asked).decode(), _encode([events for _, events in parts]).decode()


def answers(batch: Sequence[Prepared], reply: str) -> list[Answer]:
    """Return the answer to each item of a batch."""
    told = _decode(reply)
    special = {each.i: each for each in told.special}
    at, position = from_micros(told.at), told.before
    given: list[Answer] = []
    for i, prepared in enumerate(batch):
        if i in special:
            given.append(_answer(special[i], prepared.item, told.clock))
            continue
        count = sum(len(sealed) for sealed in prepared.sealed)
        first, position = position + 1, position + count
        given.append(Appended(Position(first if count else 0), Position(position if count else 0), at))
    return given


def independent(batch: Sequence[Prepared]) -> list[list[tuple[int, Prepared]]]:
    """Cut a batch, in order, into parts in which no item concerns a later one.

    An item concerns a later one if it adds to a stream that the later one names or to a job whose quiet the
    later one asks for; a takeover concerns every other item.
    """
    parts: list[list[tuple[int, Prepared]]] = []
    streams: set[str] = set()
    jobs: set[str] = set()
    alone = True
    for i, prepared in enumerate(batch):
        item = prepared.item
        if alone or item.takeover is not None or _concerned(item, streams, jobs):
            parts.append([])
            streams, jobs = set(), set()
        parts[-1].append((i, prepared))
        alone = item.takeover is not None
        for write in item.writes:
            if write.events:
                streams.add(write.stream)
                jobs.update(event.job for event in write.events if event.job is not None)
    return parts


def _concerned(item: Item, streams: set[str], jobs: set[str]) -> bool:
    return any(
        write.stream in streams or (write.quiet_since is not None and write.quiet_since.job in jobs)
        for write in item.writes
    )


def _part(items: list[tuple[int, Prepared]]) -> tuple[_Part, list[_Event]]:
    part = _Part([], [], [], [])
    events: list[_Event] = []
    for i, prepared in items:
        item = prepared.item
        if item.fence is not None or item.takeover is not None:
            part.claims.append(_claim(i, item))
        part.dues.extend(_Due(i, to_micros(at)) for at in early_at(item))
        _writes(part, events, i, prepared)
    return part, events


def _claim(i: int, item: Item) -> _Claim:
    takeover = item.takeover
    if takeover is None:
        return _Claim(i, item.fence, None, None, None, None)
    lease = takeover.lease // _MICROSECOND
    return _Claim(i, item.fence, takeover.leader, lease, takeover.epoch, takeover.force)


def _writes(part: _Part, events: list[_Event], i: int, prepared: Prepared) -> None:
    ahead: dict[Stream, int] = {}
    fence = prepared.item.fence
    for w, (write, sealed) in enumerate(zip(prepared.item.writes, prepared.sealed, strict=True)):
        stream, expected, quiet = write.stream, write.expected, write.quiet_since
        r = ahead.get(stream, 0)
        if expected is not None:
            part.checks.append(_Check(i, w, stream, expected - r, r))
        if quiet is not None:
            part.quiets.append(_Quiet(i, w, quiet.job, quiet.since))
        for k, one in enumerate(sealed, 1):
            event, body = one.event, one.event.body
            events.append(
                _Event(
                    i, "\\x" + one.id.hex(), stream, None if expected is None else expected + k, r + k,
                    body.type, body.schema, body.must_understand, fence, actor_text(event.actor), event.job,
                    event.attempt, fire_micros(event), event.cause,
                    "\\x" + one.commitment.hex(), "\\x" + one.salt.hex(), one.body,
                )
            )  # fmt: skip
        ahead[stream] = r + len(sealed)


def _answer(special: _Special, item: Item, clock: int) -> Answer:
    match special.kind:
        case "same":
            return Same(Position(special.first), Position(special.last), from_micros(special.n))
        case "fenced":
            assert item.fence is not None
            return Fenced(item.fence, special.n)
        case "led":
            return Led(special.leader, from_micros(special.n))
        case "early":
            return Early(from_micros(special.n), from_micros(clock))
        case _:
            return _conflict(special, item)


def _conflict(special: _Special, item: Item) -> Conflict:
    assert special.w is not None
    write = item.writes[special.w]
    if special.kind == "noisy":
        assert write.quiet_since is not None
        return not_quiet(write.quiet_since.job, write.quiet_since.since, special.n)
    return Conflict(write.stream, write.expected, special.n)
