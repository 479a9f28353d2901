"""What becomes of requests that applications wrote in their own transactions."""

from __future__ import annotations

from typing import Any

import pytest

from cronledger.domain import events as e
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, RunId, keyed_run
from cronledger.domain.job import JobState
from cronledger.domain.overlap import Overlap
from cronledger.domain.requests import Requested, Sequenced, sequence

TIDY = JobName("tidy")
GOING = RunId("tidy!going")


def request(number: int, **more: Any) -> Requested:
    return Requested(id=f"{number:032x}", job=TIDY, actor="shop", **more)


def state(overlap: Overlap, *in_flight: RunId, **more: Any) -> JobState:
    definition = JobDefinition(name=TIDY, overlap=overlap)
    return JobState(name=TIDY, definition=definition, in_flight=in_flight, **more)


def kinds(decided: Sequenced) -> list[list[str]]:
    return [[event.body.type for event in events] for events in decided.runs]


RUNS, REFUSED = ["run.triggered"], ["run.triggered", "run.cancelled"]


@pytest.mark.parametrize(
    ("policy", "in_flight", "expected"),
    [
        (Overlap.SKIP, (), [RUNS, REFUSED, REFUSED]),
        (Overlap.SKIP, (GOING,), [REFUSED, REFUSED, REFUSED]),
        (Overlap.QUEUE, (), [RUNS, RUNS, REFUSED]),
        (Overlap.QUEUE, (GOING,), [RUNS, REFUSED, REFUSED]),
        (Overlap.REPLACE, (GOING,), [REFUSED, REFUSED, RUNS]),
        (Overlap.ALLOW, (GOING,), [RUNS, RUNS, RUNS]),
    ],
)
def test_the_overlap_policy_holds_as_for_manual_runs(
    policy: Overlap, in_flight: tuple[RunId, ...], expected: list[list[str]]
) -> None:
    decided = sequence(state(policy, *in_flight), [request(number) for number in range(3)])

    assert expected == kinds(decided)
    assert (in_flight if policy is Overlap.REPLACE else ()) == decided.replaced


@pytest.mark.parametrize(("in_flight", "way"), [((GOING,), GOING), ((), request(1).run_id)])
def test_a_refused_request_names_the_run_in_its_way(in_flight: tuple[RunId, ...], way: RunId) -> None:
    _, (_, ended) = sequence(state(Overlap.SKIP, *in_flight), [request(1), request(2)]).runs

    assert e.RunCancelled(reason="overlap", message=f"{way} is in the way") == ended.body
    assert (request(2).run_id, "inbox") == (ended.run_id, ended.actor.name)


def test_the_newest_request_is_in_the_way_of_those_that_it_replaces() -> None:
    (_, ended), _ = sequence(state(Overlap.REPLACE, GOING), [request(1), request(2)]).runs

    assert f"{request(2).run_id} is in the way" == ended.body.message  # type: ignore[attr-defined] # a RunCancelled


def test_a_run_carries_what_was_asked_for_and_on_whose_word() -> None:
    ((event,),) = sequence(state(Overlap.SKIP), [request(1, parameters={"order": 7}, reason="paid")]).runs

    assert e.RunTriggered(parameters={"order": 7}, reason="paid") == event.body
    assert (e.Actor.operator("shop"), e.Cause.MANUAL, TIDY, None) == (
        event.actor, event.cause, event.job, event.fire_at,
    )  # fmt: skip


def test_a_key_names_the_run_whichever_row_carries_it() -> None:
    assert keyed_run(TIDY, "shop", "7") == request(1, key="7").run_id == request(2, key="7").run_id
    assert request(1).run_id != request(2).run_id


@pytest.mark.parametrize("job", [None, JobState(name=TIDY), state(Overlap.SKIP, retired=True)])
def test_a_job_that_nobody_defines_ends_its_runs_at_once(job: JobState | None) -> None:
    ((triggered, failed),) = sequence(job, [request(1)]).runs

    assert ("run.triggered", "run.failed") == (triggered.body.type, failed.body.type)
    assert e.RunFailed(reason="unknown_job", error="unknown_job: no job is called 'tidy'") == failed.body


def test_parameters_that_cannot_be_read_end_that_run_alone() -> None:
    decided = sequence(state(Overlap.SKIP), [request(1, problem="no JSON"), request(2)])

    assert [["run.triggered", "run.failed"], RUNS] == kinds(decided)


@pytest.mark.parametrize(
    ("request_id", "job", "expected"),
    [("0" * 32, "tidy", True), ("x", "tidy", False), ("0" * 32, "Tidy up", False), ("", "", False)],
)
def test_a_run_can_be_named_after_a_proper_id_and_job_alone(
    request_id: str, job: str, expected: bool
) -> None:
    assert expected is Requested(id=request_id, job=JobName(job), actor="shop").can_be_named
