"""On which days an expression fires, over days counted from 1970-01-01.

The firing days of a month depend only on its length and the weekday of its first day: 28 shapes. Each shape
is one mask of 31 bits, made when a month of that shape is first met; every rule for days ends in it. So a
search is a shift and a lowest bit, and whether an expression fires at all is decided exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from cronledger.domain.cron_parser import ALL_DAYS, ALL_WEEKDAYS, LAST, LAST_DAY, LAST_WORKDAY, NEAREST

FIRST_YEAR, LAST_YEAR = 1969, 2645
"""The years with a calendar. Later ones follow from the Gregorian period of 400 years."""
NEVER = -(10**9)
"""The day before the calendar begins."""

_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_UNKNOWN = -1


class Days:
    """The days on which an expression fires: made by `days`, shared between expressions."""

    __slots__ = ("_back", "_firsts", "_masks", "_months", "_on", "_rule", "_shapes")

    def __init__(self, rule: tuple[int, int, bool], months: int) -> None:
        self._rule = rule
        self._months = months >> 1
        self._on, self._back = _steps(self._months)
        self._masks = [_UNKNOWN] * 28
        self._firsts, self._shapes = _calendar()

    def ever(self) -> bool:
        """Whether any month of any year has such a day."""
        lengths = {
            length
            for month, usual in enumerate(_LENGTHS)
            if self._months >> month & 1
            for length in ((28, 29) if month == 1 else (usual,))
        }
        return any(
            self._mask((length - 28) * 7 + weekday) for length in sorted(lengths) for weekday in range(7)
        )

    def on_or_after(self, day: int) -> int:
        """Return the first firing day from `day` on; there is one within forty years."""
        firsts = self._firsts
        month = (day * 4800 + 1_772_000) // 146_097  # the day's month, or the one after it
        if firsts[month] > day:
            month -= 1
        if self._months >> month % 12 & 1:
            mask = self._masks[self._shapes[month]]
            if mask == _UNKNOWN:
                mask = self._mask(self._shapes[month])
            mask >>= day - firsts[month]
            if mask:
                return day + (mask & -mask).bit_length() - 1
        while True:
            month += self._on[month % 12]
            mask = self._masks[self._shapes[month]]
            if mask == _UNKNOWN:
                mask = self._mask(self._shapes[month])
            if mask:
                return firsts[month] + (mask & -mask).bit_length() - 1

    def on_or_before(self, day: int) -> int:
        """Return the last firing day up to `day`, or NEVER if the calendar has none."""
        firsts = self._firsts
        month = (day * 4800 + 1_772_000) // 146_097
        if firsts[month] > day:
            month -= 1
        if self._months >> month % 12 & 1:
            mask = self._mask(self._shapes[month]) & ((2 << day - firsts[month]) - 1)
            if mask:
                return firsts[month] + mask.bit_length() - 1
        while True:
            month -= self._back[month % 12]
            if month < 0:
                return NEVER
            mask = self._mask(self._shapes[month])
            if mask:
                return firsts[month] + mask.bit_length() - 1

    def _mask(self, shape: int) -> int:
        mask = self._masks[shape]
        if mask == _UNKNOWN:
            extra, weekday = divmod(shape, 7)
            mask = self._masks[shape] = _combined(self._rule, 28 + extra, weekday)
        return mask


@lru_cache(maxsize=1 << 14)
def days(rule: tuple[int, int, bool], months: int) -> Days:
    """Return the firing days of (days, weekdays, whether both must match) in the given months."""
    return Days(rule, months)


@lru_cache(maxsize=1)
def _calendar() -> tuple[Sequence[int], Sequence[int]]:
    """Return the first day and the shape of every month of the calendar."""
    firsts, shapes = [], []
    day = -365
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        for month, usual in enumerate(_LENGTHS):
            length = 29 if leap and month == 1 else usual
            firsts.append(day)
            shapes.append((length - 28) * 7 + (day + 4) % 7)
            day += length
    firsts.append(day)
    return firsts, shapes


@lru_cache(maxsize=1 << 12)
def _steps(months: int) -> tuple[list[int], list[int]]:
    """Return how many months on, and back, the neighbouring allowed month is, from each of the twelve."""
    on = [next(n for n in range(1, 13) if months >> (month + n) % 12 & 1) for month in range(12)]
    back = [next(n for n in range(1, 13) if months >> (month - n) % 12 & 1) for month in range(12)]
    return on, back


def _combined(rule: tuple[int, int, bool], length: int, first_weekday: int) -> int:
    """Return the firing days of a month as a mask whose lowest bit is the first day."""
    days, weekdays, both = rule
    if weekdays == ALL_WEEKDAYS:
        return _by_day(days, length, first_weekday)
    if days == ALL_DAYS:
        return _by_weekday(weekdays, length, first_weekday)
    day_mask = _by_day(days, length, first_weekday)
    weekday_mask = _by_weekday(weekdays, length, first_weekday)
    return day_mask & weekday_mask if both else day_mask | weekday_mask


def _by_day(days: int, length: int, first_weekday: int) -> int:
    mask = (days & ALL_DAYS) >> 1
    if days & LAST_DAY:
        mask |= 1 << length - 1
    if days & LAST_WORKDAY:
        mask |= 1 << _working_day(length, length, first_weekday) - 1
    nearest = days >> NEAREST + 1
    if nearest and (day := nearest.bit_length()) <= length:
        mask |= 1 << _working_day(day, length, first_weekday) - 1
    return mask & ((1 << length) - 1)


def _working_day(day: int, length: int, first_weekday: int) -> int:
    """Return the day from Monday to Friday nearest to `day`, inside the month."""
    weekday = (first_weekday + day - 1) % 7
    if weekday == 6:
        return day - 1 if day > 1 else day + 2
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day


def _by_weekday(weekdays: int, length: int, first_weekday: int) -> int:
    mask = 0
    for weekday in range(7):
        first = (weekday - first_weekday) % 7
        all_of_them = range(first, length, 7)
        if weekdays >> weekday & 1:
            mask |= sum(1 << day for day in all_of_them)
        for ordinal, day in enumerate(all_of_them, start=1):
            mask |= (weekdays >> 7 * ordinal + weekday & 1) << day
        mask |= (weekdays >> 7 * LAST + weekday & 1) << all_of_them[-1]
    return mask
