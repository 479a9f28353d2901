"""Days and times against their definitions: every month there can be, every second of a day."""

from __future__ import annotations

import calendar
from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, timedelta

import pytest

from cronledger.domain.cron import parse
from cronledger.domain.fire_times import EPOCH

FIRST, END = datetime(2000, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
"""In 28 years every month begins on every day of the week, February of both lengths."""
DAYS = [date(2000, 1, 1) + timedelta(days=number) for number in range((END - FIRST).days)]
SECOND = timedelta(seconds=1)


def last_of(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def nearest_workday(year: int, month: int, wanted: int) -> int:
    """Return the working day nearest to a day of a month, never leaving the month."""
    length = calendar.monthrange(year, month)[1]
    weekday = date(year, month, wanted).weekday()
    if weekday == calendar.SATURDAY:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == calendar.SUNDAY:
        return wanted + 1 if wanted < length else wanted - 2
    return wanted


def is_last_workday(day: date) -> bool:
    return day.day == nearest_workday(day.year, day.month, last_of(day))


def meant_by_day(field: str, day: date) -> bool:
    """Whether a day of the month is meant, by the words of the guide."""
    if field == "L":
        return day.day == last_of(day)
    if field == "LW":
        return is_last_workday(day)
    if field.endswith("W"):
        wanted = int(field[:-1])
        return wanted <= last_of(day) and day.day == nearest_workday(day.year, day.month, wanted)
    return day.day == int(field)


def meant_by_weekday(field: str, day: date) -> bool:
    """Whether a day of the week is meant; 0 is Sunday."""
    if day.isoweekday() % 7 != int(field[0]):
        return False
    if field.endswith("L"):
        return day.day + 7 > last_of(day)
    return "#" not in field or (day.day - 1) // 7 + 1 == int(field[2:])


OF_MONTH = ["L", "LW", *(f"{number}W" for number in range(1, 32)), *map(str, range(1, 32))]
OF_WEEK = [f"{day}{rank}" for day in range(7) for rank in ("", "L", "#1", "#2", "#3", "#4", "#5")]


def both_ways(expression: str) -> tuple[list[date], list[date]]:
    """Return the days on which an expression fires, found forward and backward."""
    cron = parse(expression)
    forward = [at.date() for at in cron.fire_times(FIRST - SECOND, END - SECOND, limit=len(DAYS))]
    backward, here = [], cron.previous_before(END)
    while here is not None and here >= FIRST:
        backward.append(here.date())
        here = cron.previous_before(here)
    return forward, backward[::-1]


@pytest.mark.parametrize("field", OF_MONTH)
def test_a_day_of_the_month_is_what_it_is_defined_to_be(field: str) -> None:
    expected = [day for day in DAYS if meant_by_day(field, day)]

    assert (expected, expected) == both_ways(f"0 0 0 {field} * *")


@pytest.mark.parametrize("field", OF_WEEK)
def test_a_day_of_the_week_is_what_it_is_defined_to_be(field: str) -> None:
    expected = [day for day in DAYS if meant_by_weekday(field, day)]

    assert (expected, expected) == both_ways(f"0 0 0 * * {field}")


@pytest.mark.parametrize(
    ("months", "fields"), [("2", "29,L"), ("1,3-5", "LW"), ("12", "31"), ("4,6", "1,15,L")]
)
def test_days_are_meant_in_their_months_only(months: str, fields: str) -> None:
    wanted = {"2": {2}, "1,3-5": {1, 3, 4, 5}, "12": {12}, "4,6": {4, 6}}[months]
    expected = [
        day
        for day in DAYS
        if day.month in wanted and any(meant_by_day(field, day) for field in fields.split(","))
    ]

    assert (expected, expected) == both_ways(f"0 0 0 {fields} {months} *")


@pytest.mark.parametrize(
    ("seconds", "minutes", "hours"),
    [
        ({0}, {0}, {0}),
        ({59}, {59}, {23}),
        ({0, 7, 14, 59}, {3, 50}, {5, 7, 9}),
        ({30}, set(range(60)), {12}),
        (set(range(60)), {59}, {0, 23}),
        ({5, 6}, {0, 30}, set(range(24))),
    ],
)
def test_every_second_of_a_day_knows_the_fire_time_before_and_after_it(
    seconds: set[int], minutes: set[int], hours: set[int]
) -> None:
    text = " ".join(",".join(map(str, sorted(field))) for field in (seconds, minutes, hours))
    cron = parse(f"{text} * * *")
    times = sorted(
        hour * 3600 + minute * 60 + second for hour in hours for minute in minutes for second in seconds
    )
    around = [time + day * 86400 for day in (-1, 0, 1) for time in times]
    midnight = (FIRST - EPOCH) // SECOND

    for at in range(86400):
        here = EPOCH + timedelta(seconds=midnight + at)
        after, before = around[bisect_right(around, at)], around[bisect_left(around, at) - 1]
        assert here + timedelta(seconds=after - at) == cron.next_after(here)
        assert here - timedelta(seconds=at - before) == cron.previous_before(here)
