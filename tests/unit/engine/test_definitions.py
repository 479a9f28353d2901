"""Definitions as events: what a revision says about the jobs of the ledger."""

from __future__ import annotations

import msgspec

from cronledger.domain import events as e
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName
from cronledger.domain.job import JobState
from cronledger.engine.definitions import NAMES, Changes, applied, compared, events_for, named

ANN = e.Actor.operator("ann")


def job(name: str, **fields: object) -> JobDefinition:
    return msgspec.structs.replace(JobDefinition(name=JobName(name)), **fields)


def state(name: str, version: int = 1, **fields: object) -> JobState:
    known = JobState(name=JobName(name), version=version, definition=job(name))
    return msgspec.structs.replace(known, **fields)


def by_name(*definitions: JobDefinition) -> dict[JobName, JobDefinition]:
    return {each.name: each for each in definitions}


def test_each_job_is_registered_redefined_or_retired_once_and_guarded_by_its_version() -> None:
    jobs = {each.name: each for each in (state("same"), state("other", 4), state("gone", 7))}
    wanted = by_name(job("same"), job("other", schedule="0 0 3 * * *"), job("new"))
    asked = events_for(wanted, jobs, "r2", ANN)

    assert [
        ("job-other", 4, "job.redefined"),
        ("job-new", 0, "job.registered"),
        ("job-gone", 7, "job.retired"),
    ] == [(write.stream, write.expected, event.body.type) for write, event in asked]
    assert {ANN} == {event.actor for _, event in asked}


def test_a_retired_job_that_comes_back_is_registered_again() -> None:
    jobs = {JobName("tidy"): state("tidy", 3, retired=True)}
    asked = events_for(by_name(job("tidy")), jobs, "r2")

    assert [("job.registered", 3)] == [(event.body.type, write.expected) for write, event in asked]
    assert [] == events_for({}, jobs, "r2")


def test_what_was_said_is_named_in_the_event_of_the_configuration() -> None:
    asked = events_for(by_name(job("b"), job("a")), {JobName("c"): state("c")}, "r2")
    event = applied("r2", "r1", named(event for _, event in asked), ANN, reason="holidays")

    assert e.ConfigApplied(
        revision="r2", previous="r1", registered=("b", "a"), retired=("c",), reason="holidays"
    ) == event.body  # fmt: skip


def test_of_a_long_list_only_the_first_are_named() -> None:
    many = [job(f"j{number}") for number in range(NAMES + 1)]

    assert NAMES == len(compared([], many).registered)
    assert NAMES + 1 == len(
        named([event for _, event in events_for(by_name(*many), {}, "r")], most=None).registered
    )


def test_two_sets_of_definitions_are_compared_by_name() -> None:
    before, after = [job("a"), job("b"), job("c")], [job("b"), job("c", owner="ann"), job("d")]

    assert Changes(registered=("d",), redefined=("c",), retired=("a",)) == compared(before, after)
