"""Schedules as jobs have them, in English, with remarks, and with a second opinion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cronledger.domain.cron_advice import advice
from cronledger.domain.definition import DayMatch, Dst, Fold, Gap
from cronledger.domain.schedule import describe, schedule_of
from cronledger.errors import InvalidCron, UnknownZone

NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)


def test_an_empty_text_is_no_schedule() -> None:
    assert schedule_of("") is None
    assert schedule_of(" \t ") is None
    assert "manual only" == describe("")


def test_equal_arguments_give_equal_schedules_that_share_their_rule() -> None:
    first = schedule_of("0 0 3 * * *", timezone="Europe/Berlin", dst=Dst(gap=Gap.SKIP))

    second = schedule_of("0 0 3 * * *", timezone="Europe/Berlin", dst=Dst(gap=Gap.SKIP))
    elsewhere = schedule_of("0 0 3 * * *", timezone="Asia/Tokyo")

    assert first == second
    assert first is not None
    assert second is not None
    assert elsewhere is not None
    assert first.rule is second.rule is elsewhere.rule
    assert first != schedule_of("0 0 3 * * *", timezone="Europe/Berlin")
    assert first != schedule_of("0 0 3 * * *", dst=Dst(gap=Gap.SKIP))


def test_a_schedule_keeps_its_text_and_cannot_be_changed() -> None:
    schedule = schedule_of("@DAILY")

    assert schedule
    assert "@DAILY" == schedule.text
    with pytest.raises(AttributeError):
        schedule.text = "@hourly"


def test_a_schedule_is_read_in_its_zone_and_by_its_rules() -> None:
    both = schedule_of("0 30 1 * * *", timezone="America/New_York", dst=Dst(fold=Fold.BOTH))
    friday = schedule_of("0 0 0 13 * 5", day_match=DayMatch.AND)
    start = datetime(2024, 11, 3, 4, tzinfo=UTC)

    assert both
    assert friday
    assert [5, 6] == [at.hour for at in both.fire_times(start, start + timedelta(hours=12), 10)]
    assert datetime(2024, 11, 3, 6, 30, tzinfo=UTC) == both.previous_before(start + timedelta(hours=12))
    assert datetime(2024, 9, 13, tzinfo=UTC) == friday.next_after(NEW_YEAR)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(InvalidCron):
        schedule_of("0 * * * *")
    with pytest.raises(UnknownZone):
        schedule_of("0 0 * * * *", timezone="Europe/Berln")
    with pytest.raises(InvalidCron):
        describe("nonsense")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("* * * * * *", "Every second"),
        ("0 0 * * * *", "Every hour"),
        ("0 */15 * * * *", "Every 15 minutes"),
        ("0 0 */2 * * *", "Every 2 hours"),
        ("@daily", "At 00:00"),
        ("0 30 14 * * *", "At 14:30"),
        ("0 0 7,19 * * *", "At 07:00 and 19:00"),
        ("30 59 23 31 12 *", "At 23:59:30, on day 31 of the month, only in December"),
        ("0 0 9 ? JAN-MAR mon-fri", "At 09:00, Monday through Friday, January through March"),
        ("0 0 0 13 * 5", "At 00:00, on day 13 of the month or on Friday (either is enough)"),
        ("0 0 0 13 * +5", "At 00:00, on day 13 of the month, but only on Friday (both must match)"),
        ("0 0 0 1-31 * 5", "At 00:00, only on Friday"),
        ("0 0 9 * * FRI#L", "At 09:00, on the last Friday of the month"),
        ("0 0 9 15W * *", "At 09:00, on the weekday nearest day 15 of the month"),
        ("0 0 9 1,L * *", "At 09:00, on day 1 of the month and on the last day of the month"),
        ("0 0 9 * * 1#1,3", "At 09:00, on Wednesday and on the first Monday of the month"),
    ],
)
def test_a_schedule_can_be_said_in_english(text: str, sentence: str) -> None:
    assert sentence == describe(text)


def test_the_sentence_names_the_zone_and_follows_the_rule_for_days() -> None:
    assert "At 03:00 (Europe/Berlin)" == describe("0 0 3 * * *", timezone="Europe/Berlin")
    assert describe("0 0 0 13 * +5") == describe("0 0 0 13 * 5", day_match=DayMatch.AND)


@pytest.mark.parametrize(
    ("text", "remarks"),
    [
        ("0 0 3 * * *", []),
        ("* * * * * *", []),
        ("0 * * * * *", []),
        ("0 */15 9-17 * * 1-5", []),
        ("0 0 0 13 * +5", []),
        ("0 0 0 L * *", []),
        ("0 0 0 31 1,3 *", []),
        ("0 0 0 30 4,6 *", []),
        ("0 0 0 29,31 3,4 *", []),
        ("0 */7,5 * * * *", []),
        ("0 */7,1/2 * * * *", []),
        ("* 0 3 * * *", ["fires 60 times a minute: write 0 as the first field to fire once"]),
        (
            "0 * 3 * * *",
            ["fires every minute of its hours: write 0 as the second field to fire once an hour"],
        ),
        (
            "0 0 0 1 * MON",
            ["fires on day 1 of the month or on Monday (either is enough): write +MON to require both"],
        ),
        (
            "0 0 0 31 * MON",
            ["fires on day 31 of the month or on Monday (either is enough): write +MON to require both"],
        ),
        ("0 0 0 31 * +MON", ["skips the months that have no such day: L is the last day of any month"]),
        ("0 0 0 29 2-3 *", ["skips the months that have no such day: L is the last day of any month"]),
        ("0 0 0 31 * *", ["skips the months that have no such day: L is the last day of any month"]),
        ("0 0 0 29 2 *", ["fires in leap years only"]),
        ("0 */7 * * * *", ["minute: */7 starts again at 0 every hour: the last step is shorter"]),
    ],
)
def test_what_may_be_a_mistake_is_remarked_on(text: str, remarks: list[str]) -> None:
    assert remarks == advice(text)


def test_nothing_is_remarked_where_both_days_must_match() -> None:
    assert [] == advice("0 0 0 13 * 5", day_match=DayMatch.AND)
