"""What a jump of the clock means for a schedule, said in a sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cronledger.domain.clock_changes import ClockChange, clock_changes
from cronledger.domain.definition import Dst, Fold, Gap
from cronledger.domain.schedule import schedule_of

YEAR = timedelta(days=365)
BERLIN = "Europe/Berlin"


def told(text: str, timezone: str = BERLIN, year: int = 2025, dst: Dst | None = None) -> list[ClockChange]:
    schedule = schedule_of(text, timezone=timezone, dst=dst or Dst())
    assert schedule is not None
    return clock_changes(schedule, datetime(year, 1, 1, tzinfo=UTC), YEAR)


CASES = [
    ("0 30 2 * * *", Dst(), "skips 02:30: fires at 03:00 +02:00"),
    ("0 30 2 * * *", Dst(), "shows 02:30 twice: fires the first time, at 02:30 +02:00"),
    ("0 30 2 * * *", Dst(fold=Fold.SECOND), "shows 02:30 twice: fires the second time, at 02:30 +01:00"),
    (
        "0 30 2 * * *",
        Dst(gap=Gap.SKIP, fold=Fold.BOTH),
        "shows 02:30 twice: fires both times, at 02:30 +02:00 and 02:30 +01:00",
    ),
    ("0 30 2 * * *", Dst(gap=Gap.SKIP), "skips 02:30: nothing fires for it"),
    ("5 0,15 2 * * *", Dst(), "skips 02:00:05 to 02:15:05, 2 fire times: fires once, at 03:00 +02:00"),
    ("0 0,15 2 * * *", Dst(), "shows 02:00 to 02:15 twice, 2 fire times: fires once at each, the first time"),
    ("0 0 * * * *", Dst(), "skips 02:00: nothing fires for it"),
    ("0 0 * * * *", Dst(), "shows 02:00 twice: fires both times, at 02:00 +02:00 and 02:00 +01:00"),
    ("0 */15 2 * * *", Dst(), "skips 02:00 to 02:45, 4 fire times: nothing fires for them"),
    ("0 */15 2 * * *", Dst(), "shows 02:00 to 02:45 twice, 4 fire times: fires both times"),
    ("at 2025-03-30T02:10:00", Dst(), "skips 02:10: fires at 03:00 +02:00"),
    ("every 2h", Dst(), "goes forward by 1 hour: by the clock it fires 1 hour later from then on"),
    ("every 1d", Dst(), "goes back by 1 hour: by the clock it fires 1 hour earlier from then on"),
]


@pytest.mark.parametrize(
    ("text", "dst", "note"), CASES, ids=[f"{text} {note[:20]}" for text, _, note in CASES]
)
def test_a_jump_is_told_with_what_it_does(text: str, dst: Dst, note: str) -> None:
    notes = [change.note for change in told(text, dst=dst)]
    forward = note.startswith("skips") or "forward" in note
    day = "30 March" if forward else "26 October"

    assert f"on {day} 2025 the clock {note}" in notes


@pytest.mark.parametrize(
    "text", ["0 0 3 * * *", "0 30 1 * * *", "0 30 2 1 1 *", "every 90s", "every 1h", "at 2025-05-01T12:00:00"]
)
def test_a_jump_that_touches_no_fire_time_is_not_told(text: str) -> None:
    assert [] == told(text)


def test_a_zone_without_jumps_has_nothing_to_tell() -> None:
    assert [] == told("0 30 2 * * *", "UTC")
    assert [] == told("0 30 2 * * *", "Asia/Tokyo")


def test_the_change_itself_is_named() -> None:
    spring, autumn = told("0 30 2 * * *")

    assert datetime(2025, 3, 30, 1, tzinfo=UTC) == spring.at
    assert ("+01:00", "+02:00") == (spring.offset_before, spring.offset_after)
    assert ("+02:00", "+01:00") == (autumn.offset_before, autumn.offset_after)


def test_a_fire_that_is_moved_to_the_next_day_says_so() -> None:
    notes = [change.note for change in told("0 30 23 * * *", "America/Nuuk")]

    assert "on 29 March 2025 the clock skips 23:30: fires at 00:00 -01:00 on 30 March 2025" == notes[0]


def test_a_date_that_a_zone_skipped_is_told() -> None:
    notes = [change.note for change in told("0 0 9 * * *", "Pacific/Apia", 2011)]

    assert "on 30 December 2011 the clock skips 09:00: nothing fires for it" == notes[-1]


def test_years_that_nobody_will_see_are_left_alone() -> None:
    assert [] == told("0 30 2 * * *", year=9998)
