"""The text of a cron expression: six fields, seconds first, read strictly.

`read` returns the value sets that a text stands for and refuses everything else with a reason and, where one
can be guessed, a hint. Whether the dates ever occur is decided by `cronledger.domain.cron.parse`.

A field is one integer, a bit per value. Days and weekdays have further bits for the days that depend on the
month: `L`, `LW`, `15W` above bit 31; `5#2` and `5L` above bit 6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from cronledger.domain.definition import DayMatch
from cronledger.errors import InvalidCron

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
_MAX_LENGTH = 1000
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
NICKNAMES: Mapping[str, str] = MappingProxyType(
    {
        "@YEARLY": "0 0 0 1 1 *",
        "@ANNUALLY": "0 0 0 1 1 *",
        "@MONTHLY": "0 0 0 1 * *",
        "@WEEKLY": "0 0 0 * * 0",
        "@DAILY": "0 0 0 * * *",
        "@MIDNIGHT": "0 0 0 * * *",
        "@HOURLY": "0 0 * * * *",
    }
)

_VALUE = "[0-9]{1,2}|[A-Z]{3}"
_RANGE = re.compile(rf"(?:(\*)|({_VALUE})(?:-({_VALUE}))?)(?:/([0-9]{{1,2}}))?")
_NEAREST_DAY = re.compile(r"([0-9]{1,2})W")
_WEEKDAY_OF_MONTH = re.compile(rf"({_VALUE})(?:#([1-5]|L)|L)")
_RANDOM = re.compile(r"[HR](?:$|[/(])|.*~")
_EVERY = re.compile(r"@EVERY +([0-9]{1,2})([SMH])")


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


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    first: int = 0
    period: str = "hour"

    def value(self, token: str) -> int:
        if token in self.names:
            return self.names.index(token) + self.low
        if not token.isdigit():
            raise _refused(self, token)
        value = int(token)
        if not self.low <= value <= self.top:
            raise _Refused(f"{value} is outside {self.low}-{self.top}")
        return value

    @property
    def top(self) -> int:
        """The highest number that may be written."""
        return 7 if self is _WEEKDAY else self.high


_SECOND = _Field("second", 0, 59, period="minute")
_MINUTE = _Field("minute", 0, 59, period="hour")
_HOUR = _Field("hour", 0, 23, period="day")
_DAY = _Field("day", 1, 31, period="month")
_MONTH = _Field("month", 1, 12, _MONTHS, period="year")
_WEEKDAY = _Field("weekday", 0, 6, _WEEKDAYS, period="week")
_FIELDS = (_SECOND, _MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)
_ORDER = "six fields are needed: second minute hour day month weekday"


class _Refused(Exception):
    """Becomes an InvalidCron once the whole text and the field are known."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


def read(text: str, day_match: DayMatch) -> Spec:
    """Read an expression; raises InvalidCron naming the field and the reason."""
    words = split(text)
    both = day_match is DayMatch.AND
    if words[5].startswith("+"):
        both = True
        words[5] = words[5][1:]
    seconds, minutes, hours, days, months, weekdays = (
        _mask(text, index, word) for index, word in enumerate(words)
    )
    interval = bool((seconds | minutes | hours) & _STAR)
    days = ALL_DAYS if days & ALL_DAYS == ALL_DAYS else days
    weekdays = ALL_WEEKDAYS if weekdays & ALL_WEEKDAYS == ALL_WEEKDAYS else weekdays
    both = both and days != ALL_DAYS and weekdays != ALL_WEEKDAYS
    plain = ~_STAR
    return Spec(
        seconds & plain, minutes & plain, hours & plain, days, months & plain, weekdays, interval, both
    )


def split(text: str) -> list[str]:
    """Return the six fields of a text, in capitals, with nicknames spelled out."""
    if not (text.isascii() and text.isprintable() and len(text) <= _MAX_LENGTH):
        _check_characters(text)
    words = text.upper().split()
    if len(words) == 6:
        return words
    if words and words[0].startswith("@"):
        return _nickname(text, words).split()
    raise _wrong_number(text, words)


# --- fields ---------------------------------------------------------------------------------------------


def _mask(text: str, index: int, word: str) -> int:
    try:
        return _values(index, word)
    except _Refused as refused:
        raise InvalidCron(text, refused.reason, field=_FIELDS[index].name, hint=refused.hint) from None


@lru_cache(maxsize=4096)
def _values(index: int, word: str) -> int:
    field = _FIELDS[index]
    if word == "?" and field in (_DAY, _WEEKDAY):
        return ALL_DAYS if field is _DAY else ALL_WEEKDAYS
    if field is _DAY and (nearest := _NEAREST_DAY.fullmatch(word)):
        return 1 << NEAREST + _DAY.value(nearest[1])
    mask = 0
    for item in word.split(","):
        mask |= _item(field, item)
    return mask if field in (_SECOND, _MINUTE, _HOUR) else mask & ~_STAR


def _item(field: _Field, item: str) -> int:
    if found := _RANGE.fullmatch(item):
        return _range(field, found)
    if field is _DAY and item in ("L", "LW"):
        return LAST_DAY if item == "L" else LAST_WORKDAY
    if field is _WEEKDAY and (found := _WEEKDAY_OF_MONTH.fullmatch(item)):
        ordinal = LAST if found[2] in (None, "L") else int(found[2])
        return 1 << 7 * ordinal + field.value(found[1]) % 7
    raise _refused(field, item)


def _range(field: _Field, item: re.Match[str]) -> int:
    star, first, last, step = item.groups()
    stride = _stride(field, step)
    if star or not first:
        return _bits(range(field.low, field.high + 1, stride)) | _STAR
    start = field.value(first)
    if last is None:
        start = start % 7 if field is _WEEKDAY else start
        return _bits(range(start, (field.high if step else start) + 1, stride))
    end = field.value(last)
    if field is _WEEKDAY and last == "SUN" and start > 0:
        end = 7
    if start > end:
        raise _Refused(
            f"the range {first}-{last} runs backwards",
            f"write {_span(start, field.high)},{_span(field.low, end)}",
        )
    values = range(start, end + 1, stride)
    return _bits(value % 7 for value in values) if field is _WEEKDAY else _bits(values)


def _stride(field: _Field, step: str | None) -> int:
    if step is None:
        return 1
    stride = int(step)
    if stride == 0:
        raise _Refused("a step of 0 leads nowhere", f"use a step from 1 to {field.high}")
    if stride > field.high:
        raise _Refused(
            f"step {stride} is larger than the field's maximum, {field.high}",
            f"a step starts again with every {field.period}; write the values you mean as a list",
        )
    return stride


def _bits(values: Iterable[int]) -> int:
    mask = 0
    for value in values:
        mask |= 1 << value
    return mask


def _span(start: int, end: int) -> str:
    return f"{start}-{end}" if start < end else f"{end}"


# --- reasons --------------------------------------------------------------------------------------------


def _refused(field: _Field, item: str) -> _Refused:
    """Say why an item of a field's list cannot be read."""
    if not item:
        return _Refused("an item is empty", "remove the extra comma, or write *")
    if _RANDOM.match(item):
        return _Refused(
            f"{item} asks for a value picked by the program",
            "instances must agree on the schedule: choose a value, or set `jitter_seconds`",
        )
    for name in field.names:
        if item.startswith(name) and item.isalpha():
            return _Refused(f"{item} is not a name here", f"names have three letters: {name}")
    if "?" in item:
        return _Refused("? stands alone, as the day or the weekday", "write *")
    if "#" in item or "L" in item or "W" in item:
        return _day_of_month_refused(field, item)
    return _Refused(
        f"{item} is not a value, a range or a step", f"use {field.low}-{field.high}, *, a-b, a,b or */n"
    )


def _day_of_month_refused(field: _Field, item: str) -> _Refused:
    if field is _WEEKDAY and item == "L":
        return _Refused("L needs a weekday", "the last Friday of the month is 5L; Saturday is 6")
    if field is _WEEKDAY and ("#" in item or "L" in item):
        return _Refused(
            f"{item} is not a weekday of the month", "use 5#1 to 5#5 for Fridays, 5L for the last"
        )
    if field is _DAY and _NEAREST_DAY.fullmatch(item):
        return _Refused(f"{item} cannot stand in a list", "use it alone, or make two jobs")
    if field is _DAY and ("L" in item or "W" in item):
        return _Refused(f"{item} is not a day of the month", "use L, LW, or a day with W such as 15W")
    return _Refused(
        f"{item} has no meaning as {field.name}", "L and W belong to the day, # and L to the weekday"
    )


def _check_characters(text: str) -> None:
    if len(text) > _MAX_LENGTH:
        raise InvalidCron(text[:40] + "...", f"longer than {_MAX_LENGTH} characters")
    for char in text:
        if not char.isascii():
            raise InvalidCron(
                text,
                f"the character {char!a} (U+{ord(char):04X}) is not ASCII",
                hint="retype it: digits, letters and blanks from other scripts look alike",
            )
        if char != "\t" and not char.isprintable():
            raise InvalidCron(
                text, f"the character {char!r} is not allowed", hint="fields are separated by blanks"
            )


def _nickname(text: str, words: list[str]) -> str:
    if len(words) == 1 and words[0] in NICKNAMES:
        return NICKNAMES[words[0]]
    hint = "use one of " + ", ".join(sorted(name.lower() for name in NICKNAMES))
    if words[0] == "@REBOOT":
        hint = "use `run_on_startup` in the job's code and an empty schedule"
    elif words[0] == "@EVERY":
        hint = _every(" ".join(words))
    raise InvalidCron(text, f"unknown nickname {words[0].lower()}", hint=hint)


def _every(text: str) -> str:
    found = _EVERY.fullmatch(text)
    number = int(found[1]) if found else 0
    unit = found[2] if found else ""
    size = 24 if unit == "H" else 60
    if not found or number == 0 or number >= size or size % number:
        return "use a step, such as 0 */5 * * * * for every five minutes"
    step = "*" if number == 1 else f"*/{number}"
    before, after = {"S": ("", " * * * * *"), "M": ("0 ", " * * * *"), "H": ("0 0 ", " * * *")}[unit]
    return f'did you mean "{before}{step}{after}"?'


def _wrong_number(text: str, words: list[str]) -> InvalidCron:
    given = text.split()
    if not given:
        return InvalidCron(text, "there are no fields", hint="an empty schedule of a job means: manual only")
    hint = _ORDER
    if len(given) == 5:
        hint = _if_valid("0 " + " ".join(given)) or _ORDER
    elif len(given) == 7:
        hint = _if_valid(" ".join(given[:6])) or _ORDER
        hint += "; there is no field for the year"
    number = "1 field" if len(words) == 1 else f"{len(words)} fields"
    return InvalidCron(text, f"{number} instead of six", hint=hint)


def _if_valid(text: str) -> str | None:
    try:
        read(text, DayMatch.OR)
    except InvalidCron:
        return None
    return f'did you mean "{text}"?'
