"""Where croniter would fire differently, and why."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cronledger.config.second_opinion import croniter_disagreements
from cronledger.domain.definition import DayMatch
from cronledger.errors import InvalidCron

NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)
RANGE = "it reads a range of one value as the whole field"
DAYS = "it combines the two day fields in another way"
JUMPS = "it treats times that the clock skips or repeats in another way"


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
    assert [difference] == croniter_disagreements(text, timezone="UTC", after=NEW_YEAR)


@pytest.mark.parametrize("text", ["0 0 0 LW * *", "0 0 0 * * 1,3#2", "0 0 0 * * FRI#L"])
def test_what_croniter_cannot_read_is_said(text: str) -> None:
    (said,) = croniter_disagreements(text, timezone="UTC", after=NEW_YEAR)

    assert said.startswith("croniter cannot read it: ")


@pytest.mark.parametrize(
    "text", ["0 0 3 * * *", "0 0 0 13 * 5", "0 0 0 13 * +5", "@hourly", "0 0 9 L * *", "0 0 9 * * 5#L", ""]
)
def test_ordinary_schedules_are_agreed_on(text: str) -> None:
    assert [] == croniter_disagreements(text, timezone="UTC", after=NEW_YEAR)


def test_the_rule_for_days_is_handed_on() -> None:
    found = croniter_disagreements("0 0 0 13 * 5", timezone="UTC", after=NEW_YEAR, day_match=DayMatch.AND)

    assert [] == found


def test_a_repeated_hour_is_told_apart() -> None:
    eve = datetime(2024, 11, 2, 12, tzinfo=UTC)
    found = croniter_disagreements("0 30 1 * * *", timezone="America/New_York", after=eve)

    assert [f"croniter fires at 2024-11-03T06:30:00Z, we do not: {JUMPS}"] == found


def test_the_end_of_time_is_no_difference() -> None:
    assert [] == croniter_disagreements("@yearly", timezone="UTC", after=datetime(9990, 6, 1, tzinfo=UTC))


def test_what_is_no_schedule_is_refused() -> None:
    with pytest.raises(InvalidCron):
        croniter_disagreements("0 * * * *", timezone="UTC", after=NEW_YEAR)
