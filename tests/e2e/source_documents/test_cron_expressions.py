"""Every cron expression that the documents print, and what they say of the six fields."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cronledger.domain.definition import DayMatch
from cronledger.domain.schedule import describe, schedule_of
from cronledger.errors import ConfigError, InvalidCron
from tests.e2e.source_documents.project import example
from tests.e2e.source_documents.vectors import AFTER, BEYOND, INVALID, VECTORS, Vector


def next_three(expression: str, *, day_match: DayMatch = DayMatch.OR) -> tuple[str, ...]:
    schedule = schedule_of(expression, day_match=day_match)
    assert schedule is not None
    fire_times = schedule.fire_times(datetime.fromisoformat(AFTER), datetime(2100, 1, 1, tzinfo=UTC), 3)
    return tuple(f"{fire_at:%Y-%m-%dT%H:%M:%SZ}" for fire_at in fire_times)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector.documents}: {vector.expression}")
def test_an_expression_of_the_documents_fires_when_they_say(vector: Vector) -> None:
    assert vector.fire_times == next_three(vector.expression)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.words)
def test_an_expression_is_described_as_the_documents_describe_it(vector: Vector) -> None:
    assert vector.ours == describe(vector.expression)


@pytest.mark.parametrize("vector", BEYOND, ids=lambda vector: vector.expression)
def test_rarer_expressions_fire_when_brute_force_says(vector: Vector) -> None:
    assert vector.fire_times == next_three(vector.expression)


def test_two_restricted_day_fields_mean_either_unless_both_are_asked_for() -> None:
    friday_the_13th = "0 0 0 13 * 5"
    either = tuple(f"2026-02-{day}T00:00:00Z" for day in ("06", "13", "20"))
    both = tuple(f"2026-{month}-13T00:00:00Z" for month in ("02", "03", "11"))

    assert either == next_three(friday_the_13th)
    assert both == next_three(friday_the_13th, day_match=DayMatch.AND)


def test_an_empty_expression_is_no_schedule() -> None:
    assert schedule_of("") is None


@pytest.mark.parametrize("expression", INVALID)
def test_an_invalid_expression_is_refused(expression: str) -> None:
    with pytest.raises(InvalidCron):
        schedule_of(expression)


def test_the_command_line_answers_with_the_same_fire_times(tmp_path: Path) -> None:
    project = example(tmp_path / "project")
    vector = next(vector for vector in VECTORS if vector.expression == "0 */15 * * * *")
    answer = project.answer(f"cronledger cron next '{vector.expression}' --from {AFTER} -n 3")

    assert list(vector.fire_times) == answer["fire_times"]
    assert "UTC" == answer["timezone"]


def test_five_fields_in_the_configuration_are_refused_with_the_six_that_were_meant(tmp_path: Path) -> None:
    """Troubleshooting in 001: `0 * * * *` is invalid, use `0 0 * * * *` for hourly."""
    project = example(tmp_path / "project")
    schedule = 'schedule: "0 */15 * * * *" # Every 15 minutes\n'
    project.edit("services/scheduler/config.yaml", schedule, 'schedule: "0 * * * *"\n')
    done = project.call("cronledger config check")

    assert ConfigError.exit_code == done.returncode
    assert "services/scheduler/config.yaml:" in done.stderr
    assert "content_analytics_aggregation" in done.stderr
    assert "6 are needed" in done.stderr
    assert "0 0 * * * *" in done.stderr
