"""Why a number, a name, a step or a range cannot stand in its field, and what stands nearest to it."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache

from cronledger.domain.cron_fields import DAY, FIELDS, HOUR, MINUTE, MONTH, WEEKDAY, Field
from cronledger.domain.cron_refusal.item import Item, number_of, usage
from cronledger.domain.cron_refusal.problem import Problem, every, quoted

_UNITS = {"second": "s", "minute": "m", "hour": "h", "day": "d"}
_FULL_NAMES = {
    MONTH: (
        *("JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE", "JULY"),
        *("AUGUST", "SEPTEMBER", "OCTOBER", "NOVEMBER", "DECEMBER"),
    ),
    WEEKDAY: ("SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY"),
}
_ALIKE = 0.6
_TOO_LARGE = 10_000
"""Larger numbers say nothing about what was meant."""
_LONGEST_NAME = 14
_WORDS = {
    "ALL": "*",
    "ANY": "*",
    "EVERY": "*",
    "EACH": "*",
}
_WORDS_OF_FIELD = {
    HOUR: {"NOON": "12", "MIDNIGHT": "0"},
    DAY: {"LAST": "L", "FIRST": "1", "EOM": "L"},
    WEEKDAY: dict.fromkeys(("WEEKDAY", "WEEKDAYS", "WORKDAY", "WORKDAYS", "WORKING"), "1-5")
    | dict.fromkeys(("WEEKEND", "WEEKENDS"), "0,6"),
}
_LETTERS_FOR_DIGITS = str.maketrans("OIL", "011")


# --- values ---------------------------------------------------------------------------------------------


def bad_value(item: Item, found: re.Match[str], part: int) -> Problem:
    """Say why the first (1) or the last (2) value of an item is none."""
    token, span = found[part], found.span(part)
    if not token.isdigit():
        return _bad_name(item, token, span)
    field = item.field
    digits = token.lstrip("0")
    number = int(digits or 0) if len(digits) <= len(str(_TOO_LARGE)) else _TOO_LARGE
    if field.low <= number <= field.top:
        repair = _put(item, span, str(number))
        return item.problem(f"{quoted(token)} has more than two digits", f"write {number}", repair, span=span)
    reason = f"{quoted(token)} is outside {field.low}-{field.top}"
    hint, repairs = _outside(item, found, part, number)
    return item.problem(reason, hint, *repairs, span=span)


def _outside(item: Item, found: re.Match[str], part: int, number: int) -> tuple[str, list[str]]:
    """Return the hint and the repairs for a number that is too small or too large."""
    field = item.field
    if 1970 <= number <= 2199 and len(found[part]) == 4 and field is not HOUR:
        return "there is no field for the year", []
    if part == 2 and number <= field.top + 1 and found[1].isdigit():
        return f"the last one is {field.top}", [_to_the_end(item, found)]
    if part == 1 and found[2] and number == 0:
        return f"the first one is {field.low}", [_from_the_start(item, found)]
    match field.name:
        case "day":
            return "the first day of the month is 1, the last one is L", []
        case "month":
            return "January is 1, December is 12", [item.swapped(DAY)] * (number > 12)
        case "weekday":
            return "Sunday is 0 or 7, Monday is 1, Saturday is 6", [item.swapped(DAY)] * (number > 9)
        case _:
            return _outside_the_clock(item, found, part, number)


def _outside_the_clock(item: Item, found: re.Match[str], part: int, number: int) -> tuple[str, list[str]]:
    field = item.field
    if number == field.high + 1:
        items = item.word(field).split(",")
        rest = ",".join(each for each in items if each != item.capitals)
        repair = item.changed((field, rest)) if "0" in items else _put(item, found.span(part), "0")
        return f"after {field.high} comes 0", [repair]
    if field is HOUR and item.capitals.isdigit() and (repairs := _as_minutes(item, number)):
        return usage(field), repairs
    if number >= _TOO_LARGE or not item.capitals.isdigit() or not _is_beat(item):
        return usage(field), []
    return f"for an interval of {number} {field.name}s {every(f'{number}{_UNITS[field.name]}')}", []


def _as_minutes(item: Item, number: int) -> list[str]:
    """Read an hour that is none as the minute of the hour before it, or as hour and minute in one."""
    minute = item.word(MINUTE)
    if number < 60 and minute.isdigit() and (int(minute[:4]) > 0 or number > 31):
        return [item.swapped(MINUTE)]
    hours, minutes = divmod(number, 100)
    if 1 <= hours < 24 and minutes < 60:
        return [item.changed((MINUTE, str(minutes)), (HOUR, str(hours)))]
    return []


def _to_the_end(item: Item, found: re.Match[str]) -> str:
    """Count from the field's first value if the range does so from 1: 1-60 and 0-60 mean 0-59."""
    field = item.field
    start = field.low if found[1].lstrip("0") in ("", "1") else found[1]
    return item.replaced(f"{start}-{field.top}" + (f"/{found[3]}" if found[3] else ""))


def _from_the_start(item: Item, found: re.Match[str]) -> str:
    """Count from 1 to the end if the range does so from 0: 0-11 and 0-12 mean 1-12."""
    field = item.field
    end = field.top if found[2].isdigit() and int(found[2][:4]) == field.top - 1 else found[2]
    return item.replaced(f"{field.low}-{end}" + (f"/{found[3]}" if found[3] else ""))


def _put(item: Item, span: tuple[int, int], new: str) -> str:
    """Return the text with a span of the item replaced."""
    return item.replaced(item.capitals[: span[0]] + new + item.capitals[span[1] :])


# --- names ----------------------------------------------------------------------------------------------


def _bad_name(item: Item, token: str, span: tuple[int, int]) -> Problem:
    field = item.field
    shown = quoted(item.text[item.start + span[0] : item.start + span[1]])
    known = (_WORDS | _WORDS_OF_FIELD.get(field, {})).get(token)
    if known and token == item.capitals:
        return item.problem(f"{shown} is not a value", f"write {known}", item.replaced(known))
    reason = f"{shown} is not a {'name' if field.names else 'number'} here"
    if near := near_name(field, token):
        short = "Names have three letters"
        repairs = (_with_names(item), _put(item, span, near))
        return item.problem(reason, f"{short}: {near}", *repairs, span=span, remark=short)
    for other, what in ((WEEKDAY, "a weekday"), (MONTH, "a month")):
        if other is not field and near_name(other, token):
            swapped = [item.swapped(other)] * (field.order >= DAY.order)
            hint = f"the {other.name} is field {other.order + 1}"
            return item.problem(f"{shown} is {what}", hint, *swapped, span=span)
    hint = f"names are {' '.join(field.names)}" if field.names else usage(field)
    digits = [_put(item, span, token.translate(_LETTERS_FOR_DIGITS))] if len(token) <= 2 else []
    return item.problem(reason, hint, *digits, span=span)


@lru_cache(maxsize=256)
def near_name(field: Field, token: str) -> str | None:
    """Return the name that a word most likely stands for.

    >>> near_name(WEEKDAY, "TUES"), near_name(MONTH, "OKT"), near_name(MONTH, "FOO")
    ('TUE', 'OCT', None)
    """
    if not 2 <= len(token) <= _LONGEST_NAME or not field.names:
        return None
    if token in field.names:
        return token
    full = _FULL_NAMES[field]
    if starting := [name for name in full if name.startswith(token)]:
        return starting[0][:3] if len(starting) == 1 else None
    likely = [name for name in full if _begins_alike(name[:3], token[:3])]
    if len(token) == 3:
        return likely[0][:3] if len(likely) == 1 else None
    ratios = [(difflib.SequenceMatcher(None, token, name).ratio(), name[:3]) for name in likely]
    best = max(ratios, default=(0.0, ""))
    return best[1] if best[0] >= _ALIKE else None


def _begins_alike(name: str, token: str) -> bool:
    if name[0] != token[0]:
        return False
    return sorted(name) == sorted(token) or sum(map(str.__eq__, name, token)) >= 2


def _with_names(item: Item) -> str:
    """Return the text with every name of the field in its short form."""

    def short(found: re.Match[str]) -> str:
        return near_name(item.field, found[0].upper()) or found[0]

    return item.changed((item.field, re.sub("[A-Za-z]{2,14}", short, item.word(item.field))))


# --- steps ----------------------------------------------------------------------------------------------


def bad_step(item: Item, found: re.Match[str]) -> Problem:
    """Say why the step of an item is none."""
    field, span = item.field, found.span(3)
    digits = found[3].lstrip("0")
    number = int(digits or 0) if len(digits) <= len(str(_TOO_LARGE)) else _TOO_LARGE
    if number == 0:
        return item.problem("a step of 0 leads nowhere", f"use a step from 1 to {field.high}", span=span)
    if number <= field.high:
        repair = _put(item, span, str(number))
        return item.problem(
            f"{quoted(found[3])} has more than two digits", f"write {number}", repair, span=span
        )
    reason = f"step {quoted(found[3])} is larger than the field's maximum, {field.high}"
    hint = f"a step starts again with every {field.period}; write the values you mean as a list"
    if field.high == number - 1 and field is not MONTH:
        first = found[1] or str(field.low)
        return item.problem(reason, hint, item.replaced(first), span=span)
    if found[1] is None and number < _TOO_LARGE and _is_beat(item):
        hint = f"a step starts again with every {field.period}; for every {number} {field.name}s "
        hint += every(f"{number}{_UNITS[field.name]}")
    return item.problem(reason, hint, span=span)


def _is_beat(item: Item) -> bool:
    """Whether the item is all that limits the schedule: an interval could take its place."""
    words = [item.word(field) for field in FIELDS]
    before, (word, *behind) = words[: item.field.order], words[item.field.order :]
    is_alone = word.upper() == item.capitals and all(map(str.isdigit, before)) and set(behind) <= {"*", "?"}
    return is_alone and item.field.name in _UNITS


# --- ranges ---------------------------------------------------------------------------------------------


def runs_backwards(item: Item, found: re.Match[str]) -> Problem:
    """Split a range that ends before it starts in two: to the end of the field, and on from its beginning."""
    field, (first, last, step) = item.field, found.groups()
    start, end = number_of(field, first), number_of(field, last)
    assert start is not None
    assert end is not None
    reason = f"the range {item.shown} runs backwards"
    size = field.high - field.low + 1
    if step:
        values = [field.low + (value - field.low) % size for value in range(start, end + size + 1, int(step))]
        parts = ",".join(map(str, values)) if len(values) <= 12 else ""
    else:
        is_sunday = field is WEEKDAY and end == 0
        parts = _span(field, first, None) + ("" if is_sunday else f",{_span(field, None, last)}")
    return item.problem(reason, "write two ranges", *([item.replaced(parts)] if parts else []))


def _span(field: Field, first: str | None, last: str | None) -> str:
    """Write the range from a value to the end of the field, or from its beginning to a value."""
    if first is not None:
        end = (
            "SUN"
            if field is WEEKDAY and first.isalpha()
            else field.names[-1]
            if first.isalpha()
            else str(field.top)
        )
        return first if number_of(field, first) == field.top else f"{first}-{end}"
    assert last is not None
    low = 1 if field is WEEKDAY else field.low
    begin = field.names[1 if field is WEEKDAY else 0] if last.isalpha() else str(low)
    return last if number_of(field, last) == low else f"{begin}-{last}"
