"""The text of a cron expression: six fields, seconds first, read strictly.

`read` returns the value sets that a text stands for and refuses everything else; why, where, and what was
probably meant is worked out afterwards by `cronledger.domain.cron_refusal`. Whether the dates ever occur is
decided by `cronledger.domain.cron.parse`.

A field is one integer, a bit per value. Days and weekdays have further bits for the days that depend on the
month: `L`, `LW`, `15W` above bit 31; `5#2` and `5L` above bit 6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from cronledger.domain.cron_fields import DAY, FIELDS, HOUR, MAX_LENGTH, NICKNAMES, WEEKDAY, Field
from cronledger.domain.cron_refusal.problem import Refused
from cronledger.domain.cron_refusal.reasons import refusal
from cronledger.domain.definition import DayMatch

ALL_DAYS = (1 << 32) - 2
ALL_MONTHS = (1 << 13) - 2
ALL_WEEKDAYS = (1 << 7) - 1
LAST_DAY = 1 << 32
LAST_WORKDAY = 1 << 33
NEAREST = 33
"""Bit 33 + n: the working day nearest to day n."""
LAST = 6
"""Bit 7 * n + d: the n-th weekday d of the month; n = 0 is every one, n = 6 the last one."""

_STAR = 1 << 96
_NOTHING = 0
"""The mask of an item that cannot be read: one that can sets a bit."""
_VALUE = "[0-9]{1,2}|[A-Z]{3}"
_RANGE = re.compile(rf"(?:(\*)|({_VALUE})(?:-({_VALUE}))?)(?:/([0-9]{{1,2}}))?")
_NEAREST_DAY = re.compile(r"([0-9]{1,2})W")
_WEEKDAY_OF_MONTH = re.compile(rf"({_VALUE})(?:#([1-5]|L)|L)")
_LENGTHS = (
    (2, 29),
    *((month, 30) for month in (4, 6, 9, 11)),
    *((month, 31) for month in (1, 3, 5, 7, 8, 10, 12)),
)


class Spec(NamedTuple):
    """What an expression means: equal specs fire equally, however they were spelled."""

    seconds: int
    minutes: int
    hours: int
    days: int
    months: int
    weekdays: int
    interval: bool
    """A `*` stands in second, minute or hour: follows the clock's readings, not nominal times."""
    both: bool
    """Both day fields are restricted and both must match."""


def read(text: str, day_match: DayMatch) -> Spec:
    """Read an expression; raises InvalidCron with the field, the place, the reason and often a hint."""
    try:
        return _read(text, day_match)
    except Refused as refused:
        raise refusal(text, refused, lambda other: _check(other, day_match)) from None


def _check(text: str, day_match: DayMatch) -> Refused | None:
    """Return what is wrong with a text that a hint might suggest; None: it can be read and fires."""
    try:
        spec = _read(text, day_match)
    except Refused as refused:
        return refused
    return None if _surely_fires(spec) else Refused()


# --- the whole ------------------------------------------------------------------------------------------


def _read(text: str, day_match: DayMatch) -> Spec:
    words = split(text)
    both = day_match is DayMatch.AND
    if words[5].startswith("+"):
        both = True
        words[5] = words[5][1:]
    seconds, minutes, hours, days, months, weekdays = (
        _values(index, word) for index, word in enumerate(words)
    )
    interval = bool((seconds | minutes | hours) & _STAR)
    days = ALL_DAYS if days & ALL_DAYS == ALL_DAYS else days
    weekdays = ALL_WEEKDAYS if weekdays & ALL_WEEKDAYS == ALL_WEEKDAYS else weekdays
    both = both and days != ALL_DAYS and weekdays != ALL_WEEKDAYS
    if interval:
        seconds, minutes, hours = seconds & ~_STAR, minutes & ~_STAR, hours & ~_STAR
    return Spec(seconds, minutes, hours, days, months, weekdays, interval, both)


def split(text: str) -> list[str]:
    """Return the six fields of a text, in capitals, with nicknames spelled out; raises Refused."""
    if not (text.isascii() and (text.isprintable() or _only_tabs(text)) and len(text) <= MAX_LENGTH):
        raise Refused
    words = text.upper().split()
    if len(words) == len(FIELDS):
        return words
    if len(words) == 1 and words[0] in NICKNAMES:
        return NICKNAMES[words[0]].split()
    raise Refused


def _only_tabs(text: str) -> bool:
    """Whether tabs are all that cannot be printed."""
    return len(text) <= MAX_LENGTH and text.replace("\t", " ").isprintable()


def _surely_fires(spec: Spec) -> bool:
    """Whether there are such dates; also False where only the calendar could tell."""
    if not spec.both:
        return bool(spec.days & LAST_DAY | spec.days & LAST_WORKDAY) or any(
            spec.months >> month & 1 and (spec.days | spec.days >> NEAREST) & ((2 << length) - 2)
            for month, length in _LENGTHS
        )
    plain = spec._replace(both=False, days=spec.days & (ALL_DAYS | LAST_DAY))
    return bool(spec.weekdays & ALL_WEEKDAYS) and _surely_fires(plain)


# --- fields ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _values(index: int, word: str) -> int:
    field = FIELDS[index]
    if word == "?" and (field is DAY or field is WEEKDAY):
        return ALL_DAYS if field is DAY else ALL_WEEKDAYS
    if field is DAY and (nearest := _NEAREST_DAY.fullmatch(word)):
        day = _value(field, nearest[1])
        if day < 0:
            raise Refused(field, word)
        return 1 << NEAREST + day
    mask = _NOTHING
    for item in dict.fromkeys(word.split(",")):
        found = _item(field, item)
        if found == _NOTHING:
            raise Refused(field, item)
        mask |= found
    return mask if index <= HOUR.order else mask & ~_STAR


def _item(field: Field, item: str) -> int:
    if found := _RANGE.fullmatch(item):
        return _range(field, found)
    if field is DAY and item in ("L", "LW"):
        return LAST_DAY if item == "L" else LAST_WORKDAY
    if field is WEEKDAY and (found := _WEEKDAY_OF_MONTH.fullmatch(item)):
        ordinal = LAST if found[2] in (None, "L") else int(found[2])
        weekday = _value(field, found[1])
        return _NOTHING if weekday < 0 else 1 << 7 * ordinal + weekday % 7
    return _NOTHING


def _range(field: Field, item: re.Match[str]) -> int:
    star, first, last, step = item.groups()
    stride = int(step or 1)
    if not 1 <= stride <= field.high:
        return _NOTHING
    if star:
        return _bits(range(field.low, field.high + 1, stride)) | _STAR
    start = _value(field, first)
    if start < 0:
        return _NOTHING
    if last is None:
        start = start % 7 if field is WEEKDAY else start
        return _bits(range(start, (field.high if step else start) + 1, stride))
    end = 7 if field is WEEKDAY and last == "SUN" and start > 0 else _value(field, last)
    values = range(start, end + 1, stride)
    return _bits(value % 7 for value in values) if field is WEEKDAY else _bits(values)


def _value(field: Field, token: str) -> int:
    """Return the number of a value, or a negative one if the field has no such value."""
    if token in field.names:
        return field.names.index(token) + field.low
    value = int(token) if token.isdigit() else -1
    return value if field.low <= value <= field.top else -1


def _bits(values: Iterable[int]) -> int:
    mask = 0
    for value in values:
        mask |= 1 << value
    return mask
