"""What a change of the configuration does to the coming fire times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronledger.domain.calendar import Calendar
from cronledger.domain.definition import JobDefinition
from cronledger.domain.fire_time_changes import MOST_FIRE_TIMES, JobChange, compare
from cronledger.domain.ids import JobName
from cronledger.domain.schedule import schedule_for

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
WEEK = NOON + timedelta(days=7)
DAILY = JobDefinition(name=JobName("report"), schedule="0 0 9 * * *")


def changed(before: JobDefinition | None, after: JobDefinition | None) -> JobChange:
    (change,) = compare(
        [before] if before else [], [after] if after else [], since=NOON, until=WEEK
    )  # fmt: skip
    return change


def with_(**fields: object) -> JobDefinition:
    return msgspec.structs.replace(DAILY, **fields)


def test_the_same_definitions_differ_in_nothing() -> None:
    assert [] == compare([DAILY], [DAILY], since=NOON, until=WEEK)


@pytest.mark.parametrize("timezone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_another_hour_moves_the_fire_time_of_every_day_and_the_end_is_looked_at_too(timezone: str) -> None:
    place = ZoneInfo(timezone)
    tuesday = datetime(2026, 3, 3, 9, tzinfo=place)
    days = [tuesday + timedelta(days=day) for day in range(5)]
    before, after = with_(timezone=timezone), with_(schedule="0 30 10 * * *", timezone=timezone)
    until = days[-1].replace(hour=10, minute=30)

    assert [
        JobChange(
            name=JobName("report"),
            change="changed",
            until=until,
            fields=("schedule",),
            moved=tuple((day, day.replace(hour=10, minute=30)) for day in days),
        )
    ] == compare([before], [after], since=tuesday - timedelta(hours=9), until=until)


def test_a_calendar_takes_fire_times_away() -> None:
    calendar = Calendar(name="bank", exclude=("2026-03-04",))
    change = changed(DAILY, with_(calendar=calendar))

    assert (("calendar",), (datetime(2026, 3, 4, 9, tzinfo=UTC),), ()) == (
        change.fields,
        change.removed,
        change.added,
    )


def test_a_day_is_the_one_that_the_jobs_own_clock_shows() -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    before = with_(schedule="0 0 8 3,4 3 *", timezone="Asia/Tokyo")
    after = with_(schedule="0 0 20 4,5 3 *", timezone="Asia/Tokyo")

    assert (
        (datetime(2026, 3, 3, 8, tzinfo=tokyo), datetime(2026, 3, 5, 20, tzinfo=tokyo)),
        (datetime(2026, 3, 4, 8, tzinfo=tokyo), datetime(2026, 3, 4, 20, tzinfo=tokyo)),
    ) == changed(before, after).moved


def test_another_day_of_the_week_moves_the_fire_time_of_the_week() -> None:
    change = changed(with_(schedule="0 0 9 * * TUE"), with_(schedule="0 0 9 * * FRI"))
    tuesday = datetime(2026, 3, 3, 9, tzinfo=UTC)

    assert ((), (), ((tuesday, tuesday + timedelta(days=3)),)) == (
        change.added,
        change.removed,
        change.moved,
    )


def test_twice_a_day_adds_and_moves_nothing() -> None:
    change = changed(DAILY, with_(schedule="0 0 9,21 * * *"))

    assert (7, 0, 0) == (len(change.added), len(change.removed), len(change.moved))


def test_once_a_week_removes_the_other_days_and_moves_the_one_that_stays() -> None:
    change = changed(DAILY, with_(schedule="0 0 10 * * FRI"))
    friday = datetime(2026, 3, 6, tzinfo=UTC)

    assert 6 == len(change.removed)
    assert ((friday.replace(hour=9), friday.replace(hour=10)),) == change.moved


def test_a_disabled_job_loses_all_its_fire_times() -> None:
    change = changed(DAILY, with_(enabled=False))

    assert ("changed", ("enabled",), 7) == (change.change, change.fields, len(change.removed))


def test_a_job_that_comes_or_goes_is_said_so() -> None:
    assert ("added", 7) == ((came := changed(None, DAILY)).change, len(came.added))
    assert ("removed", 7) == ((went := changed(DAILY, None)).change, len(went.removed))


def test_a_change_of_something_else_leaves_the_fire_times() -> None:
    change = changed(DAILY, with_(timeout_seconds=5.0))

    assert (("timeout_seconds",), (), (), ()) == (change.fields, change.added, change.removed, change.moved)


def test_a_job_that_fires_too_often_is_compared_for_a_shorter_time() -> None:
    change = changed(with_(schedule="* * * * * *"), with_(schedule="*/2 * * * * *"))

    assert NOON + timedelta(seconds=MOST_FIRE_TIMES) == change.until
    assert MOST_FIRE_TIMES // 2 == len(change.removed)


SCHEDULES = st.sampled_from(
    ["", "0 0 9 * * *", "0 30 8 * * *", "0 0 */6 * * *", "0 0 9 * * MON", "0 15 9,21 * * *", "every 7h"]
)


@given(SCHEDULES, SCHEDULES, st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York"]))
def test_the_old_fire_times_with_the_changes_are_the_new_ones(old: str, new: str, timezone: str) -> None:
    before, after = with_(schedule=old, timezone=timezone), with_(schedule=new, timezone=timezone)
    changes = compare([before], [after], since=NOON, until=WEEK)
    times = set(fire_times(before))
    for change in changes:
        times -= {*change.removed, *(at for at, _ in change.moved)}
        times |= {*change.added, *(to for _, to in change.moved)}

    assert set(fire_times(after)) == times


def fire_times(definition: JobDefinition) -> list[datetime]:
    schedule = schedule_for(definition)
    return list(schedule.fire_times(NOON, WEEK, 10_000)) if schedule else []
