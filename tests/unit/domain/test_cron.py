"""Cron expressions: stored vectors, their one text, and what other engines get wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cronledger.domain.cron import DEFAULT_DST, Cron, parse
from cronledger.domain.definition import DayMatch, Dst, Fold, Gap
from cronledger.domain.zone import zone

GOLDEN = Path(__file__).parents[2] / "golden" / "cron"
VECTORS = json.loads((GOLDEN / "vectors.json").read_text(encoding="utf-8"))
JUMPS = json.loads((GOLDEN / "clock_jumps.json").read_text(encoding="utf-8"))
NEW_YORK = "America/New_York"


def at(text: str, place: str = "UTC") -> datetime:
    """Read an instant: local times of a zone, or with an offset."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(place)).astimezone(UTC)


def local(found: datetime | None, place: str) -> str:
    assert found
    return found.astimezone(ZoneInfo(place)).isoformat()


def walk(text: str, place: str, start: str, count: int, *, dst: Dst = DEFAULT_DST) -> list[str]:
    """Return the next fire times as local times with their offsets."""
    end = at("9999-12-31T00:00:00Z")
    found = parse(text).fire_times(at(start, place), end, zone=zone(place), dst=dst, limit=count)
    return [local(fire, place) for fire in found]


def walk_back(text: str, place: str, start: str, count: int) -> list[str]:
    found, here = [], at(start, place)
    for _ in range(count):
        before = parse(text).previous_before(here, zone(place))
        assert before
        here = before
        found.append(local(here, place))
    return found


# --- stored vectors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["expression"])
def test_the_stored_vectors_hold(vector: dict[str, Any]) -> None:
    cron = parse(vector["expression"], day_match=DayMatch(vector["day_match"]))
    after = at(VECTORS["after"])
    found = list(cron.fire_times(after, after + timedelta(days=36_600), limit=3))

    assert [at(text) for text in vector["fire_times"]] == found
    assert found[1] == cron.previous_before(found[2])


@pytest.mark.parametrize(
    ("nickname", "meaning"),
    [
        ("@yearly", "0 0 0 1 1 *"),
        ("@annually", "0 0 0 1 1 *"),
        ("@monthly", "0 0 0 1 * *"),
        ("@weekly", "0 0 0 * * 0"),
        ("@daily", "0 0 0 * * *"),
        ("@midnight", "0 0 0 * * *"),
        ("@Hourly", "0 0 * * * *"),
    ],
)
def test_nicknames_stand_for_six_fields(nickname: str, meaning: str) -> None:
    assert parse(meaning) == parse(nickname)


# --- meaning and text -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0 0 9 * jan-MAR mon-fri", "0 0 9 * 1-3 1-5"),
        ("0 0 9 ? * 5-7", "0 0 9 * * 0,5,6"),
        ("0 0 9 * * FRI-SUN", "0 0 9 * * 0,5,6"),
        ("0 0 9 * * SUN-SUN", "0 0 9 * * 0"),
        ("0 0 9 * * 7-7", "0 0 9 * * 0"),
        ("0 0 9 * * 0-7", "0 0 9 * * *"),
        ("0 0 9 * * 1-SUN", "0 0 9 * * *"),
        ("0 0 9 * * 7/2", "0 0 9 * * */2"),
        ("0 0 9 * * 7#2", "0 0 9 * * 0#2"),
        ("0 0 9 * * 0-6,5L", "0 0 9 * * *"),
        ("0 0 9 1-31,L * *", "0 0 9 * * *"),
        ("0 0 9 * * 0-6,5L".ljust(1000), "0 0 9 * * *"),
        ("0\t0 9 * * *".ljust(1000), "0 0 9 * * *"),
        ("0 0 9 * * 5#L,FRI#2", "0 0 9 * * 5#2,5L"),
        ("0 0 9 L,1 * *", "0 0 9 1,L * *"),
        ("0 0 9 15w * *", "0 0 9 15W * *"),
        ("0 5-5 * * * *", "0 5 * * * *"),
        ("0 0-59/15 9 * * *", "0 0-45/15 9 * * *"),
        ("0 5/20 9 * * *", "0 5-45/20 9 * * *"),
        ("0 */15 9 * * *", "0 */15 9 * * *"),
        ("0 */15,15,45 * * * *", "0 */15 * * * *"),
        ("0 0 0-23 * * *", "0 0 0-23 * * *"),
        ("0 */30,7 9 * * *", "0 */30,7 9 * * *"),
        ("0 0 0 1-31 * 1", "0 0 0 * * 1"),
        ("0 0 0 *,5 * 1", "0 0 0 * * 1"),
        ("0 0 0 1 * +1", "0 0 0 1 * +1"),
        ("0 0 0 * * +1", "0 0 0 * * 1"),
        ("0 0 0 * * */2", "0 0 0 * * */2"),
        ("0 0 0 * * 4/1", "0 0 0 * * 4-6"),
        ("0 0 0 */15 * *", "0 0 0 */15 * *"),
        ("0 0 0 LW * *", "0 0 0 LW * *"),
        ("0 0 0 1,3,5 * *", "0 0 0 1-5/2 * *"),
        ("0 0 0 1-31/10 * *", "0 0 0 */10 * *"),
        ("0 0 0 2-31/10 * *", "0 0 0 2-22/10 * *"),
        ("0 0 0 * 1-12/5 *", "0 0 0 * */5 *"),
        ("0 0 0 * * 0,3,6", "0 0 0 * * */3"),
        ("0 0 0 * * 1,3", "0 0 0 * * 1,3"),
        ("0-59 0 0 * * *", "0-59 0 0 * * *"),
        ("*/1,*/59 0 0 * * *", "* 0 0 * * *"),
        ("*/30,7 0 0 * * *", "*/30,7 0 0 * * *"),
        ("*/59 0 0 * * *", "*/59 0 0 * * *"),
        ("*/29 0 0 * * *", "*/29 0 0 * * *"),
        ("0,30 */2 0 * * *", "*/30 */2 0 * * *"),
        ("0 */59,3 0 * * *", "0 */59,3 0 * * *"),
        ("0 0 */12,5 * * *", "0 0 */12,5 * * *"),
        ("0 0 */23 * * *", "0 0 */23 * * *"),
    ],
)
def test_an_expression_has_one_canonical_text(text: str, canonical: str) -> None:
    assert canonical == str(parse(text))
    assert parse(text) == parse(canonical)


def test_equal_meanings_are_equal_and_hash_alike() -> None:
    spellings = {parse("0 0 9 * * 1-5"), parse("0 0 9 ? * MON-FRI"), parse("00 0 09 1-31 JAN-DEC 5,4,3,2,1")}

    assert 1 == len(spellings)
    assert parse("0 0 * * * *") != parse("0 0 0-23 * * *")
    assert parse("0 0 * * * *") != "0 0 * * * *"
    assert "parse('0 0 9 * * 1-5')" == repr(spellings.pop())


def test_an_expression_cannot_be_changed() -> None:
    cron = parse("@daily")

    with pytest.raises(AttributeError):
        cron.text = "@hourly"
    with pytest.raises(AttributeError):
        cron.spec = parse("@hourly").spec


def test_both_day_fields_must_match_where_the_configuration_says_so() -> None:
    assert parse("0 0 0 13 * +5") == parse("0 0 0 13 * 5", day_match=DayMatch.AND)
    assert parse("0 0 0 13 * 5") != parse("0 0 0 13 * 5", day_match=DayMatch.AND)
    assert parse("0 0 0 13 * *") == parse("0 0 0 13 * *", day_match=DayMatch.AND)


# --- limits ---------------------------------------------------------------------------------------------


def test_after_the_last_year_there_is_nothing() -> None:
    yearly = parse("@yearly")

    assert at("9999-01-01T00:00:00Z") == yearly.next_after(at("9998-06-01T00:00:00Z"))
    assert yearly.next_after(at("9999-01-01T00:00:00Z")) is None
    assert yearly.next_after(at("9999-12-31T23:59:59Z"), zone(NEW_YORK)) is None
    assert [] == list(
        yearly.fire_times(at("9999-01-01T00:00:00Z"), datetime.max.replace(tzinfo=UTC), limit=5)
    )


def test_before_1970_there_is_nothing() -> None:
    daily = parse("@daily")

    assert at("1970-01-01T00:00:00Z") == daily.next_after(at("1900-01-01T12:00:00Z"))
    assert at("1970-01-01T00:00:00Z") == daily.previous_before(at("1970-01-01T00:00:01Z"))
    assert daily.previous_before(at("1970-01-01T00:00:00Z")) is None
    assert daily.previous_before(at("1900-01-01T00:00:00Z")) is None
    assert not daily.matches(at("1969-12-31T00:00:00Z"))
    assert parse("0 0 0 29 2 *").previous_before(at("1971-01-01T00:00:00Z"), zone(NEW_YORK)) is None


def test_far_years_follow_the_rule_of_their_zone() -> None:
    assert ["9997-07-01T09:00:00-04:00"] == walk("0 0 9 1 7 *", NEW_YORK, "9997-01-01T00:00:00Z", 1)
    assert ["2599-07-01T09:00:00-04:00"] == walk_back("0 0 9 1 7 *", NEW_YORK, "2600-01-01T12:00:00Z", 1)
    assert ["2600-07-01T09:00:00-04:00"] == walk("0 0 9 1 7 *", NEW_YORK, "2599-12-31T12:00:00Z", 1)


def test_the_29th_of_february_on_one_weekday_is_waited_for_through_2100() -> None:
    assert ["2072-02-29T00:00:00+00:00", "2112-02-29T00:00:00+00:00"] == walk(
        "0 0 0 29 2 +1", "UTC", "2050-01-01T00:00:00Z", 2
    )


def test_fire_times_end_at_the_limit_and_include_the_end() -> None:
    noon = at("2026-02-01T12:00:00Z")
    hourly = parse("@hourly")

    assert 3 == len(list(hourly.fire_times(noon, noon + timedelta(days=1), limit=3)))
    assert 24 == len(list(hourly.fire_times(noon, noon + timedelta(days=1), limit=100)))
    assert [noon] == list(hourly.fire_times(noon - timedelta(microseconds=1), noon, limit=100))
    assert [] == list(hourly.fire_times(noon, noon, limit=100))


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        parse("@daily").next_after(datetime(2026, 1, 1))  # noqa: DTZ001


# --- gaps and folds -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Dst(), ["09T02:30:00-05:00", "10T03:00:00-04:00", "11T02:30:00-04:00"]),
        (Dst(gap=Gap.SKIP), ["09T02:30:00-05:00", "11T02:30:00-04:00", "12T02:30:00-04:00"]),
    ],
)
def test_a_fixed_time_in_a_gap_fires_at_its_end_or_not_at_all(rule: Dst, expected: list[str]) -> None:
    found = walk("0 30 2 * * *", NEW_YORK, "2024-03-08T12:00", 3, dst=rule)

    assert [f"2024-03-{text}" for text in expected] == found


@pytest.mark.parametrize(
    ("fold", "expected"),
    [
        (Fold.FIRST, ["03T01:30:00-04:00", "04T01:30:00-05:00"]),
        (Fold.SECOND, ["03T01:30:00-05:00", "04T01:30:00-05:00"]),
        (Fold.BOTH, ["03T01:30:00-04:00", "03T01:30:00-05:00", "04T01:30:00-05:00"]),
    ],
)
def test_a_fixed_time_shown_twice_fires_the_first_time_the_second_or_both(
    fold: Fold, expected: list[str]
) -> None:
    found = walk("0 30 1 * * *", NEW_YORK, "2024-11-02T12:00", len(expected), dst=Dst(fold=fold))

    assert [f"2024-11-{text}" for text in expected] == found


@pytest.mark.parametrize("dst", [Dst(gap=gap, fold=fold) for gap in Gap for fold in Fold])
def test_an_interval_ignores_the_rule_of_fixed_times(dst: Dst) -> None:
    def count(day: str, place: str) -> int:
        start = at(day, place)
        end = (start.astimezone(ZoneInfo(place)) + timedelta(days=1)).astimezone(UTC)
        second = timedelta(seconds=1)
        return len(
            list(
                parse("@hourly").fire_times(start - second, end - second, zone=zone(place), dst=dst, limit=99)
            )
        )

    assert 25 == count("2024-11-03T00:00", NEW_YORK)
    assert 23 == count("2024-03-10T00:00", NEW_YORK)
    assert 24 == count("2024-04-07T00:00", "Australia/Lord_Howe")
    assert 23 == count("2024-10-06T00:00", "Australia/Lord_Howe")


def test_the_make_up_for_the_last_evening_before_a_gap_stands_on_the_next_day() -> None:
    assert [
        "2024-03-29T23:30:00-02:00",
        "2024-03-31T00:00:00-01:00",
        "2024-03-31T23:30:00-01:00",
    ] == walk("0 30 23 * * *", "America/Nuuk", "2024-03-29T12:00", 3)


def test_a_list_of_hours_fires_each_once_where_a_star_keeps_the_beat() -> None:
    each_once = walk("0 0 0-23 * * *", NEW_YORK, "2024-11-03T00:30", 3)
    beat = walk("0 0 * * * *", NEW_YORK, "2024-11-03T00:30", 3)

    assert ["01:00:00-04:00", "02:00:00-05:00", "03:00:00-05:00"] == [text[11:] for text in each_once]
    assert ["01:00:00-04:00", "01:00:00-05:00", "02:00:00-05:00"] == [text[11:] for text in beat]


# --- what croniter gets wrong ---------------------------------------------------------------------------

JANUARY = "2023-12-31T12:00:00Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0 0 12 8-9 * 0#2", ["01-08", "01-09", "01-14", "02-08"], id="second-sunday-or-days"),
        pytest.param("0 0 12 15W * 1", ["01-01", "01-08", "01-15", "01-22"], id="working-day-or-mondays"),
        pytest.param("0 0 12 4W * 6", ["01-04", "01-06", "01-13", "01-20"], id="working-day-or-saturdays"),
        pytest.param("0 0 12 6 * 5L", ["01-06", "01-26", "02-06", "02-23"], id="day-or-last-friday"),
        pytest.param("0 0 12 * * 1,3#2", ["01-01", "01-08", "01-10", "01-15"], id="plain-and-nth-weekday"),
        pytest.param("0 0 12 * * 5L,2", ["01-02", "01-09", "01-16", "01-23"], id="plain-and-last-weekday"),
        pytest.param("0 0 12 */5 * 0-6", ["01-01", "01-06", "01-11", "01-16"], id="all-weekdays-are-free"),
        pytest.param("0 0 12 1-31 * 1", ["01-01", "01-08", "01-15", "01-22"], id="all-days-are-free"),
        pytest.param("0 0 12 *,5 * 1", ["01-01", "01-08", "01-15", "01-22"], id="a-star-in-a-list"),
    ],
)
def test_days_are_combined_by_one_rule(text: str, expected: list[str]) -> None:
    assert [f"2024-{day}T12:00:00+00:00" for day in expected] == walk(text, "UTC", JANUARY, 4)


@pytest.mark.parametrize(
    "text", ["0 5-5 * * * *", "0 5 9-9 * * *", "0 5 9 1-1 * *", "0 5 9 * * 3-3", "0 5 9 * * SUN-SUN"]
)
def test_a_range_of_one_value_is_that_value(text: str) -> None:
    words = [word.partition("-")[0] for word in text.split()]

    assert parse(" ".join(words)) == parse(text)


@pytest.mark.parametrize("case", JUMPS["next"], ids=lambda case: case["name"])
def test_the_clock_may_jump(case: dict[str, Any]) -> None:
    expected = case["fire_times"]
    found = walk(case["expression"], case["timezone"], case["from"], len(expected))

    assert expected == found


@pytest.mark.parametrize("case", JUMPS["previous"], ids=lambda case: case["name"])
def test_the_clock_may_jump_on_the_way_back(case: dict[str, Any]) -> None:
    expected = case["fire_times"]
    found = walk_back(case["expression"], case["timezone"], case["from"], len(expected))

    assert expected == found


def test_the_end_of_a_gap_matches_if_it_makes_up_for_something() -> None:
    gap_end = at("2024-03-10T03:00", NEW_YORK)

    assert parse("0 30 2 * * *").matches(gap_end, zone(NEW_YORK))
    assert not parse("0 30 2 * * *").matches(gap_end, zone(NEW_YORK), Dst(gap=Gap.SKIP))
    assert not parse("0 */30 2 * * *").matches(gap_end, zone(NEW_YORK))


def test_reading_a_text_twice_gives_the_same_schedule() -> None:
    def fires(cron: Cron) -> list[datetime]:
        return list(cron.fire_times(at(JANUARY), at("2024-02-01T00:00:00Z"), limit=100))

    assert fires(parse("0 */7 3,4 L * 2#1")) == fires(parse("0 */7 3,4 L * 2#1"))
