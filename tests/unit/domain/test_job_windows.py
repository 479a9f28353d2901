"""Fire times that a change has left to the definition before it, when the ledger's clock was set back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from cronledger.domain import events as e
from cronledger.domain import job
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import InstanceId, JobName, Position, job_stream
from cronledger.domain.job import JobState
from cronledger.domain.overlap import Overlap
from cronledger.domain.windows import Window

NAME = JobName("tidy")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVERY_SECOND = JobDefinition(name=NAME, schedule="* * * * * *", overlap=Overlap.ALLOW)
LEFT = JobState(
    name=NAME,
    definition=EVERY_SECOND,
    override=False,
    planned_until=NOON + timedelta(seconds=10),
    undecided=(Window(NOON, NOON + timedelta(seconds=10), EVERY_SECOND),),
)


def test_a_fire_time_that_has_not_come_is_not_decided_with_those_that_have() -> None:
    """It was, and the ledger called the whole item early until the last of them had come."""
    decision = job.due(LEFT, NOON + timedelta(seconds=3.5))

    assert [] == [event for event in decision.triggers if event.fire_at > NOON + timedelta(seconds=3.5)]
    assert NOON + timedelta(seconds=3) == decision.triggers[-1].fire_at


def test_the_rest_of_a_window_is_still_to_come() -> None:
    assert NOON + timedelta(seconds=4) == job.next_fire_after(LEFT, NOON + timedelta(seconds=3.5))


def test_nothing_is_left_of_a_window_that_was_decided() -> None:
    assert None is job.next_fire_after(LEFT, NOON + timedelta(seconds=10))


def test_a_change_never_reopens_what_was_decided() -> None:
    """A skip can stand after its record if the clock was set back in between; enabling the job then asked
    for the same fire times again."""
    decided = NOON + timedelta(seconds=10)
    state = msgspec.structs.replace(LEFT, planned_until=decided, undecided=())
    enabled = e.Recorded(
        position=Position(9), id="00" * 16, stream=job_stream(NAME), version=2, type="job.enabled", schema=1,
        must_understand=False, recorded_at=NOON, instance=InstanceId("cli.1.aa"), term=None,
        actor=e.Actor.operator("somebody"), job=NAME, run_id=None, attempt=None, fire_at=None, cause=None,
        body=e.JobEnabled(),
    )  # fmt: skip
    after = job.evolve(state, enabled)

    assert after is not None
    assert decided == after.planned_until
