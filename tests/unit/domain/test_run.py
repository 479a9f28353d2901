"""The life of a run: given events, when asked, then events."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import reduce
from typing import Any

import msgspec
import pytest

from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import InstanceId, JobName, Position, RunId, scheduled_run
from cronledger.domain.retry import Retry, RetryOn, pause
from cronledger.domain.run import Ended, Outcome, Phase, RunState
from tests.unit.domain.history import BEFORE, HERE, NOON, history, recorded

TIDY = JobDefinition(name=JobName("tidy"))
REPEATABLE = JobDefinition(name=JobName("tidy"), idempotent=True, recovery_attempts=2)
THERE = InstanceId("there.2.ba9876543210")
RUN = scheduled_run(TIDY.name, NOON)
ENGINE = e.Actor.engine("test")
ANN = e.Actor.operator("ann")
THE_JOB = e.Actor.of_job("tidy")


def given(*events: e.Event) -> RunState:
    """Fold events as the ledger would record them, one second apart."""
    state = reduce(run.evolve, history(*events), None)
    assert state is not None
    return state


def said(body: e.Body, attempt: int | None = 1, *, by: e.Actor = ENGINE) -> e.Event:
    return e.Event(
        body=body,
        actor=by,
        job=TIDY.name,
        run_id=RUN,
        attempt=attempt,
        fire_at=NOON,
        cause=e.Cause.SCHEDULE,
    )


def seconds_after_noon(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


TRIGGERED = said(e.RunTriggered(), None)
STARTED = said(e.RunStarted(), by=e.Actor.engine("dispatcher"))


# --- verbs ----------------------------------------------------------------------------------------------


def test_a_run_is_intended_in_the_words_of_whoever_wants_it() -> None:
    wanted = run.trigger(
        TIDY, RUN, e.Cause.RETRY, ANN,
        fire_at=NOON, parameters={"days": 3}, of=RunId("tidy!1"), instance=THERE, reason="once more",
    )  # fmt: skip
    body = e.RunTriggered(parameters={"days": 3}, of=RunId("tidy!1"), instance=THERE, reason="once more")

    assert wanted == e.Event(
        body=body, actor=ANN, job=TIDY.name, run_id=RUN, fire_at=NOON, cause=e.Cause.RETRY
    )
    assert TRIGGERED == run.trigger(TIDY, RUN, e.Cause.SCHEDULE, ENGINE, fire_at=NOON)


def test_a_waiting_run_starts_its_first_attempt() -> None:
    assert [STARTED] == run.start(given(TRIGGERED))


def test_a_run_may_be_claimed_in_the_breath_that_triggers_it() -> None:
    assert STARTED == run.start_of(TRIGGERED)


def test_a_run_that_is_being_performed_cannot_be_claimed_again() -> None:
    assert [] == run.start(given(TRIGGERED, STARTED))


def test_an_idempotent_run_that_was_lost_starts_its_second_attempt() -> None:
    (started,) = run.start(given(TRIGGERED, STARTED, said(e.AttemptLost())))

    assert 2 == started.attempt


def test_the_end_of_a_run_says_what_came_of_it() -> None:
    ended = Ended(
        outcome=Outcome.PARTIAL, message="tidied", error="one left", items_processed=3, items_failed=1,
        duration_ms=12,
    )  # fmt: skip
    body = e.RunPartial(message="tidied", error="one left", items_processed=3, items_failed=1, duration_ms=12)

    assert [said(body, by=THE_JOB)] == run.finish(given(TRIGGERED, STARTED), ended, TIDY)


def test_a_failure_is_final_unless_the_job_asks_for_retries() -> None:
    ended = Ended(outcome=Outcome.FAILED, retry_on=RetryOn.ERROR, error="broken")
    (event,) = run.finish(given(TRIGGERED, STARTED), ended, TIDY)

    assert e.RunFailed(error="broken", duration_ms=0) == event.body


def test_a_failure_waits_for_its_next_attempt_and_the_last_one_ends_the_run() -> None:
    retry = Retry(max_attempts=2, backoff_seconds=30)
    definition = msgspec.structs.replace(TIDY, retry=retry)
    ended = Ended(
        outcome=Outcome.FAILED, retry_on=RetryOn.ERROR, error="broken", duration_ms=10**12, took_ms=1000
    )
    again_at = NOON + timedelta(seconds=2 + 1) + pause(retry, RUN, 1)  # whatever the job says that it took
    failed = e.AttemptFailed(error="broken", duration_ms=10**12, claim_from=again_at)
    (first,) = run.finish(given(TRIGGERED, STARTED), ended, definition)
    (second,) = run.finish(given(TRIGGERED, STARTED, first, said(e.RunStarted(), 2)), ended, definition)

    assert said(failed, by=THE_JOB) == first
    assert said(e.RunFailed(error="broken", duration_ms=10**12), 2, by=THE_JOB) == second


@pytest.mark.parametrize(
    ("outcome", "kind"), [(Outcome.FAILED, RetryOn.FAILURE), (Outcome.TIMED_OUT, RetryOn.TIMEOUT)]
)
def test_only_what_the_policy_names_is_tried_again(outcome: Outcome, kind: RetryOn) -> None:
    definition = msgspec.structs.replace(TIDY, retry=Retry(max_attempts=5, on=(RetryOn.ERROR,)))
    (event,) = run.finish(given(TRIGGERED, STARTED), Ended(outcome=outcome, retry_on=kind), definition)

    assert f"run.{outcome.value}" == event.body.type


def test_a_lost_run_ends_unless_the_job_may_be_repeated() -> None:
    state = given(TRIGGERED, STARTED)
    silent = f"instance {HERE} fell silent during attempt 1"

    assert [said(e.RunLost(error=silent))] == run.lose(state, TIDY, ENGINE, now=NOON)
    assert [said(e.AttemptLost(error=silent))] == run.lose(state, REPEATABLE, ENGINE, now=NOON)


def test_an_attempt_that_is_lost_once_more_waits_as_a_failed_one_does() -> None:
    retry = Retry(backoff_seconds=10)
    definition = msgspec.structs.replace(REPEATABLE, recovery_attempts=3, retry=retry)
    events = [TRIGGERED, said(e.RunStarted(), 1)]
    pauses = []
    for attempt in (2, 3, 4):
        (lost,) = run.lose(given(*events), definition, ENGINE, now=NOON)
        assert isinstance(lost.body, e.AttemptLost)
        pauses.append(lost.body.claim_from)
        events += [said(lost.body, attempt - 1), said(e.RunStarted(), attempt)]

    assert [None, NOON + pause(retry, RUN, 1), NOON + pause(retry, RUN, 2)] == pauses


def test_a_run_that_kills_its_instance_every_time_is_given_up() -> None:
    events = [TRIGGERED]
    for attempt in (1, 2):
        events += [said(e.RunStarted(), attempt), said(e.AttemptLost(), attempt)]
    (last,) = run.lose(given(*events, said(e.RunStarted(), 3)), REPEATABLE, ENGINE, now=NOON)

    assert "run.lost" == last.body.type


def test_a_drained_run_is_handed_back_or_cancelled() -> None:
    state = given(TRIGGERED, STARTED)

    assert [said(e.RunCancelled(reason="drain"))] == run.interrupt(state, TIDY, ENGINE)
    assert [said(e.AttemptInterrupted(reason="drain"))] == run.interrupt(state, REPEATABLE, ENGINE)


def test_a_run_that_one_instance_alone_may_perform_ends_with_it() -> None:
    state = msgspec.structs.replace(given(TRIGGERED, STARTED), bound_to=HERE)

    assert ["run.lost"] == [each.body.type for each in run.lose(state, REPEATABLE, ENGINE, now=NOON)]
    assert [said(e.RunCancelled(reason="drain"))] == run.interrupt(state, REPEATABLE, ENGINE)


def test_a_late_result_is_told_in_full_and_never_changes_the_outcome() -> None:
    lost = said(e.RunLost(error="silent"))
    state = given(TRIGGERED, STARTED, lost, said(e.RunStarted(), 2))
    reported = {"message": "done", "error": "", "items_processed": 3, "items_failed": 1, "duration_ms": 12}
    (late,) = run.late(state, 1, Ended(outcome=Outcome.SUCCEEDED, **reported), ENGINE)
    after = run.evolve(state, recorded(late, version=5))

    assert said(e.RunLateResult(outcome="succeeded", **reported)) == late
    assert msgspec.structs.replace(state, version=5) == after


def test_the_first_end_stands_even_if_a_second_is_folded() -> None:
    first = said(e.RunSucceeded(message="first"))
    once = given(TRIGGERED, STARTED, first)
    twice = given(TRIGGERED, STARTED, first, said(e.RunFailed(error="second")))

    assert msgspec.structs.replace(once, version=4) == twice


def test_a_waiting_run_that_was_asked_to_stop_is_cancelled_with_the_reason() -> None:
    request = said(e.RunCancelRequested(reason="not today"), None, by=ANN)
    asked = given(TRIGGERED, request)

    assert [request] == run.request_cancel(given(TRIGGERED), ANN, "not today")
    assert [] == run.request_cancel(asked, ANN, "again")
    assert [said(e.RunCancelled(reason="not today"), None)] == run.cancel_waiting(asked, ENGINE)


def test_only_a_run_that_waits_and_was_asked_to_stop_is_cancelled_by_the_leader() -> None:
    asked_while_running = given(TRIGGERED, STARTED, said(e.RunCancelRequested()))

    assert [] == run.cancel_waiting(given(TRIGGERED), ENGINE)
    assert [] == run.cancel_waiting(asked_while_running, ENGINE)


def test_a_cancelled_run_is_not_tried_again() -> None:
    definition = msgspec.structs.replace(TIDY, retry=Retry(max_attempts=5))
    state = given(TRIGGERED, STARTED, said(e.RunCancelRequested()))
    (event,) = run.finish(state, Ended(outcome=Outcome.FAILED, retry_on=RetryOn.ERROR), definition)

    assert "run.failed" == event.body.type


@pytest.mark.parametrize(
    ("definition", "seconds"),
    [(JobDefinition(name=TIDY.name, claim_timeout_seconds=60), 60), (None, 3600)],
    ids=["after what its job allows", "after an hour if nobody knows its job"],
)
def test_a_run_that_nobody_can_claim_fails_after_its_time(
    definition: JobDefinition | None, seconds: int
) -> None:
    state = given(TRIGGERED)
    deadline = state.triggered_at + timedelta(seconds=seconds)
    (failed,) = run.expire(state, definition, deadline, ENGINE)

    assert [] == run.expire(state, definition, deadline - timedelta(seconds=1), ENGINE)
    assert isinstance(failed.body, e.RunFailed)
    assert failed.body.error is not None
    assert f"{seconds} s" in failed.body.error
    assert said(e.RunFailed(error=failed.body.error, reason="unprovided"), None) == failed


def test_a_run_that_stood_in_line_has_its_time_from_when_the_line_was_empty() -> None:
    state = given(TRIGGERED)
    free_since = state.triggered_at + timedelta(hours=5)
    deadline = free_since + timedelta(hours=1)

    assert [] == run.expire(state, None, deadline - timedelta(seconds=1), ENGINE, free_since=free_since)
    assert 1 == len(run.expire(state, None, deadline, ENGINE, free_since=free_since))


def test_only_a_run_that_nobody_else_may_perform_is_withdrawn() -> None:
    bound = given(msgspec.structs.replace(TRIGGERED, body=e.RunTriggered(instance=HERE)))
    (event,) = run.withdraw(bound, ENGINE)

    assert e.RunCancelled(reason="drain") == event.body
    assert [] == run.withdraw(given(TRIGGERED), ENGINE)
    assert [] == run.withdraw(msgspec.structs.replace(bound, phase=run.Phase.RUNNING), ENGINE)


def test_jitter_delays_the_claim_by_the_same_time_everywhere() -> None:
    definition = msgspec.structs.replace(TIDY, jitter_seconds=60)
    first = run.trigger(definition, RUN, e.Cause.SCHEDULE, ENGINE, fire_at=NOON)
    second = run.trigger(definition, RUN, e.Cause.SCHEDULE, ENGINE, fire_at=NOON)

    assert first == second
    assert isinstance(first.body, e.RunTriggered)
    assert first.body.claim_from is not None
    assert NOON <= first.body.claim_from < NOON + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("jitter_seconds", "cause"), [(0, e.Cause.SCHEDULE), (60, e.Cause.MANUAL), (60, e.Cause.STARTUP)]
)
def test_only_the_schedule_is_jittered_and_only_if_the_job_asks_for_it(
    jitter_seconds: int, cause: e.Cause
) -> None:
    definition = msgspec.structs.replace(TIDY, jitter_seconds=jitter_seconds)
    wanted = run.trigger(definition, RUN, cause, ENGINE, fire_at=NOON, now=NOON)

    assert e.RunTriggered() == wanted.body


# --- fold -----------------------------------------------------------------------------------------------


def test_a_run_begins_with_all_that_its_trigger_says() -> None:
    body = e.RunTriggered(
        parameters={"days": 3}, of=RunId("tidy!1"), parent=RunId("sweep!2"), instance=THERE,
        claim_from=seconds_after_noon(30), reason="once more",
    )  # fmt: skip
    wanted = e.Event(body=body, actor=ANN, job=TIDY.name, run_id=RUN, fire_at=NOON, cause=e.Cause.RETRY)

    assert given(wanted) == RunState(
        run_id=RUN, job=TIDY.name, cause=e.Cause.RETRY, position=Position(BEFORE + 1), version=1,
        phase=Phase.WAITING, triggered_at=seconds_after_noon(1), fire_at=NOON,
        claim_from=seconds_after_noon(30), bound_to=THERE, actor="operator:ann", reason="once more",
        of=RunId("tidy!1"), parent=RunId("sweep!2"), parameters={"days": 3},
    )  # fmt: skip


def test_a_trigger_that_gives_no_cause_was_somebodys_wish() -> None:
    assert e.Cause.MANUAL is given(msgspec.structs.replace(TRIGGERED, cause=None)).cause


@pytest.mark.parametrize("lacks", ["job", "run_id"])
def test_a_trigger_that_names_no_job_or_no_run_begins_nothing(lacks: str) -> None:
    nameless = msgspec.structs.replace(TRIGGERED, **{lacks: None})

    assert None is run.evolve(None, recorded(nameless))


IN_FULL: dict[str, Any] = {
    "message": "done", "error": "one left", "items_processed": 3, "items_failed": 1, "duration_ms": 12,
}  # fmt: skip
ERASED = dict.fromkeys(IN_FULL)


@pytest.mark.parametrize(
    ("event", "changed"),
    [
        (said(e.RunStarted(), 5), {"attempt": 5, "started_at": ..., "instance": HERE, "claim_from": None}),
        (said(e.RunStarted(), None), {"attempt": 3, "started_at": ..., "instance": HERE, "claim_from": None}),
        (
            said(e.AttemptFailed(error="broken", claim_from=seconds_after_noon(99))),
            {
                "phase": Phase.WAITING,
                "failures": 2,
                "claim_from": seconds_after_noon(99),
                "error": "broken",
            },
        ),
        (said(e.AttemptLost()), {"phase": Phase.WAITING, "losses": 5, "claim_from": None}),
        (said(e.AttemptInterrupted(reason="drain")), {"phase": Phase.WAITING, "claim_from": None}),
        (said(e.RunCancelRequested(reason="noise")), {"cancel_requested": True, "reason": "noise"}),
        (said(e.StepStarted(name="build")), {}),
        (said(e.RunLateResult(**IN_FULL)), {}),
        (
            said(e.RunPartial(**IN_FULL)),
            {"phase": Phase.ENDED, "outcome": Outcome.PARTIAL, "ended_at": ..., **IN_FULL},
        ),
        (
            said(e.RunFailed(reason="unprovided")),
            {
                "phase": Phase.ENDED, "outcome": Outcome.FAILED, "ended_at": ..., "reason": "unprovided",
                **ERASED,
            },
        ),
        (
            said(e.RunTimedOut()),
            {"phase": Phase.ENDED, "outcome": Outcome.TIMED_OUT, "ended_at": ..., **ERASED},
        ),
    ],
    ids=lambda value: value.body.type if isinstance(value, e.Event) else "",
)  # fmt: skip
def test_each_event_changes_what_it_is_about_and_nothing_else(
    event: e.Event, changed: dict[str, Any]
) -> None:
    at = seconds_after_noon(70)
    before = RunState(
        run_id=RUN, job=TIDY.name, cause=e.Cause.SCHEDULE, position=Position(7), version=9,
        phase=Phase.RUNNING, triggered_at=NOON, fire_at=NOON, started_at=seconds_after_noon(60), attempt=2,
        instance=THERE, failures=1, losses=4, claim_from=seconds_after_noon(50), bound_to=THERE,
        actor="operator:ann", reason="as every day", parameters={"days": 3}, error="the first attempt's",
    )  # fmt: skip
    told = {field: at if value is ... else value for field, value in changed.items()}
    after = run.evolve(before, recorded(event, version=10, at=at))

    assert msgspec.structs.replace(before, version=10, **told) == after
