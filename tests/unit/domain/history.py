"""What the ledger would record of one job and its runs, for the tests of the folds."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from cronledger.domain import events as e
from cronledger.domain.ids import LEADER, InstanceId, Position, Stream, Term, job_stream, run_stream

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HERE = InstanceId("here.1.0123456789ab")
TERM = Term(3)
BEFORE = 40
"""Events of other streams that stand in the ledger already."""


def history(*events: e.Event) -> list[e.Recorded]:
    """Record events, the first a second after noon, each a second after the one before it."""
    versions = Counter[Stream]()
    told = []
    for number, event in enumerate(events, start=1):
        stream = stream_of(event)
        versions[stream] += 1
        told.append(recorded(event, number, version=versions[stream]))
    return told


def recorded(event: e.Event, number: int = 1, *, version: int = 1, at: datetime | None = None) -> e.Recorded:
    """Record an event."""
    return e.Recorded(
        position=Position(BEFORE + number), id=f"{number:032x}", stream=stream_of(event), version=version,
        type=event.body.type, schema=event.body.schema, must_understand=event.body.must_understand,
        recorded_at=at or NOON + timedelta(seconds=number), instance=HERE, term=TERM, actor=event.actor,
        job=event.job, run_id=event.run_id, attempt=event.attempt, fire_at=event.fire_at, cause=event.cause,
        body=event.body,
    )  # fmt: skip


def stream_of(event: e.Event) -> Stream:
    """Return where an event is recorded."""
    if event.run_id is not None:
        return run_stream(event.run_id)
    return LEADER if event.job is None else job_stream(event.job)
