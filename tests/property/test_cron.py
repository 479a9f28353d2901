"""The laws of cron arithmetic, asked of the engine beside engines that share nothing with it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cronledger.domain.cron import parse
from cronledger.domain.schedule import describe
from cronledger.domain.zone import zone
from cronledger.errors import InvalidCron
from tests.property.cron_oracle import SECOND, Oracle, changes, ever, refuses
from tests.property.cron_strategies import (
    DAYS,
    EARLY,
    INSTANTS,
    MONTHS,
    SPARSE_MINUTES,
    SPARSE_SECONDS,
    WEEKDAYS,
    ZONES,
    Case,
    accepted,
    any_texts,
    day_texts,
    fields,
    numbers,
    ranges,
    sparse_cases,
    starts,
)

OFTEN = settings(max_examples=5 * settings().max_examples)
WINDOW = timedelta(days=2)
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
    place = data.draw(st.sampled_from([name for name in ZONES if len(changes(name)) > 1]))
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
def test_a_fixed_time_fires_once_for_each_date_that_exists(data: st.DataObject) -> None:
    """Counted by nominal date: by the date of the fire it is false in Nuuk every March."""
    place = data.draw(st.sampled_from([name for name in ZONES if len(changes(name)) > 1]))
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


@given(
    FIRING_TEXTS,
    INSTANTS,
    st.sampled_from([("Asia/Kolkata", 19_800), ("Africa/Lagos", 3600), ("Etc/GMT+5", -18_000)]),
)
def test_where_the_clock_never_jumps_a_zone_only_shifts(
    text: str, at: datetime, place: tuple[str, int]
) -> None:
    name, offset = place
    there = parse(text).next_after(at, zone(name))
    here = parse(text).next_after(at + timedelta(seconds=offset))

    assert here == there + timedelta(seconds=offset)


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


# --- relations between expressions ----------------------------------------------------------------------


@given(sparse_cases(), st.integers(0, 2), st.lists(st.integers(0, 23), min_size=2, max_size=4))
def test_a_list_fires_when_any_of_its_items_does(case: Case, index: int, values: list[int]) -> None:
    def with_item(item: str) -> datetime:
        words = case.text.split()
        words[index] = item
        text = " ".join(words)
        return Case(text, case.place, case.rule, case.at).next(case.at)

    assert min(with_item(str(value)) for value in values) == with_item(",".join(map(str, values)))


@given(FIRING_TEXTS, st.randoms(use_true_random=False))
def test_the_order_and_the_repetition_of_items_mean_nothing(text: str, random: object) -> None:
    words = text.split()
    shuffled = []
    for word in words:
        plus, items = ("+", word[1:]) if word.startswith("+") else ("", word)
        mixed = items.split(",") * (1 if "W" in items.replace("WED", "") else 2)
        random.shuffle(mixed)
        shuffled.append(plus + ",".join(mixed if items not in ("?", "*") else [items]))

    assert parse(text) == parse(" ".join(shuffled))
    assert hash(parse(text)) == hash(parse(" ".join(shuffled)))


@given(ranges(0, 59), ranges(0, 23), ranges(1, 12), ranges(0, 6))
def test_a_range_is_the_list_of_its_values(minutes: str, hours: str, months: str, weekdays: str) -> None:
    def listed(text: str, step: int = 1) -> str:
        ends, _, stride = text.partition("/")
        first, _, last = ends.partition("-")
        return ",".join(map(str, range(int(first), int(last) + 1, int(stride or step))))

    ranged = f"0 {minutes} {hours} * {months} {weekdays}"
    written = f"0 {listed(minutes)} {listed(hours)} * {listed(months)} {listed(weekdays)}"

    assert parse(ranged) == parse(written)


@given(sparse_cases(), numbers(0, 23), numbers(0, 23))
def test_more_values_never_fire_later(case: Case, hours: str, more: str) -> None:
    def with_hours(word: str) -> datetime:
        words = case.text.split()
        words[2] = word
        return Case(" ".join(words), case.place, case.rule, case.at).next(case.at)

    assert with_hours(f"{hours},{more}") <= with_hours(hours)


@given(DAYS, MONTHS, WEEKDAYS, INSTANTS)
def test_what_fires_on_both_day_fields_fires_on_either(
    days: str, months: str, weekdays: str, at: datetime
) -> None:
    either, both = f"0 0 12 {days} {months} {weekdays}", f"0 0 12 {days} {months} +{weekdays}"
    assume(accepted(either) and accepted(both))

    assert parse(either).matches(parse(both).next_after(at))
    assert parse(either).next_after(at) <= parse(both).next_after(at)


@given(DAYS, MONTHS, WEEKDAYS)
def test_a_free_day_field_leaves_the_other_alone(days: str, months: str, weekdays: str) -> None:
    for free in ("*", "?"):
        assert parse(f"0 0 12 {free} {months} {weekdays}") == parse(f"0 0 12 1-31 {months} +{weekdays}")
        if accepted(f"0 0 12 {days} {months} *"):
            assert parse(f"0 0 12 {days} {months} {free}") == parse(f"0 0 12 {days} {months} +0-6")


# --- texts ----------------------------------------------------------------------------------------------


@OFTEN
@given(FIRING_TEXTS)
def test_the_canonical_text_means_the_same_and_is_the_only_one(text: str) -> None:
    cron = parse(text)

    assert cron == parse(str(cron))
    assert str(cron) == str(parse(str(cron)))
    assert cron == parse(text.upper()) == parse(text.lower())
    assert cron == parse("\t " + text.replace(" ", " \t ") + "  ")


@given(FIRING_TEXTS)
def test_every_expression_can_be_said_in_english(text: str) -> None:
    sentence = describe(text)

    assert sentence.isascii()
    assert sentence == sentence.strip()
    assert "  " not in sentence


ITEMS = """
    * 0 5 59 60 7 8 24 12 13 32 00 08 008 +5 -1 ** ? , 1, 1,,2 1-5 5-1 5-5 0-7 1-2-3 */7 */0 5/2 */60 1/2/3
    L LW 15W 31W W L-3 1L,2 LW,3 1#2 1#6 5L FRI#L mon,5#1 MON sun-tue FRI-SUN SUN-SUN JAN DEC-JAN H R @daily
"""
TEXTS = st.one_of(
    st.lists(st.sampled_from(ITEMS.split()), min_size=6, max_size=6).map(" ".join),
    st.builds(
        lambda text, at, char: text[: at % (len(text) + 1)] + char + text[at % (len(text) + 1) :],
        any_texts(),
        st.integers(0, 40),
        st.sampled_from("0123456789*/,-#LWR?+HA \t\n\u00a0\u0661\u00b9\u017f_."),
    ),
    st.text(alphabet="0123456789*/,-LW#?+ \t", max_size=30),
    st.text(max_size=40),
)


@OFTEN
@given(TEXTS)
def test_any_text_is_an_expression_or_refused_with_a_reason(text: str) -> None:
    refusal = refused(text)

    if text.strip().startswith("@"):
        return
    assert refuses(text) == (refusal is not None and not refusal.reason.startswith("never fires"))


# --- other engines --------------------------------------------------------------------------------------

SIMPLE_MONTHS = st.one_of(st.just("*"), numbers(1, 12), ranges(1, 12))


@st.composite
def plain_texts(draw: st.DrawFn) -> str:
    """Expressions on which every engine should agree: no `a-a`, no steps in the day fields."""
    times = f"{draw(fields(0, 59, (7, 15)))} {draw(fields(0, 59, (7, 15)))} {draw(fields(0, 23, (2, 5)))}"
    days = draw(st.one_of(st.just("*"), numbers(1, 28)))
    weekdays = draw(st.one_of(st.just("*"), st.sampled_from(["1-5", "0", "6,0", "3"])))
    return f"{times} {days} {draw(SIMPLE_MONTHS)} {weekdays}"


@OFTEN
@given(plain_texts(), INSTANTS, st.booleans())
def test_croniter_agrees_on_plain_fields_in_utc(text: str, at: datetime, both: bool) -> None:
    ours = parse(text.rpartition(" ")[0] + " +" + text.rpartition(" ")[2]) if both else parse(text)

    def theirs() -> croniter:
        return croniter(text, at, second_at_beginning=True, day_or=not both)

    assert theirs().get_next(datetime) == ours.next_after(at)
    assert theirs().get_prev(datetime) == ours.previous_before(at) or ours.previous_before(at) is None


@st.composite
def calendar_texts(draw: st.DrawFn) -> str:
    """Expressions for the days that depend on the month."""
    days = draw(st.one_of(numbers(1, 31), st.sampled_from(["*", "L", "LW", "1-15"])))
    weekdays = draw(st.one_of(numbers(0, 7, 1), st.sampled_from(["*", "1#1", "5L", "0#5", "MON-FRI"])))
    return f"{draw(SPARSE_SECONDS)} {draw(SPARSE_MINUTES)} 9,17 {days} {draw(SIMPLE_MONTHS)} {weekdays}"


@OFTEN
@given(calendar_texts().filter(accepted), INSTANTS)
def test_cronsim_agrees_on_the_calendar(text: str, at: datetime) -> None:
    assert next(CronSim(text, at)) == parse(text).next_after(at)


def refused(text: str) -> InvalidCron | None:
    try:
        parse(text)
    except InvalidCron as refusal:
        return refusal
    return None


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
