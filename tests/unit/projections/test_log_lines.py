from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from cronledger.domain import events as e
from cronledger.domain.ids import JobName, RunId
from cronledger.domain.line import Line
from cronledger.errors import UsageError
from cronledger.ledger.database import Store
from cronledger.ledger.logs import Wanted, write_lines
from cronledger.projections import log_lines
from cronledger.projections.event_lines import line_of
from tests.unit.projections.streams import (
    ANN,
    HERE,
    JOBS,
    START,
    about,
    define,
    elect,
    everything,
    memory_store,
    perform,
    resign,
    say,
    trigger,
)

TIDY, SWEEP = JOBS


@pytest.fixture
def store() -> Iterator[Store]:
    with memory_store() as store:
        yield store


def newest(store: Store) -> tuple[str, str]:
    line = line_of(everything(store.ledger)[-1])
    return line.level, line.message


def messages(lines: list[Line]) -> list[str]:
    return [line.message for line in lines]


def view(store: Store, *, limit: int = 20, **wanted: Any) -> list[Line]:
    return log_lines.view(store, Wanted(**wanted), limit=limit)


def write(store: Store, *lines: Line) -> None:
    with store.writing() as connection:
        write_lines(connection, lines)


RUN_LINES = [
    (e.RunStarted(), "INFO", "started (attempt 1)"),
    (
        e.RunSucceeded(message="tidied", items_processed=3, items_failed=0, duration_ms=12),
        "INFO",
        "succeeded: tidied (3 processed, 0 failed, 12 ms)",
    ),
    (e.RunPartial(message="half"), "WARN", "partial: half"),
    (e.RunFailed(error="boom", message="sorry"), "ERROR", "failed: boom"),
    (e.RunTimedOut(duration_ms=5), "ERROR", "timed out (5 ms)"),
    (e.RunCancelled(reason="drain"), "WARN", "cancelled: drain"),
    (e.RunLost(error="silent"), "ERROR", "lost: silent"),
    (e.AttemptFailed(error="boom"), "ERROR", "attempt 1 failed: boom"),
    (e.AttemptLost(error="silent"), "ERROR", "attempt 1 lost: silent"),
    (e.AttemptInterrupted(reason="drain"), "WARN", "attempt 1 interrupted: drain"),
    (e.RunLateResult(outcome="succeeded"), "WARN", "a late result of attempt 1 changes nothing: succeeded"),
    (e.StepStarted(name="build"), "DEBUG", "step build started"),
    (e.StepSucceeded(name="build", duration_ms=7), "INFO", "step build succeeded (7 ms)"),
    (e.StepFailed(name="build", error="boom", duration_ms=7), "ERROR", "step build failed: boom (7 ms)"),
    (e.StepSkipped(name="build", reason="off", duration_ms=0), "INFO", "step build skipped: off (0 ms)"),
]


@pytest.mark.parametrize(("body", "level", "message"), RUN_LINES)
def test_what_happens_to_a_run_is_a_line(store: Store, body: e.Body, level: str, message: str) -> None:
    about(store.ledger, RunId("tidy@20260101T010000Z"), body)

    assert (level, message) == newest(store)


def test_a_trigger_says_why_and_when_it_was_due(store: Store) -> None:
    trigger(store.ledger)

    assert ("DEBUG", "triggered (schedule, due 2026-01-01T01:00:00Z)") == newest(store)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (e.JobDisabled(reason="noise"), "disabled by ann: noise"),
        (e.JobEnabled(), "enabled by ann"),
        (e.JobPaused(), "paused by ann"),
    ],
)
def test_a_decision_names_who_took_it(store: Store, body: e.Body, message: str) -> None:
    say(store.ledger, body, stream="job-tidy", job=TIDY, actor=ANN)

    assert ("INFO", message) == newest(store)


def test_skipped_fire_times_are_a_warning(store: Store) -> None:
    later = START + timedelta(hours=2)
    one = e.FireTimesSkipped(first_at=START, last_at=START, count=1, reason="overlap")
    many = e.FireTimesSkipped(first_at=START, last_at=later, count=3, reason="misfire")
    said = []
    for body in (one, many):
        say(store.ledger, body, stream="job-tidy", job=TIDY)
        said.append(newest(store))

    assert [
        ("WARN", "fire time 2026-01-01T00:00:00Z skipped: overlap"),
        ("WARN", "3 fire times from 2026-01-01T00:00:00Z to 2026-01-01T02:00:00Z skipped: misfire"),
    ] == said


def test_leaders_instances_and_configurations_come_and_go_as_information(store: Store) -> None:
    resign(store.ledger, elect(store.ledger))
    say(store.ledger, e.InstanceStarted(kind="service", host="box", build="1.0"), stream=f"instance-{HERE}")
    say(store.ledger, e.InstanceStopped(reason="drain"), stream=f"instance-{HERE}")
    say(store.ledger, e.ConfigApplied(revision="r2", registered=(TIDY,)), stream="config")
    lines = view(store, level="info")

    assert [
        f"{HERE} leads term 1 (epoch 1): vacant",
        f"{HERE} no longer leads: drain",
        f"service {HERE} started on box (build 1.0)",
        f"instance {HERE} stopped: drain",
        "configuration r2 applied (1 registered, 0 redefined, 0 retired)",
    ] == messages(lines)
    assert ["cronledger.leader"] * 2 + ["cronledger.instance"] * 2 + ["cronledger.config"] == [
        line.logger for line in lines
    ]


def test_an_unknown_event_is_shown_by_its_type(store: Store) -> None:
    class Dreamed(e.Body, frozen=True, kw_only=True):
        type = "job.dreamed"

    say(store.ledger, Dreamed(), stream="job-tidy", job=TIDY)

    assert ("DEBUG", "job.dreamed") == newest(store)


def test_only_errors_are_shown_where_only_errors_are_asked_for(store: Store) -> None:
    perform(store.ledger, 1, e.RunSucceeded())
    run_id = perform(store.ledger, 2, e.RunFailed(error="boom"))
    (line,) = view(store, level="error")

    assert {
        "at": f"{line.at:%Y-%m-%dT%H:%M:%S.%f}Z",
        "level": "ERROR",
        "logger": "cronledger.run",
        "job": "tidy",
        "run_id": run_id,
        "step": None,
        "instance": HERE,
        "message": "failed: boom",
    } == log_lines.document(line)


def test_written_lines_stand_among_the_events_by_their_time(store: Store) -> None:
    run_id = perform(store.ledger, 1, e.RunSucceeded())
    began = everything(store.ledger)[1].recorded_at
    own = Line(
        at=began + timedelta(milliseconds=1), level="INFO", logger="tidy", instance=HERE, message="sweeping"
    )
    write(store, own)

    assert ["started (attempt 1)", "sweeping", "succeeded"] == messages(view(store, level="info"))
    assert ["sweeping", "succeeded"] == messages(view(store, limit=2))
    assert [] == view(store, limit=0)
    assert [run_id, None, run_id] == [line.run_id for line in view(store, level="info")]


def test_a_job_and_a_run_can_be_picked_out(store: Store) -> None:
    first = perform(store.ledger, 1, e.RunSucceeded())
    perform(store.ledger, 2, e.RunSucceeded())
    other = perform(store.ledger, 1, e.RunSucceeded(), name=SWEEP)

    assert {first} == {line.run_id for line in view(store, run_id=first)}
    assert {other} == {line.run_id for line in view(store, job=SWEEP)}
    assert [] == view(store, job=JobName("nobody"))
    assert [] == view(store, run_id=RunId("tidy@nowhen"))


def test_since_is_included_and_until_is_not(store: Store) -> None:
    run_id = perform(store.ledger, 1, e.RunSucceeded())
    first, middle, last = (recorded.recorded_at for recorded in everything(store.ledger))
    for question in ({}, {"run_id": run_id}):
        assert ["started (attempt 1)"] == messages(view(store, since=middle, until=last, **question))
        assert 2 == len(view(store, since=middle, **question))
        assert [] == view(store, until=first, **question)


def test_many_pages_are_read_backwards_until_there_is_enough(store: Store) -> None:
    define(store.ledger, SWEEP)
    for hour in range(400):
        perform(store.ledger, hour, e.RunSucceeded(message=str(hour)))
    oldest = view(store, job=SWEEP)
    newest_three = view(store, level="info", limit=3)

    assert ["job.registered"] == messages(oldest)
    assert ["succeeded: 398", "started (attempt 1)", "succeeded: 399"] == messages(newest_three)
    assert 1201 == len(view(store, limit=5000))


def test_an_unknown_level_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="loud"):
        view(store, level="loud")
