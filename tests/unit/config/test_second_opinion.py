"""Where croniter would fire differently, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from cronledger.config.second_opinion import croniter_disagreements
from cronledger.domain.calendar import Calendar
from cronledger.domain.definition import DayMatch, Dst, Fold
from cronledger.domain.schedule import schedule_of

NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)
RANGE = "it reads a range of one value as the whole field"
DAYS = "it combines the two day fields in another way"
JUMPS = "it treats times that the clock skips or repeats in another way"


def disagreements(text: str, zone: str = "UTC", after: datetime = NEW_YEAR, **how: Any) -> list[str]:
    schedule = schedule_of(text, timezone=zone, **how)
    assert schedule is not None
    return croniter_disagreements(schedule, after=after)


@pytest.mark.parametrize(
    ("text", "difference"),
    [
        ("0 5-5 * * * *", f"croniter fires at 2024-01-01T00:01:00Z, we do not: {RANGE}"),
        ("0 0 0 * * SUN-SUN", f"croniter fires at 2024-01-02T00:00:00Z, we do not: {RANGE}"),
        ("0 0 0 1-31 * 1", f"croniter fires at 2024-01-02T00:00:00Z, we do not: {DAYS}"),
        ("0 0 0 8-9 * 0#2", f"we fire at 2024-01-08T00:00:00Z, croniter does not: {DAYS}"),
        ("0 0 12 6 * 5L", "croniter accepts it but finds no fire time"),
    ],
)
def test_the_first_difference_is_named_with_its_reason(text: str, difference: str) -> None:
    assert [difference] == disagreements(text)


@pytest.mark.parametrize("text", ["0 0 0 LW * *", "0 0 0 * * 1,3#2", "0 0 0 * * FRI#L"])
def test_what_croniter_cannot_read_is_said(text: str) -> None:
    (said,) = disagreements(text)

    assert said.startswith("croniter cannot read it: ")


@pytest.mark.parametrize(
    "text",
    ["0 0 3 * * *", "0 0 0 13 * 5", "0 0 0 13 * +5", "@hourly", "0 0 9 L * *", "0 0 9 * * 5#L", "every 7m"],
)
def test_ordinary_schedules_are_agreed_on(text: str) -> None:
    assert [] == disagreements(text)


def test_the_rule_for_days_is_handed_on() -> None:
    assert [] == disagreements("0 0 0 13 * 5", day_match=DayMatch.AND)


def test_a_repeated_hour_is_told_apart() -> None:
    eve = datetime(2024, 11, 2, 12, tzinfo=UTC)

    assert [f"croniter fires at 2024-11-03T06:30:00Z, we do not: {JUMPS}"] == disagreements(
        "0 30 1 * * *", "America/New_York", eve
    )


@pytest.mark.parametrize("after", [datetime(2026, month, 22, tzinfo=UTC) for month in (1, 5, 9)])
@pytest.mark.parametrize(
    ("text", "difference"),
    [
        ("0 30 2 * * *", f"croniter fires at 2026-10-25T01:30:00Z, we do not: {JUMPS}"),
        ("0 30 2 18-25 * SUN", f"croniter fires at 2026-10-25T01:30:00Z, we do not: {JUMPS}"),
        ("0-59 0-59 2 * * *", f"croniter fires at 2026-10-25T01:00:00Z, we do not: {JUMPS}"),
    ],
)
def test_a_clock_change_months_ahead_is_looked_at(text: str, difference: str, after: datetime) -> None:
    assert [difference] == disagreements(text, "Europe/Berlin", after)


def test_of_two_clock_changes_the_earlier_one_is_named() -> None:
    spring = f"croniter fires at 2024-03-31T01:00:00Z, we do not: {JUMPS}"

    assert [spring] == disagreements("0 0 */2 * * *", "Europe/Berlin")


def test_what_the_job_says_of_repeated_hours_counts() -> None:
    second = Dst(fold=Fold.SECOND)

    assert [] == disagreements("0 30 2 * * *", "Europe/Berlin", dst=Dst(fold=Fold.BOTH))
    assert [f"croniter fires at 2024-10-27T00:30:00Z, we do not: {JUMPS}"] == disagreements(
        "0 30 2 * * *", "Europe/Berlin", dst=second
    )


def test_a_difference_on_a_day_that_the_calendar_takes_away_is_none() -> None:
    workdays = Calendar(name="workdays", weekdays=("MON", "TUE", "WED", "THU", "FRI"))

    assert [] == disagreements("0 30 2 * * *", "Europe/Berlin", calendar=workdays)


def test_the_end_of_time_is_no_difference() -> None:
    assert [] == disagreements("@yearly", after=datetime(9990, 6, 1, tzinfo=UTC))
