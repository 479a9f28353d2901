"""Events and items for the tests of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from cronledger.domain.events import (
    Actor,
    Cause,
    Event,
    JobPaused,
    LeaderElected,
    RunStarted,
    RunSucceeded,
    RunTriggered,
    StepStarted,
)
from cronledger.domain.ids import (
    LEADER,
    InstanceId,
    JobName,
    Position,
    RunId,
    Stream,
    Term,
    run_stream,
    scheduled_run,
)
from cronledger.ledger.api import START, Answer, Item, Ledger, Prepared, Quiet, Takeover, Write

JOB = JobName("tidy")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUN = scheduled_run(JOB, NOON)
HERE = InstanceId("here.1.aaaaaaaaaaaa")
THERE = InstanceId("there.2.bbbbbbbbbbbb")
PLANNER = Actor.engine("planner")


def triggered(fire_at: datetime = NOON, *, job: JobName = JOB, cause: Cause = Cause.SCHEDULE) -> Event:
    """Return the trigger of a fire time."""
    run_id = scheduled_run(job, fire_at)
    return Event(body=RunTriggered(), actor=PLANNER, job=job, run_id=run_id, fire_at=fire_at, cause=cause)


def started(run_id: RunId = RUN, *, attempt: int = 1) -> Event:
    """Return the claim of a run."""
    return Event(body=RunStarted(), actor=Actor.engine("dispatcher"), job=JOB, run_id=run_id, attempt=attempt)


def succeeded(run_id: RunId = RUN) -> Event:
    """Return the good end of a run."""
    return Event(
        body=RunSucceeded(message="done"), actor=Actor.of_job(JOB), job=JOB, run_id=run_id, attempt=1
    )


def step(name: str) -> Event:
    """Return the beginning of a step of a run."""
    return Event(body=StepStarted(name=name), actor=Actor.of_job(JOB), job=JOB, run_id=RUN, attempt=1)


def paused(job: JobName = JOB, *, reason: str | None = None) -> Event:
    """Return an operator's decision about a job."""
    return Event(body=JobPaused(reason=reason), actor=Actor.operator("ann"), job=job)


def plain(stream: str, number: int = 1, *, expected: int | None = START) -> Write:
    """Return a write of so many events that concern no job."""
    event = Event(body=StepStarted(name="x"), actor=PLANNER)
    return Write(Stream(stream), (event,) * number, expected)


def trigger(fire_at: datetime = NOON, *, job: JobName = JOB, since: int | None = None) -> Write:
    """Return the write that triggers a fire time, if the job has been quiet since a position."""
    quiet = None if since is None else Quiet(job, Position(since))
    event = triggered(fire_at, job=job)
    return Write(run_stream(scheduled_run(job, fire_at)), (event,), START, quiet)


def election(
    *,
    fence: int,
    expected: int,
    leader: InstanceId = HERE,
    lease: timedelta = timedelta(hours=1),
    force: bool = False,
) -> Item:
    """Return the item that begins a term."""
    event = Event(body=LeaderElected(epoch=fence + 1, why="test"), actor=Actor.engine("leader"))
    takeover = Takeover(leader, lease, fence + 1, force)
    return Item((Write(LEADER, (event,), expected),), Term(fence), takeover)


def submit(ledger: Ledger, *items: Item) -> list[Answer]:
    """Submit items as one batch."""
    return ledger.submit([ledger.prepare(item) for item in items])


def kinds(answers: Sequence[Answer]) -> list[str]:
    """Return what sort of answers these are."""
    return [type(answer).__name__ for answer in answers]


def positions(ledger: Ledger) -> list[int]:
    """Return the positions of all events."""
    return [each.position for each in ledger.read_all(Position(0), 1000)]


def moved(item: Prepared, stream: str) -> Prepared:
    """Return an item whose events claim to stand in another stream."""
    write = msgspec.structs.replace(item.item.writes[0], stream=Stream(stream))
    return Prepared(Item((write,)), item.sealed)
