"""Which steps of a run need not be done again, as the runs before it tell."""

from __future__ import annotations

import pytest

from cronledger.domain import events as e
from cronledger.domain.ids import JobName, RunId, retry_run, scheduled_run
from cronledger.domain.steps import BLOCK, recall, repeated_by
from tests.unit.domain.history import NOON, history

TIDY = JobName("tidy")
FIRST = scheduled_run(TIDY, NOON)
SECOND = retry_run(FIRST, 1)


def stream(*bodies: e.Body, run_id: RunId = FIRST, cause: e.Cause = e.Cause.SCHEDULE) -> list[e.Recorded]:
    actor = e.Actor.of_job(TIDY)
    return history(
        *(e.Event(body=body, actor=actor, job=TIDY, run_id=run_id, cause=cause) for body in bodies)
    )


def done(*names: str) -> list[e.Body]:
    return [
        body
        for name in names
        for body in (e.StepStarted(name=name), e.StepSucceeded(name=name, result=name.upper()))
    ]


def finished(*streams: list[e.Recorded]) -> list[str]:
    return [name for name, done in recall(streams).items() if done]


EARLIER = stream(
    e.RunTriggered(), *done("mix", "knead"), e.StepStarted(name="heat"), e.StepFailed(name="heat")
)


@pytest.mark.parametrize(
    ("from_step", "taken"),
    [(None, ["mix", "knead"]), ("heat", ["mix", "knead"]), ("knead", ["mix"]), ("mix", [])],
)
def test_a_retry_takes_over_what_was_finished_before_the_step_it_begins_with(
    from_step: str | None, taken: list[str]
) -> None:
    retried = stream(e.RunTriggered(of=FIRST, from_step=from_step), run_id=SECOND, cause=e.Cause.RETRY)

    assert taken == finished(EARLIER, retried)


def test_what_a_retry_has_done_anew_stands_in_the_place_of_what_it_did_not_take_over() -> None:
    retried = stream(
        e.RunTriggered(of=FIRST, from_step="knead"),
        e.StepStarted(name="knead"),
        e.StepSucceeded(name="knead", result="again"),
    )

    known = recall([EARLIER, retried])

    assert {"mix": "MIX", "knead": "again"} == {name: done and done.result for name, done in known.items()}


def test_a_block_is_done_again_in_its_place() -> None:
    blocks = stream(e.StepStarted(name="mix"), e.StepSucceeded(name="mix", form=BLOCK), *done("knead"))

    assert ["mix", "knead"] == list(recall([blocks]))
    assert ["knead"] == finished(blocks)


def test_a_step_that_succeeded_once_is_finished_though_a_later_attempt_broke_off_in_it() -> None:
    again = stream(e.RunTriggered(), *done("mix"), e.RunStarted(), e.StepStarted(name="mix"))

    assert ["mix"] == finished(again)


def test_only_a_retry_takes_over_the_steps_of_another_run() -> None:
    retry = stream(e.RunTriggered(of=FIRST), run_id=SECOND, cause=e.Cause.RETRY)
    backfill = stream(e.RunTriggered(of=FIRST), run_id=SECOND, cause=e.Cause.BACKFILL)

    assert [FIRST, None, None, None] == [repeated_by(each) for each in (retry, backfill, EARLIER, [])]
