"""Which fire times of the past get a run after all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from cronledger.domain import events as e
from cronledger.domain.backfill import Facts, Only, Proposal, propose
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, Position, RunId, backfill_run, scheduled_run
from cronledger.domain.job import JobState
from cronledger.domain.run import Outcome, Phase, RunState
from cronledger.domain.windows import Window
from tests.unit.domain.history import NOON

TIDY = JobName("tidy")
HOURLY = JobDefinition(name=TIDY, schedule="0 0 * * * *")
HOUR = timedelta(hours=1)
FIRST, SECOND = backfill_run(TIDY, NOON, 1), backfill_run(TIDY, NOON, 2)
SCHEDULED = scheduled_run(TIDY, NOON)
ACTIVE = JobState(name=TIDY, definition=HOURLY, planned_until=NOON)


def ran(
    outcome: Outcome | None, run_id: RunId = SCHEDULED, *, position: int = 1, fire_at: datetime = NOON
) -> RunState:
    return RunState(
        run_id=run_id,
        job=TIDY,
        cause=e.Cause.SCHEDULE if run_id == SCHEDULED else e.Cause.BACKFILL,
        position=Position(position),
        version=1,
        phase=Phase.ENDED if outcome else Phase.WAITING,
        outcome=outcome,
        triggered_at=fire_at,
        fire_at=fire_at,
    )


def asked(only: Only, *runs: RunState, **more: Any) -> tuple[Proposal, ...]:
    return propose([NOON], Facts(ACTIVE, runs, **more), only).runs


def test_a_fire_time_without_a_run_is_missed_and_the_reason_is_that_of_its_skip() -> None:
    skip = e.FireTimesSkipped(first_at=NOON - HOUR, last_at=NOON, count=2, reason="misfire")
    other = e.FireTimesSkipped(first_at=NOON + HOUR, last_at=NOON + HOUR, count=1, reason="overlap")

    assert (Proposal(FIRST, NOON, "never decided"),) == asked(Only.MISSED, skips=[other])
    assert (Proposal(FIRST, NOON, "skipped: misfire"),) == asked(Only.MISSED, skips=[other, skip])
    assert () == asked(Only.FAILED, skips=[skip])


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_run_that_ended_well_is_repeated_for_all_only(outcome: Outcome) -> None:
    is_good = outcome in (Outcome.SUCCEEDED, Outcome.PARTIAL)
    proposal = Proposal(FIRST, NOON, outcome.value, SCHEDULED)

    assert () == asked(Only.MISSED, ran(outcome))
    assert (() if is_good else (proposal,)) == asked(Only.FAILED, ran(outcome))
    assert (proposal,) == asked(Only.ALL, ran(outcome))


@pytest.mark.parametrize("only", list(Only))
def test_a_fire_time_with_an_unfinished_run_is_left_alone(only: Only) -> None:
    proposed = propose([NOON], Facts(ACTIVE, [ran(Outcome.FAILED), ran(None, FIRST)]), only)

    assert ((), 1, 0) == (proposed.runs, proposed.unfinished, proposed.to_be_planned)


@pytest.mark.parametrize("only", list(Only))
def test_a_backfill_that_went_well_is_never_repeated(only: Only) -> None:
    assert () == asked(only, ran(Outcome.FAILED), ran(Outcome.SUCCEEDED, FIRST, position=2))


def test_a_backfill_that_failed_is_followed_by_the_next_one() -> None:
    runs = [ran(Outcome.FAILED), ran(Outcome.LOST, FIRST, position=2)]

    assert (Proposal(SECOND, NOON, "lost", FIRST),) == asked(Only.FAILED, *runs)
    assert (Proposal(SECOND, NOON, "lost", FIRST),) == asked(Only.ALL, *runs)
    assert () == asked(Only.MISSED, *runs)


def test_a_run_without_a_fire_time_makes_up_for_nothing() -> None:
    by_hand = RunState(
        run_id=RunId("tidy!x"), job=TIDY, cause=e.Cause.MANUAL, position=Position(1), version=1,
        phase=Phase.ENDED, outcome=Outcome.SUCCEEDED, triggered_at=NOON,
    )  # fmt: skip

    assert (Proposal(FIRST, NOON, "never decided"),) == asked(Only.MISSED, by_hand)


WINDOW = Window(NOON - HOUR, NOON, HOURLY)


@pytest.mark.parametrize(
    ("state", "left"),
    [
        (JobState(name=TIDY), 0),
        (ACTIVE, 0),
        (JobState(name=TIDY, definition=HOURLY, planned_until=NOON - HOUR), 1),
        (JobState(name=TIDY, definition=HOURLY, planned_until=NOON - HOUR, paused=True), 1),
        (JobState(name=TIDY, definition=HOURLY, planned_until=NOON - HOUR, override=False), 0),
        (JobState(name=TIDY, definition=HOURLY, planned_until=NOON - HOUR, retired=True), 0),
        (JobState(name=TIDY, definition=HOURLY), 0),
        (JobState(name=TIDY, definition=HOURLY, planned_until=NOON, undecided=(WINDOW,)), 1),
    ],
    ids=["unknown", "decided", "due", "paused", "disabled", "retired", "not begun", "old definition"],
)
def test_what_the_planner_will_still_decide_is_left_to_it(state: JobState, left: int) -> None:
    proposed = propose([NOON], Facts(state), Only.MISSED)

    assert (left, 1 - left) == (proposed.to_be_planned, len(proposed.runs))


def test_a_second_run_for_a_decided_fire_time_does_not_wait_for_the_planner() -> None:
    """The clock was set back since: there is a run, so the planner has been there."""
    behind = JobState(name=TIDY, definition=HOURLY, planned_until=NOON - HOUR)

    assert 1 == len(propose([NOON], Facts(behind, [ran(Outcome.FAILED)]), Only.FAILED).runs)
