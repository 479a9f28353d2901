"""Fixed intervals and single moments: `every 90s`, `at 2026-12-24T18:00:00`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cronledger.domain.definition import Dst, Fold, Gap
from cronledger.domain.plain_rules import at
from cronledger.domain.schedule import Schedule, advice_on, describe, schedule_of
from cronledger.domain.zone import UTC_ZONE
from cronledger.errors import InvalidSchedule

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
SKIP = Dst(gap=Gap.SKIP)


def scheduled(text: str, timezone: str = "UTC", dst: Dst | None = None) -> Schedule:
    found = schedule_of(text, timezone=timezone, dst=dst or Dst())
    assert found is not None
    return found


def fires(text: str, timezone: str = "UTC", dst: Dst | None = None, limit: int = 3) -> list[str]:
    found = scheduled(text, timezone, dst).fire_times(NEW_YEAR, NEW_YEAR + YEAR, limit)
    return [at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in found]


def test_an_interval_fires_at_multiples_of_its_period() -> None:
    assert ["2026-01-01T00:01:30Z", "2026-01-01T00:03:00Z", "2026-01-01T00:04:30Z"] == fires("every 90s")


def test_an_anchor_sets_the_phase_in_both_directions() -> None:
    text = "every 6h from 2026-06-01T05:30:00Z"

    assert ["2026-01-01T05:30:00Z", "2026-01-01T11:30:00Z", "2026-01-01T17:30:00Z"] == fires(text)
    assert datetime(2025, 12, 31, 23, 30, tzinfo=UTC) == scheduled(text).previous_before(NEW_YEAR)


def test_an_anchor_without_an_offset_is_read_in_the_zone() -> None:
    text = "every 1d from 2026-06-01T13:00"

    assert ["2026-01-01T11:00:00Z"] == fires(text, "Europe/Berlin", limit=1)
    assert datetime(2025, 12, 31, 11, tzinfo=UTC) == scheduled(text, "Europe/Berlin").previous_before(
        NEW_YEAR
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("every 1s", 1),
        ("every 3650d", 315_360_000),
        ("every 1h30m", 5400),
        ("EVERY\t1D", 86_400),
        ("every 2w1d3h4m5s", 1_307_045),
    ],
)
def test_a_duration_adds_its_units(text: str, seconds: int) -> None:
    first, second = scheduled(text).fire_times(NEW_YEAR, NEW_YEAR + 30 * YEAR, 2)

    assert timedelta(seconds=seconds) == second - first


def test_a_day_of_elapsed_time_does_not_follow_the_clock() -> None:
    assert [] == advice_on(scheduled("every 1d"))
    assert ["a day of elapsed time has 24 hours"] == [
        remark.split(":")[0] for remark in advice_on(scheduled("every 2d", "Europe/Berlin"))
    ]
    assert [] == advice_on(scheduled("every 1h", "Europe/Berlin"))


def test_a_moment_fires_once() -> None:
    christmas = scheduled("at 2026-12-24T18:00", "Europe/Berlin")
    six = datetime(2026, 12, 24, 17, tzinfo=UTC)

    assert six == christmas.next_after(NEW_YEAR)
    assert six == christmas.previous_before(six + YEAR)
    assert six == christmas.previous_before(six + timedelta(seconds=1))
    assert christmas.next_after(six) is None
    assert christmas.previous_before(six) is None
    assert christmas.matches(six)
    assert not christmas.matches(six + timedelta(seconds=1))


def test_the_last_year_ends_with_its_last_second() -> None:
    end = scheduled("at 2500-12-31T23:59:59")

    assert datetime(2500, 12, 31, 23, 59, 59, tzinfo=UTC) == end.next_after(NEW_YEAR)


def test_a_local_moment_is_found_up_to_itself() -> None:
    local, instant = (at(text, UTC_ZONE, Dst()) for text in ("at 1970-01-02T00:00", "at 1970-01-02T00:00Z"))
    day = 86_400

    assert "86400" == str(local.moment.second)
    assert [day, day] == [local.local_from(time) for time in (0, day)]
    assert local.local_from(day + 1) > 10**15
    assert instant.local_from(0) > 10**15


@pytest.mark.parametrize(
    ("time", "dst", "expected"),
    [
        ("2026-03-29T02:30:00", Dst(), ["2026-03-29T01:00:00Z"]),
        ("2026-10-25T02:30:00", Dst(), ["2026-10-25T00:30:00Z"]),
        ("2026-10-25T02:30:00", Dst(fold=Fold.SECOND), ["2026-10-25T01:30:00Z"]),
        ("2026-10-25T02:30:00", Dst(fold=Fold.BOTH), ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]),
        ("2026-10-25T02:30:00+01:00", Dst(), ["2026-10-25T01:30:00Z"]),
        ("2026-07-01t12:00:00z", SKIP, ["2026-07-01T12:00:00Z"]),
    ],
)
def test_a_moment_follows_the_rule_for_gaps_and_folds(time: str, dst: Dst, expected: list[str]) -> None:
    assert expected == fires(f"at {time}", "Europe/Berlin", dst)


@pytest.mark.parametrize(
    ("text", "timezone", "sentence"),
    [
        ("every 90s", "Europe/Berlin", "Every 1 minute 30 seconds"),
        ("every 2w", "UTC", "Every 14 days"),
        ("every 2h2s", "UTC", "Every 2 hours 2 seconds"),
        (
            "every 6h from 2026-06-01T05:30",
            "Europe/Berlin",
            "Every 6 hours, counted from 2026-06-01T05:30 (Europe/Berlin)",
        ),
        ("every 6h from 2026-06-01T05:30Z", "Asia/Tokyo", "Every 6 hours, counted from 2026-06-01T05:30Z"),
        ("at 2026-12-24T18:00:00", "Europe/Berlin", "Once, at 2026-12-24T18:00:00 (Europe/Berlin)"),
        ("at 2026-12-24T18:00:00+09:00", "Europe/Berlin", "Once, at 2026-12-24T18:00:00+09:00"),
    ],
)
def test_both_kinds_read_in_english(text: str, timezone: str, sentence: str) -> None:
    assert sentence == describe(text, timezone=timezone)


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("every", "the form is: every DURATION", "every 90s"),
        ("every 5 minutes", "the form is: every DURATION", "every 90s"),
        ("every 90s from", "the form is: every DURATION", "every 90s"),
        ("every 90", "'90' is not a duration", "add the unit: 90s"),
        ("every -5s", "'-5s' is not a duration", "use whole numbers with units"),
        ("every 1.5h", "'1.5h' is not a duration", "fire times are whole seconds"),
        ("every 500ms", "'500ms' is not a duration", "fire times are whole seconds"),
        ("every 30m1h", "'30m1h' is not a duration", "the larger one first"),
        ("every 1h1h", "'1h1h' is not a duration", "the larger one first"),
        ("every \u0665s", "is not a duration", "use whole numbers with units"),
        ("every 0s", "0s must lie between 1s and 3650d", None),
        ("every 3651d", "3651d must lie between 1s and 3650d", None),
        ("every 1h from noon", "'noon' is not a time", "2026-12-24T18:00:00"),
        ("every 1h from 2011-12-30T12:00", "Pacific/Apia skipped that date", None),
        ("at", "the form is: at TIME", "at 2026-12-24T18:00:00"),
        ("at 18:00", "'18:00' is not a time", "2026-12-24T18:00:00"),
        ("at 2026-12-24 18:00", "the form is: at TIME", "at 2026-12-24T18:00:00"),
        ("at 2026-12-24", "2026-12-24 has no time of day", "write 2026-12-24T00:00:00"),
        ("at 2026-02-30T00:00:00", "does not exist: day is out of range for month", None),
        ("at 2026-12-24T25:00:00", "does not exist: hour must be in 0..23", None),
        ("at 2026-12-24T18:00:00.5", "is not a time", "2026-12-24T18:00:00"),
        ("at 1969-12-31T23:59:59", "outside the years 1970 to 2500", None),
        ("at 2501-01-01T00:00:00", "outside the years 1970 to 2500", None),
        ("at 2011-12-30T12:00:00", "the clock of Pacific/Apia never shows", "choose another time"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_way_out(text: str, reason: str, hint: str | None) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        schedule_of(text, timezone="Pacific/Apia")

    assert reason in refused.value.reason
    assert (hint is None) == (refused.value.hint is None)
    assert (hint or "") in (refused.value.hint or "")
    assert refused.value.message.isprintable()


def test_a_moment_in_a_gap_that_is_to_be_skipped_is_refused() -> None:
    with pytest.raises(InvalidSchedule, match="never shows"):
        schedule_of("at 2026-03-29T02:30:00", timezone="Europe/Berlin", dst=SKIP)


@pytest.mark.parametrize("text", ["\n", "\u00a0", "\x00", "every\n90s", "at\u00a02026-12-24T18:00"])
def test_other_blanks_are_refused(text: str) -> None:
    with pytest.raises(InvalidSchedule):
        schedule_of(text)
