"""What a calendar takes away, and from when until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from cronledger.domain.calendar import Blackout, Calendar, dates, days_of_week, joined, time_of_day
from cronledger.domain.schedule import schedule_of
from cronledger.errors import InvalidSchedule

NIGHT = Blackout("22:00", "06:00")
HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def left(calendar: Calendar, schedule: str, since: str, days: int, timezone: str = "UTC") -> list[str]:
    found = schedule_of(schedule, timezone=timezone, calendar=calendar)
    assert found is not None
    after = at(since) - timedelta(seconds=1)
    return [f"{each:%m-%d %H:%M}" for each in found.fire_times(after, after + timedelta(days=days), 1000)]


def test_dates_ranges_and_yearly_dates_are_closed_as_whole_days() -> None:
    calendar = Calendar(name="holidays", exclude=("2026-12-24", "2026-12-26..2026-12-28", "*-12-30"))

    assert ["12-23 12:00", "12-25 12:00", "12-29 12:00", "12-31 12:00"] == left(
        calendar, "0 0 12 * * *", "2026-12-23T00:00", 9
    )


def test_a_yearly_range_may_pass_the_new_year_and_a_leap_day() -> None:
    calendar = Calendar(name="winter", exclude=("*-12-31..*-03-01",))

    assert ["12-30 00:00", "03-02 00:00"] == left(calendar, "@daily", "2026-12-30T00:00", 63)
    assert ["12-30 00:00", "03-02 00:00"] == left(calendar, "@daily", "2027-12-30T00:00", 64)


def test_only_some_dates_leave_these_and_nothing_is_searched_day_by_day() -> None:
    calendar = Calendar(name="releases", only=("2026-03-02", "2300-01-01..2300-01-02"))
    schedule = schedule_of("0 0 9 * * *", timezone="Europe/Berlin", calendar=calendar)
    assert schedule is not None

    assert at("2026-03-02T08:00") == schedule.next_after(at("1970-01-01T00:00"))
    assert at("2300-01-01T08:00") == schedule.next_after(at("2026-03-02T08:00"))
    assert schedule.next_after(at("2300-01-02T08:00")) is None


def test_weekdays_are_those_of_the_zone() -> None:
    calendar = Calendar(name="business", weekdays=("MON", "TUE", "WED", "THU", "FRI"))

    assert ["03-01 15:00", "03-06 09:00"] == [
        left(calendar, "0 0 */6 * * *", "2026-03-01T00:00", 6, "Asia/Tokyo")[index] for index in (0, -1)
    ]


def test_a_blackout_may_pass_midnight_and_ends_before_its_end() -> None:
    calendar = Calendar(name="night", blackout=(NIGHT,))

    assert ["03-01 06:00", "03-01 21:59"] == [
        left(calendar, "0 * * * * *", "2026-03-01T00:00", 1)[index] for index in (0, -1)
    ]


def test_a_blackout_of_some_days_begins_on_these() -> None:
    calendar = Calendar(name="fridays", blackout=(msgspec.structs.replace(NIGHT, days=("FRI",)),))

    assert ["03-05 23:00", "03-06 05:00", "03-07 23:00", "03-08 05:00"] == left(
        calendar, "0 0 5,23 * * *", "2026-03-05T12:00", 3
    )


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 7), ("2026-10-24", 9), ("2026-06-01", 8)])
def test_a_blackout_follows_the_clock_on_the_wall(day: str, hours: int) -> None:
    """The night in which the clock goes forward is shorter, the one in which it goes back longer."""
    schedule = schedule_of(
        "* * * * * *", timezone="Europe/Berlin", calendar=Calendar(name="night", blackout=(NIGHT,))
    )
    assert schedule is not None
    dusk = schedule.previous_before(at(f"{day}T22:30"))
    assert dusk is not None
    dawn = schedule.next_after(dusk)
    assert dawn is not None

    assert hours * HOUR + timedelta(seconds=1) == dawn - dusk


def test_blackouts_that_overlap_and_a_day_that_is_closed_altogether() -> None:
    calendar = Calendar(
        name="most",
        blackout=(
            Blackout("00:00", "12:00"),
            Blackout("06:00", "18:00:30"),
            Blackout("18:00", "24:00", ("SUN",)),
        ),
    )

    assert ["02-28 18:01", "02-28 23:59", "03-02 18:01"] == [
        left(calendar, "0 * * * * *", "2026-02-28T00:00", 3)[index] for index in (0, 358, 359)
    ]


def test_the_far_future_is_searched_like_the_near_one() -> None:
    calendar = Calendar(name="business", weekdays=("MON",), blackout=(NIGHT,))

    assert ["01-03 22:00"] == left(calendar, "0 0 */12 * * *", "9999-01-01T00:00", 7, "Pacific/Kiritimati")


def test_what_a_calendar_takes_forever_is_never_found_and_decided_within_a_month() -> None:
    schedule = schedule_of("0 0 23 * * *", calendar=Calendar(name="night", blackout=(NIGHT,)))
    assert schedule is not None

    assert schedule.next_after(at("2026-03-01T00:00")) is None
    assert schedule.previous_before(at("2026-03-01T00:00")) is None
    assert at("2026-04-01T23:00") == schedule.next_to_decide(at("2026-03-01T12:00"))


@pytest.mark.parametrize("text", ["* * * * * *", "59 59 23 31 12 *", "every 1s"])
def test_the_last_second_of_all_is_no_fire_time_where_the_calendar_leaves_none(text: str) -> None:
    """It was made up for schedules that fire in it."""
    found = schedule_of(text, calendar=Calendar(name="gone", only=("2020-11-24",)))
    open_to_the_end = schedule_of(text, calendar=Calendar(name="end", only=("9999-12-31",)))
    assert found is not None
    assert open_to_the_end is not None

    assert found.next_after(at("2026-01-01T00:00")) is None
    assert [] == list(found.fire_times(at("9999-12-31T23:00"), datetime.max.replace(tzinfo=UTC), 9))
    assert at("9999-12-31T23:59:59") == open_to_the_end.next_after(at("9999-12-31T23:59:58"))


def test_a_fire_time_is_one_that_the_calendar_leaves() -> None:
    schedule = schedule_of("0 0 * * * *", calendar=Calendar(name="night", blackout=(NIGHT,)))
    assert schedule is not None

    assert [False, True, False] == [
        schedule.matches(at(f"2026-03-01T{time}")) for time in ("05:00", "06:00", "06:30")
    ]
    assert "blackout 22:00 to 06:00" == schedule.why_closed(at("2026-03-01T05:00"))
    assert schedule.why_closed(at("2026-03-01T06:00")) is None


def test_the_rule_that_closes_is_named() -> None:
    calendar = Calendar(
        name="all", exclude=("2026-03-02",), only=("2026-03-01..2026-03-08",), weekdays=("MON", "TUE")
    )
    schedule = schedule_of("@daily", calendar=calendar)
    assert schedule is not None

    assert ["exclude 2026-03-02", None, "weekdays MON, TUE", "only"] == [
        schedule.why_closed(at(f"2026-03-{day:02}T00:00")) for day in (2, 3, 4, 9)
    ]


def test_a_calendar_that_extends_another_takes_away_what_either_does() -> None:
    base = Calendar(
        name="base", exclude=("*-01-01",), weekdays=("MON", "TUE"), blackout=(NIGHT,), only=("*-03-01",)
    )
    own = Calendar(name="own", exclude=("2026-05-01", "*-01-01"), weekdays=("TUE", "WED"))

    assert Calendar(
        name="own",
        exclude=("*-01-01", "2026-05-01"),
        weekdays=("TUE",),
        blackout=(NIGHT,),
        only=("*-03-01",),
    ) == joined(own, base)


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        (Calendar(name="own", only=("*-01-01",)), "'base', which it extends, has `only` already"),
        (Calendar(name="own", weekdays=("SUN",)), "'base', which it extends, leaves none of these weekdays"),
    ],
    ids=["only", "weekdays"],
)
def test_what_cannot_be_joined_is_refused(own: Calendar, reason: str) -> None:
    base = Calendar(name="base", only=("*-03-01",), weekdays=("MON",))

    with pytest.raises(InvalidSchedule) as refused:
        joined(own, base)

    assert reason == refused.value.reason


@pytest.mark.parametrize(
    ("read", "text", "reason"),
    [
        (dates, "2026-02-30", "there is no 2026-02-30"),
        (dates, "*-02-30", "there is no *-02-30"),
        (dates, "24.12.2026", "'24.12.2026' is neither"),
        (dates, "2026-01-01..2026-01-02..2026-01-03", "'2026-01-01..2026-01-02..2026-01-03' is neither"),
        (dates, "2026-01-01..*-01-02", "a range has a year at both ends or at neither"),
        (dates, "2026-01-02..2026-01-01", "2026-01-02..2026-01-01 ends before it begins"),
        (days_of_week, "MONDAY", "'MONDAY' is neither"),
        (days_of_week, "MON-WED-FRI", "'MON-WED-FRI' is neither"),
        (time_of_day, "6:00", "'6:00' is none"),
        (time_of_day, "24:01", "'24:01' is none"),
        (time_of_day, "12:60", "'12:60' is none"),
    ],
)
def test_texts_that_mean_nothing_are_refused(read, text: str, reason: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        read(text)

    assert reason == refused.value.reason


def test_a_calendar_is_kept_as_it_was_written() -> None:
    calendar = Calendar(name="night", exclude=("*-01-01",), blackout=(NIGHT,))
    written = msgspec.json.encode(calendar)

    assert (
        b'{"name":"night","exclude":["*-01-01"],"blackout":[{"from":"22:00","to":"06:00"}]}',
        calendar,
    ) == (written, msgspec.json.decode(written, type=Calendar))
