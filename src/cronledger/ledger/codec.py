"""Events as the tables and the export hold them, and back.

A body is canonical JSON text: sorted keys, no blanks, UTF-8. Its commitment is SHA-256 over a salt of 16
bytes and that text, so a body can be erased and the rest still verifies. Stored bytes never change: an old
shape is lifted at reading by an upcaster, and a tag that this version does not know becomes `Unrecognized`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec

from cronledger.domain.actor import ActorKind
from cronledger.domain.events import (
    BODIES,
    Actor,
    AttemptFailed,
    Body,
    Cause,
    Event,
    JobRedefined,
    JobRegistered,
    Recorded,
    RunEnded,
    RunLateResult,
    RunTriggered,
    StepFailed,
    StepSkipped,
    StepSucceeded,
    Unrecognized,
)
from cronledger.domain.ids import run_of
from cronledger.entropy import Entropy
from cronledger.errors import LedgerDamaged
from cronledger.ledger.api import Item, Prepared, Sealed, Stored
from cronledger.ledger.instants import from_micros, rfc3339, rfc3339_exact, to_micros
from cronledger.ledger.normal import MESSAGE_BYTES, bounded

Fields = dict[str, Any]
Upcaster = Callable[[Fields], tuple[str, int, Fields]]

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
"""For an old (type, schema): the function that lifts its fields to a newer one, named beside them."""

WAKING = frozenset(
    {
        "run.triggered", "run.cancel_requested", "leader.resigned",
        "job.registered", "job.redefined", "job.retired",
        "job.enabled", "job.disabled", "job.reset", "job.paused", "job.resumed",
        "run.succeeded", "run.partial", "run.failed", "run.timed_out", "run.cancelled", "run.lost",
    }
)  # fmt: skip
"""Types after which another instance may have something to do at once."""

encode: Callable[[Any], bytes] = msgspec.json.Encoder(order="sorted").encode
"""Write a value as canonical JSON."""

_DECODERS: dict[tuple[str, int], Callable[[str | bytes], Body]] = {
    (tag, body.schema): msgspec.json.Decoder(body).decode for tag, body in BODIES.items()
}
"""For each type and the shape that it has today: what reads it."""
_READERS = {body: _DECODERS[tag, body.schema] for tag, body in BODIES.items()}
_CAUSES = {None: None} | {str(cause): cause for cause in Cause}
_COUNT = 2**63
_STAMP_BYTES = 6


# --- writing --------------------------------------------------------------------------------------------


def prepared(item: Item, entropy: Entropy, now: datetime) -> Prepared:
    """Seal every event of an item, once per intention."""
    stamp = (to_micros(now) // 1000).to_bytes(_STAMP_BYTES)
    return Prepared(
        item, tuple(tuple([seal(event, entropy, stamp) for event in write.events]) for write in item.writes)
    )


def seal(event: Event, entropy: Entropy, stamp: bytes) -> Sealed:
    """Give an event its id, its salt and its commitment; what jobs supplied is bounded first.

    Raises LedgerDamaged for a body that nobody could read again: one such event would stop every reader.
    The id begins with the stamp, the milliseconds of the intention, and the rest is random: ids that grow
    with time stand side by side in their index, where random ones would change a page of it each.
    """
    encoded = _as_it_stands(event.body)
    if encoded is None:
        event = msgspec.structs.replace(event, body=bounded(event.body))
        encoded = encode(event.body)
    _require_readable(event.body, encoded)
    salt, event_id = entropy.token(), stamp + entropy.token()[_STAMP_BYTES:]
    return Sealed(event, event_id, salt, encoded.decode(), sha256(salt + encoded).digest())


def _as_it_stands(body: Body) -> bytes | None:
    """Return the encoded body, or None if something in it needs a closer look."""
    look = _SUPPLIED.get(type(body))
    if look is not None and look(body):
        return None
    try:
        encoded = encode(body)
    except (TypeError, ValueError, RecursionError):
        return None
    return None if len(encoded) > MESSAGE_BYTES or rb"\u0000" in encoded else encoded


def _require_readable(body: Body, encoded: bytes) -> None:
    read = _READERS.get(type(body))
    try:
        if read is not None:
            read(encoded)
    except msgspec.ValidationError as error:
        raise LedgerDamaged(f"nobody could read this {body.type} again: {error}") from None


def _triggered_with(body: Any) -> bool:
    return bool(body.parameters)


def _defined_with(body: Any) -> bool:
    return body.definition is not None and bool(body.definition.parameters)


def _counted_with(body: Any) -> bool:
    counts: tuple[int, ...] = (body.items_processed or 0, body.items_failed or 0, body.duration_ms or 0)
    return max(counts) >= _COUNT or min(counts) < -_COUNT


def _timed_with(body: Any) -> bool:
    duration: int = body.duration_ms or 0
    return abs(duration) >= _COUNT


def _resulted_with(body: Any) -> bool:
    return body.result is not None or _counted_with(body)


_SUPPLIED: dict[type[Body], Callable[[Any], bool]] = {
    RunTriggered: _triggered_with,
    JobRegistered: _defined_with,
    JobRedefined: _defined_with,
    StepSucceeded: _resulted_with,
    StepFailed: _counted_with,
    StepSkipped: _counted_with,
    RunLateResult: _counted_with,
    AttemptFailed: _timed_with,
} | dict.fromkeys(RunEnded.__args__, _counted_with)
"""Bodies that carry values of any kind, and whether this one does."""


@lru_cache(maxsize=4096)
def actor_text(actor: Actor) -> str:
    """Return an actor as the header keeps it."""
    name = actor.name if actor.name.isprintable() else ascii(actor.name)[1:-1]
    return f"{actor.kind}:{name}"


@lru_cache(maxsize=4096)
def actor_kept(actor: Actor) -> Actor:
    """Return an actor as he is read back."""
    return _actor(actor_text(actor))


def wakes(item: Item) -> bool:
    """Whether another instance may have something to do at once: not if the item claims what it triggers."""
    types = {event.body.type for write in item.writes for event in write.events}
    if "run.started" in types:
        types.discard("run.triggered")
    return not types.isdisjoint(WAKING)


# --- reading --------------------------------------------------------------------------------------------


def decode(
    type: str,  # noqa: A002 - the word of the contract
    schema: int,
    body: str | None,
    *,
    upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
) -> Body:
    """Return the body that a stored text stands for; an erased one (None) has no particulars.

    >>> decode("step.started", 1, '{"name":"build"}')
    StepStarted(name='build')
    >>> decode("step.dreamed", 1, '{"of":"sheep"}')
    Unrecognized(fields={'of': 'sheep'})
    """
    shape = BODIES.get(type)
    if shape is not None and schema == shape.schema:
        return shape() if body is None else _DECODERS[type, schema](body)
    fields = _fields(body)
    while (lift := upcasters.get((type, schema))) is not None:
        type, schema, fields = lift(fields)  # noqa: A001 - as above
    shape = BODIES.get(type)
    if shape is None or schema != shape.schema:
        return Unrecognized(fields=fields)
    return msgspec.convert(fields, shape)


_made: Callable[..., Recorded] = Recorded
"""Unchecked, and by position: a page is a thousand of them, read on the thread that everything else needs."""


def recorded(stored: Stored) -> Recorded:
    """Return an event as the rest of the package reads it; raises LedgerDamaged as `recorded_rows` does."""
    fields = msgspec.structs.astuple(stored)
    (event,) = recorded_rows([(*fields[:15], stored.body)])
    return event


def recorded_rows(rows: Iterable[Sequence[Any]]) -> list[Recorded]:
    """Return events of their columns: those of the table up to `cause`, and the body.

    Raises LedgerDamaged if a stored text or instant is not what its type says. All rows in one loop, and
    bodies of today's shapes without a call in between: that is a third of the time.
    """
    events: list[Recorded] = []
    position = 0
    try:
        for (
            position, identity, stream, version, tag, schema, must_understand, at, instance, term, actor, job,
            attempt, fire_at, cause, text,
        ) in rows:  # fmt: skip
            decoder = None if text is None else _DECODERS.get((tag, schema))
            event = _made(
                position,
                identity.hex(),
                stream,
                version,
                tag,
                schema,
                must_understand == 1,
                from_micros(at),
                instance,
                term,
                _actor(actor),
                job,
                run_of(stream),
                attempt,
                None if fire_at is None else from_micros(fire_at),
                _CAUSES[cause],
                decode(tag, schema, text) if decoder is None else decoder(text),
            )
            events.append(event)
    except (msgspec.MsgspecError, AttributeError, KeyError, TypeError, ValueError, LedgerDamaged) as error:
        raise LedgerDamaged(
            f"the event at position {position} cannot be read: {error}",
            hint="run `cronledger ledger verify`",
        ) from error
    return events


def _fields(body: str | None) -> Fields:
    fields = {} if body is None else msgspec.json.decode(body)
    return fields if isinstance(fields, dict) else {"value": fields}


@lru_cache(maxsize=4096)
def _actor(text: str) -> Actor:
    kind, _, name = text.partition(":")
    return Actor(ActorKind(kind), name)


# --- exporting ------------------------------------------------------------------------------------------


class _Speaker(msgspec.Struct, frozen=True):
    kind: str
    name: str
    reason: str | None


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the export; the order of these fields is the order of the line."""

    position: int
    id: str
    stream: str
    version: int
    type: str
    schema: int
    must_understand: bool
    recorded_at: str
    instance: str
    term: int | None
    actor: _Speaker
    job: str | None
    run_id: str | None
    attempt: int | None
    fire_at: str | None
    cause: str | None
    body: msgspec.Raw | None
    salt: str | None
    commitment: str


class _Reasoned(msgspec.Struct, frozen=True):
    reason: str | None = None


_line = msgspec.json.Encoder().encode
_reasoned = msgspec.json.Decoder(_Reasoned).decode


def exported(stored: Stored) -> bytes:
    """Return an event as one line of the export, without the line's end."""
    kind, _, name = stored.actor.partition(":")
    return _line(
        _Line(
            position=stored.position,
            id=stored.id.hex(),
            stream=stored.stream,
            version=stored.version,
            type=stored.type,
            schema=stored.schema,
            must_understand=stored.must_understand,
            recorded_at=rfc3339_exact(stored.recorded_at),
            instance=stored.instance,
            term=stored.term,
            actor=_Speaker(kind, name, _reason(kind, stored.body)),
            job=stored.job,
            run_id=run_of(stored.stream),
            attempt=stored.attempt,
            fire_at=None if stored.fire_at is None else rfc3339(stored.fire_at),
            cause=stored.cause,
            body=None if stored.body is None else msgspec.Raw(stored.body.encode()),
            salt=None if stored.salt is None else stored.salt.hex(),
            commitment=stored.commitment.hex(),
        )
    )


def _reason(kind: str, body: str | None) -> str | None:
    if kind != ActorKind.OPERATOR or body is None:
        return None
    try:
        return _reasoned(body).reason
    except msgspec.MsgspecError:
        return None
