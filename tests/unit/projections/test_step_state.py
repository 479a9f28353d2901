from __future__ import annotations

from datetime import timedelta

from cronledger.domain import events as e
from cronledger.domain.ids import JobName, Position, RunId, Stream
from cronledger.projections.step_history import PROJECTION
from cronledger.projections.step_state import NAME_LENGTH, StepOutcome, StepRow, evolve, kept_name
from tests.unit.projections.streams import HERE, START

RUN = RunId("tidy@20260101T010000Z")


def said(position: int, body: e.Body, *, attempt: int | None = 1, run_id: RunId | None = RUN) -> e.Recorded:
    return e.Recorded(
        position=Position(position),
        id="00",
        stream=Stream("run-" + RUN),
        version=position,
        type=body.type,
        schema=1,
        must_understand=False,
        recorded_at=START + timedelta(seconds=position),
        instance=HERE,
        term=None,
        actor=e.Actor.of_job("tidy"),
        job=JobName("tidy"),
        run_id=run_id,
        attempt=attempt,
        fire_at=None,
        cause=None,
        body=body,
    )


def given(*events: e.Recorded) -> StepRow | None:
    step = None
    for recorded in events:
        step = evolve(step, recorded)
    return step


def test_a_step_that_ended_keeps_what_it_reported() -> None:
    ended = e.StepSucceeded(name="load", duration_ms=5, items_processed=2, message="ok", result=[1])
    step = given(said(1, e.StepStarted(name="load")), said(2, ended))

    assert (
        StepRow(
            run_id=RUN,
            attempt=1,
            name="load",
            job=JobName("tidy"),
            position=Position(1),
            outcome=StepOutcome.SUCCEEDED,
            started_at=START + timedelta(seconds=1),
            ended_at=START + timedelta(seconds=2),
            duration_ms=5,
            items_processed=2,
            message="ok",
            result=[1],
        )
        == step
    )


def test_a_step_that_was_never_begun_is_skipped() -> None:
    step = given(said(1, e.StepSkipped(name="load")))

    assert step is not None
    assert (StepOutcome.SKIPPED, None) == (step.outcome, step.started_at)


def test_a_step_that_begins_again_forgets_its_end_and_keeps_its_place() -> None:
    failed = said(2, e.StepFailed(name="load", error="boom"))
    step = given(said(1, e.StepStarted(name="load")), failed, said(3, e.StepStarted(name="load")))

    assert step is not None
    assert (1, StepOutcome.RUNNING, None, None) == (step.position, step.outcome, step.error, step.ended_at)


def test_what_is_not_about_a_step_changes_nothing() -> None:
    begun = given(said(1, e.StepStarted(name="load")))

    assert begun == given(said(1, e.StepStarted(name="load")), said(2, e.RunSucceeded()))
    assert given(said(1, e.StepStarted(name="load"), run_id=None)) is None
    assert PROJECTION.key(said(1, e.RunSucceeded())) is None


def test_long_names_are_kept_short_and_apart() -> None:
    one, other = kept_name("x" * 5000 + "1"), kept_name("x" * 5000 + "2")

    assert NAME_LENGTH == len(one)
    assert one != other
    assert (RUN, 0, one) == PROJECTION.key(said(1, e.StepStarted(name="x" * 5000 + "1"), attempt=None))
