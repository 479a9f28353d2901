"""What expressions mean to each other: lists, ranges, orders, texts; and what other engines make of them.

Which test shows which law is told in test_cron.py.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from croniter import croniter
from cronsim import CronSim
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cronledger.domain.cron import parse
from cronledger.domain.schedule import describe
from cronledger.errors import InvalidCron
from tests.property.cron_oracle import refuses
from tests.property.cron_strategies import (
    DAYS,
    INSTANTS,
    MONTHS,
    SPARSE_MINUTES,
    SPARSE_SECONDS,
    WEEKDAYS,
    Case,
    accepted,
    any_texts,
    fields,
    numbers,
    ranges,
    sparse_cases,
)

OFTEN = settings(max_examples=5 * settings().max_examples)
FIRING_TEXTS = any_texts().filter(accepted)


# --- relations between expressions ----------------------------------------------------------------------


@given(sparse_cases(), st.sampled_from([(0, 0, 59), (1, 0, 59), (2, 0, 23), (4, 1, 12)]), st.data())
def test_a_list_fires_when_any_of_its_items_does(
    case: Case, field: tuple[int, int, int], data: st.DataObject
) -> None:
    index, low, high = field
    values = data.draw(st.lists(st.integers(low, high), min_size=2, max_size=4))

    def with_item(item: str) -> datetime:
        return replaced(case, index, item).next(case.at)

    assert min(with_item(str(value)) for value in values) == with_item(",".join(map(str, values)))


@given(sparse_cases(), st.lists(st.integers(1, 28), min_size=2, max_size=4), st.booleans())
def test_a_list_of_days_or_weekdays_fires_when_any_of_its_items_does(
    case: Case, values: list[int], by_weekday: bool
) -> None:
    """While the other day field is free, and unless the list admits every value."""
    free = replaced(replaced(case, 3, "*"), 5, "*")
    items = [str(value % 7 if by_weekday else value) for value in values]

    def with_item(item: str) -> datetime:
        return replaced(free, 5 if by_weekday else 3, item).next(case.at)

    assert min(with_item(item) for item in items) == with_item(",".join(items))


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


@given(sparse_cases(), st.sampled_from([(0, 0, 59), (1, 0, 59), (2, 0, 23), (4, 1, 12)]), st.data())
def test_more_values_never_fire_later(case: Case, field: tuple[int, int, int], data: st.DataObject) -> None:
    index, low, high = field
    values, more = data.draw(numbers(low, high)), data.draw(numbers(low, high))

    assert replaced(case, index, f"{values},{more}").next(case.at) <= replaced(case, index, values).next(
        case.at
    )


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


def replaced(case: Case, index: int, word: str) -> Case:
    """Return a case with another word for one field."""
    words = case.text.split()
    words[index] = word
    return replace(case, text=" ".join(words))


def refused(text: str) -> InvalidCron | None:
    try:
        parse(text)
    except InvalidCron as refusal:
        return refusal
    return None
