"""Texts that are no cron expression: what a person is told, and that it never takes long."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronledger.domain.cron import parse
from cronledger.domain.schedule import schedule_of
from cronledger.errors import InvalidCron

GOLDEN = Path(__file__).parents[2] / "golden" / "cron" / "refused.json"
REFUSED = json.loads(GOLDEN.read_text(encoding="utf-8"))
FIELDS = ("second", "minute", "hour", "day", "month", "weekday")
LIMIT_SECONDS = 0.002
"""Twice of what it takes at most, for machines that are slow at the moment."""
TRIES = 20
LONGEST = 10_000


def refusal(text: str) -> InvalidCron:
    with pytest.raises(InvalidCron) as refused:
        parse(text)
    return refused.value


def parsed(text: str) -> InvalidCron | None:
    """Parse, and render the refusal as far as anybody does."""
    try:
        parse(text)
    except InvalidCron as error:
        return error if error.message and str(error) else None
    return None


# --- what is said ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: ascii(case["text"]))
def test_what_is_no_expression_is_refused_with_field_place_reason_and_hint(case: dict[str, Any]) -> None:
    error = refusal(case["text"])

    assert case == {
        "text": error.text,
        "field": error.field,
        "place": list(error.place),
        "reason": error.reason,
        "hint": error.hint,
    }


def test_what_a_hint_suggests_is_accepted() -> None:
    suggested = [text for case in REFUSED for text in re.findall('"(.*?)"', case["hint"])]
    schedules = [text for case in REFUSED for text in re.findall("`((?:every|at) .*?)`", case["hint"])]

    assert 150 < len(suggested)
    assert [] == [text for text in suggested if parsed(text)]
    assert 20 < len(schedules)
    assert None not in [schedule_of(text) for text in schedules]


def test_the_stored_refusals_tell_of_every_field_and_of_none() -> None:
    assert {None, *FIELDS} == {case["field"] for case in REFUSED}
    assert len(REFUSED) == len({case["text"] for case in REFUSED})
    assert 300 <= len(REFUSED)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: ascii(case["text"]))
def test_what_is_said_can_be_printed_on_a_line(case: dict[str, Any]) -> None:
    error = refusal(case["text"])
    lines = str(error).split("\n")

    assert all(line.isprintable() for line in [*lines, error.message, error.reason, error.hint or ""])
    assert all(line.isascii() and len(line) <= 160 for line in lines)
    assert len(lines) in (1, 3)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0 60 * * * *", ["minute: 60 is outside 0-59", "  0 60 * * * *", "    ^^"]),
        ("\t0\t3 24 * * *", ["hour: 24 is outside 0-23", "   0 3 24 * * *", "       ^^"]),
        ("0 1,,2 * * * *", ["minute: an item is empty", "  0 1,,2 * * * *", "      ^"]),
        ("0 0 0 31 4 * ", ["day: never fires: these dates do not exist", "  0 0 0 31 4 * ", "        ^^"]),
        ("0 *\\5 * * * *", ["minute: \\ has no meaning in a schedule", "  0 *\\5 * * * *", "     ^"]),
        ("0 0\n0 * * *", ["a line break (U+000A) is not allowed", "  0 0\\n0 * * *", "     ^^"]),
        ("0 0 0 1", ["4 fields instead of six", "  0 0 0 1", "  ^^^^^^^"]),
        (" ", ["there are no fields"]),
    ],
)
def test_carets_stand_under_the_place(text: str, shown: list[str]) -> None:
    assert shown == str(refusal(text)).split("\n")


def test_of_a_long_text_only_what_is_round_the_place_is_shown() -> None:
    text = f"0 {'1,' * 100}60,{'2,' * 100}3 * * * *"
    error = refusal(text)

    assert (202, 204) == error.place
    assert text == error.text
    assert [
        "minute: 60 is outside 0-59",
        "  ..." + "1," * 13 + "60," + "2," * 20 + "2...",
        "  " + " " * 29 + "^^",
    ] == str(error).split("\n")
    assert f"invalid schedule '...{'1,' * 13}60,{'2,' * 20}2...': minute: 60 is outside 0-59" == error.message


def test_a_very_long_text_is_refused_without_being_repeated() -> None:
    error = refusal("0 " * 100_000)

    assert "longer than 1000 characters" == error.reason
    assert 140 > len(error.message)
    assert 240 > len(str(error))


def test_a_place_is_the_field_where_nothing_more_is_known() -> None:
    assert (8, 10) == InvalidCron("0 0  0  31 2 *", "never fires", field="day").place
    assert (1, 6) == InvalidCron(" a day ", "no idea").place
    assert (1, 6) == InvalidCron(" a day ", "no idea", field="day").place


# --- any text -------------------------------------------------------------------------------------------

TOKENS = ["*", "?", "L", "W", "#", "/", "-", ",", "+", "H", "~", "@", "%", " ", "\t", "0", "5", "60", "99"]
TOKENS += [
    "MON",
    "SUN",
    "JAN",
    "MONDAY",
    "every",
    "at",
    "2026-12-24",
    "TZ=",
    "cron(",
    '"',
    "\n",
    "\u0661",
    "9" * 50,
]
ITEMS = st.lists(st.sampled_from(TOKENS), max_size=300).map("".join)
BYTES = st.binary(max_size=LONGEST)


@given(
    st.one_of(
        st.text(max_size=LONGEST),
        BYTES.map(lambda found: found.decode("latin-1")),
        BYTES.map(lambda found: found.decode("utf-8", "surrogateescape")),
        ITEMS,
        st.lists(ITEMS, min_size=4, max_size=8).map(" ".join),
    )
)
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    error = parsed(text)

    assert error is None or 0 <= error.place[0] <= error.place[1] <= len(text)
    assert error is None or error.hint
    assert error is None or [] == [each for each in re.findall('"(.*?)"', error.hint or "") if parsed(each)]


@given(st.sampled_from(TOKENS), st.integers(1, 5000), st.integers(0, 5), st.booleans())
def test_a_field_of_thousands_of_items_is_read_or_refused(
    token: str, number: int, index: int, is_list: bool
) -> None:
    words = ["0", "0", "0", "*", "*", "*"]
    words[index] = ("," if is_list else "").join([token] * number)
    error = parsed(" ".join(words))

    assert error is None or error.reason


# --- in bounded time ------------------------------------------------------------------------------------

PIECES = [
    "*",
    ",",
    "1,",
    "0 ",
    "9",
    "1-",
    "*/",
    "-",
    "@",
    "H(",
    "\0",
    "\U0001f600",
    "\u0661 ",
    "MON,",
    " ",
    "\t",
    "\n",
]
PIECES += [
    "\\",
    '"',
    "L",
    "5#",
    "~",
    "A",
    "\udc80",
    "every ",
    "1h ",
    "TZ=",
    "P1D",
    "1:",
    "1.",
    "(",
    "{{",
    "$A",
    "?",
    "+",
]
PIECES += [
    "a\u0301",
    "\ufdfa",
    " /",
    "- ",
    "# ",
    "MONDAY,",
    "JANUARY-",
    "TEUSDAY,",
    "cron(",
    "4 \u2009",
    "00",
]


def filled(piece: str, length: int) -> str:
    return (piece * (length // len(piece) + 1))[:length]


def adversarial(piece: str) -> list[str]:
    """Return texts of one piece over and over: alone, and as each of the fields."""
    alone = [filled(piece, length) for length in (LONGEST, 1001, 1000, 101, 100, 80)]
    rest = ["0", "0", "0", "*", "*", "*"]
    in_fields = [
        " ".join([*rest[:index], filled(piece, length) + end, *rest[index + 1 :]])
        for length in (980, 85, 60)
        for index in range(6)
        for end in ("", "x", "60")
    ]
    return alone + in_fields


def is_quick(text: str) -> bool:
    """Whether a refusal takes less than the limit; only one of many tries need show it."""
    for _ in range(TRIES):
        begun = time.thread_time()
        error = parsed(text)
        if error is None or time.thread_time() - begun < LIMIT_SECONDS:
            return True
    return False


@pytest.mark.parametrize("piece", PIECES, ids=ascii)
def test_a_refusal_takes_a_millisecond_or_so_at_most(piece: str) -> None:
    assert [] == [text for text in adversarial(piece) if not is_quick(text)]


def test_the_stored_refusals_take_a_millisecond_or_so_at_most() -> None:
    assert [] == [case["text"] for case in REFUSED if not is_quick(case["text"])]


def test_many_mistakes_in_one_text_take_a_millisecond_or_so_at_most() -> None:
    texts = [
        "60 61 24 32 13 8",
        "60 60 24 MONDAYY JANURAY TEUSDAY-WENDSDAY",
        "0 0 0 * * SUNDAY,MONDAY,TUESDAY,WEDNESDAY,THURSDAY,FRIDAY,SATURDAY,JANUARYX",
        "0 "
        + ",".join(f"{first}-{last}" for first in range(16) for last in range(49, 58))[:960]
        + ",60 * * * *",
    ]

    assert [] == [text for text in texts if not is_quick(text)]
