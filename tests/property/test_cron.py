"""The laws of cron arithmetic, asked of the engine beside engines that share nothing with it.

The laws (n is next, p is previous) and the tests that show them; 14 to 19 and 21 stand in test_cron_texts.py:

 1. n(t) > t and p(t) < t: `next_is_later_and_previous_earlier_also_within_a_second`
 2. n(t) and p(t) are fire times, and 3. none lies between: `next_is_the_first_later_fire_time_...`,
    `matches_is_membership`, and test_cron_everywhere.py
 4. n and p undo each other: `next_and_previous_undo_each_other`
 5. it does not matter from where one asks: `it_does_not_matter_from_where_before_a_fire_time_one_asks`
 6. later starts find later fire times: `a_later_start_never_finds_an_earlier_fire_time`
 7. counts add up: `the_fire_times_of_a_stretch_are_those_of_its_two_parts`
 8. an interval follows the clock's readings: `an_interval_fires_whenever_the_clock_shows_a_matching_time`,
    `an_interval_fires_alike_in_both_passes_of_a_fold`
 9. a fixed time fires once a date, and 10. never early, late only in a gap:
    `a_fixed_time_fires_once_for_each_date_that_exists`
11. without jumps a zone only shifts: `where_the_clock_never_jumps_a_zone_only_shifts`
12. the calendar repeats after 400 years, and 13. no wait is longer than forty: the tests of these names
14. a list is the union of its items: `a_list_fires_when_any_of_its_items_does`
15. sets count, not spelling: `the_order_and_the_repetition_of_items_mean_nothing`,
    `a_range_is_the_list_of_its_values`
16. more values, more fire times: `more_values_never_fire_later`
17. both day fields are contained in either: `what_fires_on_both_day_fields_fires_on_either`,
    `a_free_day_field_leaves_the_other_alone`
18. the canonical text means the same: `the_canonical_text_means_the_same_and_is_the_only_one`
19. any text is an expression or refused: `any_text_is_an_expression_or_refused_with_a_reason`
20. what is refused as never firing never fires: `an_expression_is_refused_as_never_firing_exactly_when_...`
21. other engines agree in UTC: `croniter_agrees_...`, `cronsim_agrees_...`; and test_cron_opinions.py
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cronledger.domain.cron import parse
from cronledger.domain.zone import zone
from tests.property.cron_oracle import EPOCH, SECOND, Oracle, ever
from tests.property.cron_strategies import (
    EARLY,
    INSTANTS,
    MOVING,
    STILL,
    Case,
    accepted,
    any_texts,
    day_texts,
    sparse_cases,
    starts,
)
from tests.property.zone_files import changes, jumps

OFTEN = settings(max_examples=5 * settings().max_examples)
WINDOW = timedelta(days=2)
LATE = datetime(2040, 1, 1, tzinfo=UTC)
GREGORIAN_PERIOD = timedelta(days=146_097)
FIRING_TEXTS = any_texts().filter(accepted)


# --- next and previous ----------------------------------------------------------------------------------


@OFTEN
@given(sparse_cases())
def test_next_is_the_first_later_fire_time_and_previous_the_last_earlier_one(case: Case) -> None:
    fires = case.oracle.fires(case.at - WINDOW, case.at + WINDOW)
    later = [fire for fire in fires if fire > case.at]
    earlier = [fire for fire in fires if fire < case.at]
    following = case.next(case.at)
    preceding = case.previous(case.at)

    assert later[:1] == [following] if following <= case.at + WINDOW else not later
    assert earlier[-1:] == [preceding] if preceding >= case.at - WINDOW else not earlier
    assert case.oracle.is_fire(following)
    assert case.oracle.is_fire(preceding)


@OFTEN
@given(sparse_cases())
def test_matches_is_membership(case: Case) -> None:
    fire = case.next(case.at)

    assert case.oracle.is_fire(case.at) == case.cron.matches(case.at, case.zone, case.rule)
    assert case.cron.matches(fire, case.zone, case.rule)
    assert not case.cron.matches(fire + timedelta(microseconds=1), case.zone, case.rule)


@given(sparse_cases(), st.integers(1, 999_999))
def test_next_is_later_and_previous_earlier_also_within_a_second(case: Case, micros: int) -> None:
    fire = case.next(case.at)
    inside = fire + timedelta(microseconds=micros)

    assert case.previous(case.at) < case.at < fire
    assert fire == case.next(fire - timedelta(microseconds=micros))
    assert fire == case.previous(inside)
    assert inside < case.next(inside)


@OFTEN
@given(sparse_cases())
def test_next_and_previous_undo_each_other(case: Case) -> None:
    following, preceding = case.next(case.at), case.previous(case.at)
    is_fire = case.oracle.is_fire(case.at)

    assert (case.at if is_fire else preceding) == case.previous(following)
    assert (case.at if is_fire else following) == case.next(preceding)
    assert following == case.next(case.previous(following))
    assert preceding == case.previous(case.next(preceding))


@given(sparse_cases(), st.integers(0, 999))
def test_it_does_not_matter_from_where_before_a_fire_time_one_asks(case: Case, thousandths: int) -> None:
    following, preceding = case.next(case.at), case.previous(case.at)

    assert following == case.next(case.at + (following - case.at) * thousandths // 1000)
    assert preceding == case.previous(case.at - (case.at - preceding) * thousandths // 1000)


@given(sparse_cases(), st.integers(0, 200_000))
def test_a_later_start_never_finds_an_earlier_fire_time(case: Case, seconds: int) -> None:
    later = case.at + timedelta(seconds=seconds)

    assert case.next(case.at) <= case.next(later)
    assert case.previous(case.at) <= case.previous(later)


@OFTEN
@given(sparse_cases(), st.integers(0, 300_000), st.integers(0, 300_000))
def test_the_fire_times_of_a_stretch_are_those_of_its_two_parts(case: Case, one: int, other: int) -> None:
    middle = case.at + timedelta(seconds=one)
    end = middle + timedelta(seconds=other)

    def between(after: datetime, until: datetime) -> list[datetime]:
        found = case.cron.fire_times(after, until, zone=case.zone, dst=case.rule, limit=10_000)
        return list(found)

    whole = between(case.at, end)

    assert whole == between(case.at, middle) + between(middle, end)
    assert whole == [fire for fire in case.oracle.fires(case.at, end) if fire > case.at]


# --- gaps and folds -------------------------------------------------------------------------------------


@given(st.data())
def test_an_interval_fires_whenever_the_clock_shows_a_matching_time(data: st.DataObject) -> None:
    place = data.draw(MOVING)
    turn = data.draw(st.sampled_from(changes(place)[1:]))
    since = turn + timedelta(seconds=data.draw(st.integers(-4000, 3600)))
    steps = st.sampled_from(
        ["* */5 *", "*/7 * *", "*/30 */2 *", "*/10 5-50/9 */2", "15 * 0-3,21-23", "*/59 * 1"]
    )
    text = data.draw(steps) + " * * *"
    until = since + timedelta(seconds=1500)
    oracle = Oracle(text, place)
    found = list(parse(text).fire_times(since, until, zone=zone(place), limit=10_000))

    assert [at for at in (since + SECOND * n for n in range(1, 1501)) if oracle.is_fire(at)] == found


@given(st.data())
def test_an_interval_fires_alike_in_both_passes_of_a_fold(data: st.DataObject) -> None:
    place = data.draw(MOVING)
    folds = [jump for jump in jumps(place, EARLY, LATE) if jump.after < jump.before]
    assume(folds)
    fold = data.draw(st.sampled_from(folds))
    turn, length = EPOCH + SECOND * fold.at, SECOND * (fold.before - fold.after)
    cron = parse(
        data.draw(st.sampled_from(["* */5 *", "0 */7 1-3", "*/20 5,35 */2", "30 * 0,1,23"])) + " * * *"
    )

    def between(after: datetime, until: datetime) -> list[datetime]:
        return list(cron.fire_times(after - SECOND, until - SECOND, zone=zone(place), limit=100_000))

    assert between(turn, turn + length) == [at + length for at in between(turn - length, turn)]


@given(st.data())
def test_a_fixed_time_fires_once_for_each_date_that_exists(data: st.DataObject) -> None:
    """Counted by nominal date: by the date of the fire it is false in Nuuk every March."""
    place = data.draw(MOVING)
    turn = data.draw(st.sampled_from(changes(place)[1:]))
    tz = ZoneInfo(place)
    hour = data.draw(st.sampled_from([0, 1, 2, 3, 23]) | st.integers(0, 23))
    minute, second = data.draw(st.integers(0, 59)), data.draw(st.integers(0, 59))
    hours = [(turn + timedelta(hours=n)).astimezone(tz) for n in range(-100, 100)]
    dates = sorted({at.date() for at in hours})[1:-1]
    times = [
        datetime.combine(day, datetime.min.time()).replace(hour=hour, minute=minute, second=second)
        for day in dates
    ]
    since, until = _midnight(dates[0], tz), _midnight(dates[-1] + timedelta(days=1), tz)
    cron = parse(f"{second} {minute} {hour} * * *")
    found = list(cron.fire_times(since - SECOND, until - SECOND, zone=zone(place), limit=1000))

    assert len(dates) == len(set(found))
    for time, fire in zip(times, found, strict=True):
        local = fire.astimezone(tz).replace(tzinfo=None)
        exists = time.replace(tzinfo=tz).astimezone(UTC).astimezone(tz).replace(tzinfo=None) == time
        assert local == time if exists else (local > time and fire in changes(place))


@given(FIRING_TEXTS, INSTANTS.filter(lambda at: at.year < 2038), STILL)
def test_where_the_clock_never_jumps_a_zone_only_shifts(text: str, at: datetime, place: str) -> None:
    offset = timedelta(seconds=zone(place).offset_at(0))
    there = parse(text).next_after(at, zone(place))
    here = parse(text).next_after(at + offset)

    assert here == there + offset


# --- the calendar ---------------------------------------------------------------------------------------


@given(FIRING_TEXTS, INSTANTS)
def test_the_calendar_repeats_after_four_hundred_years(text: str, at: datetime) -> None:
    cron = parse(text)
    later = at + GREGORIAN_PERIOD * 3

    assert cron.next_after(at) + GREGORIAN_PERIOD * 3 == cron.next_after(later)
    assert cron.next_after(at) + GREGORIAN_PERIOD == cron.next_after(at + GREGORIAN_PERIOD)


@given(FIRING_TEXTS, st.integers(0, 1000 * 365 * 86400).map(lambda n: EARLY + timedelta(seconds=n)))
@example("0 0 0 29 2 +1", datetime(2072, 2, 29, tzinfo=UTC))
def test_no_fire_time_is_more_than_forty_years_away(text: str, at: datetime) -> None:
    assert parse(text).next_after(at) - at <= timedelta(days=14_610)


@OFTEN
@given(day_texts(), INSTANTS)
def test_days_are_those_of_the_calendar(text: str, at: datetime) -> None:
    assume(accepted(text))
    oracle = Oracle(text)
    found = list(parse(text).fire_times(at, at + timedelta(days=400), limit=1000))
    noons = (
        datetime.combine(at.date(), datetime.min.time(), UTC) + timedelta(days=n, hours=12)
        for n in range(402)
    )

    assert [
        noon for noon in noons if at < noon <= at + timedelta(days=400) and oracle.on_day(noon.date())
    ] == found


@given(day_texts())
@example("0 0 12 30 2 *")
@example("0 0 12 31 4,6,9,11 *")
@example("0 0 12 29 2 +5#5")
@example("0 0 12 30 2 +1")
@example("0 0 12 31W 4 ?")
def test_an_expression_is_refused_as_never_firing_exactly_when_no_kind_of_year_has_such_a_day(
    text: str,
) -> None:
    assert ever(text) == accepted(text)


def _midnight(day: date, tz: ZoneInfo) -> datetime:
    """Return the first instant of a date."""
    guess = datetime.combine(day, datetime.min.time(), UTC) - timedelta(hours=30)
    while guess.astimezone(tz).date() < day:
        guess += timedelta(minutes=15)
    while (guess - SECOND).astimezone(tz).date() >= day:
        guess -= SECOND
    return guess


@given(starts())
def test_a_zone_reads_like_zoneinfo(asked: tuple[str, datetime]) -> None:
    name, at = asked
    seconds = int(at.timestamp())

    assert at.astimezone(ZoneInfo(name)).utcoffset() == timedelta(seconds=zone(name).offset_at(seconds))
