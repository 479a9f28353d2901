"""What an attempt says beside its events."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from cronledger.domain.events import Cause
from cronledger.domain.ids import Position
from cronledger.domain.run import Phase, RunState
from cronledger.engine.notes import MOST_LINES, AttemptNotes
from cronledger.jobs.steps import STEP
from tests.events import HERE, JOB, NOON, RUN
from tests.unit.engine.kept import NotingWorld

SECRET = "s3cret-canary"
LOGGER = f"cronledger.jobs.{JOB}"


def hide(value: Any) -> Any:
    return value.replace(SECRET, "***") if isinstance(value, str) else value


@pytest.fixture
def world() -> NotingWorld:
    return NotingWorld()


@pytest.fixture
def notes(world: NotingWorld) -> AttemptNotes:
    state = RunState(
        run_id=RUN, job=JOB, cause=Cause.SCHEDULE, position=Position(1), version=2, phase=Phase.RUNNING,
        triggered_at=NOON, attempt=2,
    )  # fmt: skip
    return AttemptNotes(world, state, hide)  # type: ignore[arg-type] # as much of a world as notes need


@pytest.fixture(autouse=True)
def level() -> Iterator[logging.Logger]:
    """Let the program log warnings only, as an application does that says nothing about its log."""
    logger = logging.getLogger(LOGGER)
    logger.setLevel(logging.WARNING)
    yield logger
    logger.setLevel(logging.NOTSET)


def test_a_line_says_when_who_and_what_it_is_about(world: NotingWorld, notes: AttemptNotes) -> None:
    STEP.set("count")
    notes.log().info("counted %s", 3)
    STEP.set(None)
    (line,) = world.notes.lines

    assert (NOON, "INFO", LOGGER, HERE) == (line.at, line.level, line.logger, line.instance)
    assert (JOB, RUN, "count", "counted 3") == (line.job, line.run_id, line.step, line.message)


def test_lines_from_info_on_are_kept_whatever_the_program_logs(
    world: NotingWorld, notes: AttemptNotes, level: logging.Logger
) -> None:
    notes.log().debug("too small")
    notes.log().info("heard")
    level.setLevel(logging.DEBUG)
    notes.log().debug("small, and wanted")
    notes.log().critical("loud")

    assert [("INFO", "heard"), ("DEBUG", "small, and wanted"), ("ERROR", "loud")] == [
        (line.level, line.message) for line in world.notes.lines
    ]


def test_secrets_are_stars_in_the_line_and_in_what_was_raised(
    world: NotingWorld, notes: AttemptNotes
) -> None:
    try:
        int(SECRET)
    except ValueError:
        notes.log().exception("no number in %s", SECRET)
    (message,) = world.notes.messages

    assert SECRET not in message
    assert message.startswith("no number in ***\nTraceback")
    assert message.endswith("ValueError: invalid literal for int() with base 10: '***'")


def test_after_so_many_lines_one_says_that_the_rest_is_not_kept(
    world: NotingWorld, notes: AttemptNotes
) -> None:
    for number in range(MOST_LINES + 50):
        notes.log().info("%s", number)

    assert MOST_LINES + 1 == len(world.notes.lines)
    assert [f"{MOST_LINES - 1}", f"more than {MOST_LINES} lines: the rest is not kept"] == (
        world.notes.messages[-2:]
    )
    assert "WARN" == world.notes.lines[-1].level


def test_a_long_message_is_cut_before_it_waits(world: NotingWorld, notes: AttemptNotes) -> None:
    notes.log().info("%s\0\ud800", "x" * 1_000_000)

    assert len(world.notes.messages[0].encode()) <= 4096


def test_progress_is_the_run_its_attempt_and_the_numbers(world: NotingWorld, notes: AttemptNotes) -> None:
    notes.progress(3, 4, f"with {SECRET}")
    notes.progress(5, None, 7)
    first, second = world.notes.reports

    assert (RUN, 2, 3.0, 4.0, "with ***", NOON) == (
        first.run_id, first.attempt, first.done, first.total, first.message, first.at,
    )  # fmt: skip
    assert (5.0, None, "7") == (second.done, second.total, second.message)


def test_numbers_that_cannot_be_true_are_left_out_with_one_warning(
    world: NotingWorld, notes: AttemptNotes
) -> None:
    for done, total in ((-1, None), (5, 3), ("many", 3), (1, float("nan")), (None, None)):
        notes.progress(done, total, None)

    assert [] == world.notes.reports
    (line,) = world.notes.lines
    assert "WARN" == line.level
    assert line.message.startswith("progress(-1, None) is left out: ")


def test_an_attempt_that_has_ended_reports_no_more(world: NotingWorld, notes: AttemptNotes) -> None:
    """Code that was left behind goes on, and its run may have a later attempt."""
    notes.end()
    notes.progress(1, 2, None)

    assert [(RUN, 2)] == world.notes.ended
    assert [] == world.notes.reports
