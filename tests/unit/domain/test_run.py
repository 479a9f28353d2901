"""The life of a run: given events, when asked, then events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import InstanceId, JobName, Position, Term, run_stream, scheduled_run
from cronledger.domain.retry import Retry, RetryOn
from cronledger.domain.run import Ended, Outcome, Phase, RunState

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TIDY = JobDefinition(name=JobName("tidy"))
REPEATABLE = JobDefinition(name=JobName("tidy"), idempotent=True, recovery_attempts=2)
HERE = InstanceId("here.1.0123456789ab")
RUN = scheduled_run(TIDY.name, NOON)
ENGINE = e.Actor.engine("test")
TRIGGERED = run.trigger(TIDY, RUN, e.Cause.SCHEDULE, ENGINE, fire_at=NOON)
STARTED = run.start_of(TRIGGERED)


def given(*events: e.Event) -> RunState:
    """Fold events as the ledger would record them, one second apart."""
    state: RunState | None = None
    for number, event in enumerate(events, start=1):
        state = run.evolve(state, recorded(event, number))
    assert state is not None
    return state


def recorded(event: e.Event, number: int) -> e.Recorded:
    return e.Recorded(
        position=Position(number), id=f"{number:032x}", stream=run_stream(RUN), version=number,
        type=event.body.type, schema=1, must_understand=False, recorded_at=NOON + timedelta(seconds=number),
        instance=HERE, term=Term(1), actor=event.actor, job=event.job, run_id=event.run_id,
        attempt=event.attempt, fire_at=event.fire_at, cause=event.cause, body=event.body,
    )  # fmt: skip


def said(body: e.Body, attempt: int = 1) -> e.Event:
    return msgspec.structs.replace(STARTED, body=body, attempt=attempt)


def test_a_waiting_run_starts_its_first_attempt() -> None:
    (started,) = run.start(given(TRIGGERED))

    assert 1 == started.attempt
    assert e.RunStarted() == started.body


def test_a_run_that_is_being_performed_cannot_be_claimed_again() -> None:
    assert [] == run.start(given(TRIGGERED, STARTED))


def test_an_idempotent_run_that_was_lost_starts_its_second_attempt() -> None:
    (started,) = run.start(given(TRIGGERED, STARTED, said(e.AttemptLost())))

    assert 2 == started.attempt


def test_a_success_ends_the_run_with_its_counts() -> None:
    ended = Ended(outcome=Outcome.SUCCEEDED, items_processed=3, items_failed=0, duration_ms=12)
    (event,) = run.finish(given(TRIGGERED, STARTED), ended, TIDY)
    state = given(TRIGGERED, STARTED, event)

    assert (Phase.ENDED, Outcome.SUCCEEDED, 3, 12) == (
        state.phase, state.outcome, state.items_processed, state.duration_ms,
    )  # fmt: skip


def test_a_failure_is_final_unless_the_job_asks_for_retries() -> None:
    ended = Ended(outcome=Outcome.FAILED, retry_on=RetryOn.ERROR, error="broken")
    (event,) = run.finish(given(TRIGGERED, STARTED), ended, TIDY)

    assert e.RunFailed(error="broken", duration_ms=0) == event.body


def test_a_failure_waits_for_its_next_attempt_and_the_last_one_ends_the_run() -> None:
    definition = msgspec.structs.replace(TIDY, retry=Retry(max_attempts=2, jitter=False, backoff_seconds=30))
    ended = Ended(outcome=Outcome.FAILED, retry_on=RetryOn.ERROR, error="broken", duration_ms=1000)
    (first,) = run.finish(given(TRIGGERED, STARTED), ended, definition)
    waiting = given(TRIGGERED, STARTED, first)
    (second,) = run.finish(given(TRIGGERED, STARTED, first, said(e.RunStarted(), 2)), ended, definition)

    assert "attempt.failed" == first.body.type
    assert (Phase.WAITING, NOON + timedelta(seconds=2 + 1 + 30)) == (waiting.phase, waiting.claim_from)
    assert "run.failed" == second.body.type


@pytest.mark.parametrize(
    ("outcome", "kind"), [(Outcome.FAILED, RetryOn.FAILURE), (Outcome.TIMED_OUT, RetryOn.TIMEOUT)]
)
def test_only_what_the_policy_names_is_tried_again(outcome: Outcome, kind: RetryOn) -> None:
    definition = msgspec.structs.replace(TIDY, retry=Retry(max_attempts=5, on=(RetryOn.ERROR,)))
    (event,) = run.finish(given(TRIGGERED, STARTED), Ended(outcome=outcome, retry_on=kind), definition)

    assert f"run.{outcome.value}" == event.body.type


def test_a_lost_run_ends_unless_the_job_may_be_repeated() -> None:
    (lost,) = run.lose(given(TRIGGERED, STARTED), TIDY, ENGINE, now=NOON)
    (again,) = run.lose(given(TRIGGERED, STARTED), REPEATABLE, ENGINE, now=NOON)

    silent = f"instance {HERE} fell silent during attempt 1"
    assert e.RunLost(error=silent) == lost.body
    assert e.AttemptLost(error=silent, claim_from=None) == again.body


def test_an_attempt_that_is_lost_once_more_waits_as_a_failed_one_does() -> None:
    retry = Retry(backoff_seconds=10, jitter=False)
    definition = msgspec.structs.replace(REPEATABLE, recovery_attempts=3, retry=retry)
    events = [TRIGGERED, said(e.RunStarted(), 1)]
    pauses = []
    for attempt in (2, 3, 4):
        (lost,) = run.lose(given(*events), definition, ENGINE, now=NOON)
        assert isinstance(lost.body, e.AttemptLost)
        pauses.append(lost.body.claim_from)
        events += [said(lost.body, attempt - 1), said(e.RunStarted(), attempt)]

    assert [None, NOON + timedelta(seconds=10), NOON + timedelta(seconds=20)] == pauses


def test_a_run_that_kills_its_instance_every_time_is_given_up() -> None:
    events = [TRIGGERED]
    for attempt in (1, 2):
        events += [said(e.RunStarted(), attempt), said(e.AttemptLost(), attempt)]
    (last,) = run.lose(given(*events, said(e.RunStarted(), 3)), REPEATABLE, ENGINE, now=NOON)

    assert "run.lost" == last.body.type


def test_a_drained_run_is_handed_back_or_cancelled() -> None:
    (cancelled,) = run.interrupt(given(TRIGGERED, STARTED), TIDY, ENGINE)
    (waits,) = run.interrupt(given(TRIGGERED, STARTED), REPEATABLE, ENGINE)

    assert e.RunCancelled(reason="drain") == cancelled.body
    assert e.AttemptInterrupted(reason="drain") == waits.body


def test_a_late_result_never_changes_the_outcome() -> None:
    lost = said(e.RunLost(error="silent"))
    state = given(TRIGGERED, STARTED, lost)
    (late,) = run.late(state, 1, Ended(outcome=Outcome.SUCCEEDED), ENGINE)
    after = given(TRIGGERED, STARTED, lost, late)

    assert (Outcome.LOST, "silent", 4) == (after.outcome, after.error, after.version)


def test_the_first_end_stands_even_if_a_second_is_folded() -> None:
    state = given(
        TRIGGERED, STARTED, said(e.RunSucceeded(message="first")), said(e.RunFailed(error="second"))
    )

    assert (Outcome.SUCCEEDED, "first", None) == (state.outcome, state.message, state.error)


def test_a_waiting_run_that_was_asked_to_stop_is_cancelled_with_the_reason() -> None:
    (request,) = run.request_cancel(given(TRIGGERED), ENGINE, "not today")
    (cancelled,) = run.cancel_waiting(given(TRIGGERED, request), ENGINE)

    assert e.RunCancelled(reason="not today") == cancelled.body
    assert [] == run.request_cancel(given(TRIGGERED, request), ENGINE, "again")


def test_a_cancelled_run_is_not_tried_again() -> None:
    definition = msgspec.structs.replace(TIDY, retry=Retry(max_attempts=5))
    state = given(TRIGGERED, STARTED, said(e.RunCancelRequested()))
    (event,) = run.finish(state, Ended(outcome=Outcome.FAILED, retry_on=RetryOn.ERROR), definition)

    assert "run.failed" == event.body.type


def test_a_run_that_nobody_can_claim_fails_after_its_time() -> None:
    state = given(TRIGGERED)
    deadline = state.triggered_at + timedelta(seconds=TIDY.claim_timeout_seconds)
    (failed,) = run.expire(state, TIDY, deadline, ENGINE)

    assert [] == run.expire(state, TIDY, deadline - timedelta(seconds=1), ENGINE)
    assert isinstance(failed.body, e.RunFailed)
    assert "unprovided" == failed.body.reason


def test_jitter_delays_the_claim_by_the_same_time_everywhere() -> None:
    definition = msgspec.structs.replace(TIDY, jitter_seconds=60)
    first = run.trigger(definition, RUN, e.Cause.SCHEDULE, ENGINE, fire_at=NOON)
    second = run.trigger(definition, RUN, e.Cause.SCHEDULE, ENGINE, fire_at=NOON)

    assert first == second
    assert isinstance(first.body, e.RunTriggered)
    assert first.body.claim_from is not None
    assert NOON <= first.body.claim_from < NOON + timedelta(seconds=60)


def test_an_erased_body_still_folds() -> None:
    state = given(TRIGGERED, STARTED, said(e.RunFailed()))

    assert Outcome.FAILED == state.outcome
