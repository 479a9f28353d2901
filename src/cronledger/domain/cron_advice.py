"""What a valid expression may not mean to say: remarks for whoever wrote it, never a refusal."""

from __future__ import annotations

from cronledger.domain.cron import Cron, parse
from cronledger.domain.cron_parser import ALL_DAYS, ALL_WEEKDAYS, split
from cronledger.domain.cron_words import days_in_words
from cronledger.domain.definition import DayMatch

_EVERY_SIXTIETH = (1 << 60) - 1
_EVERY_HOUR = (1 << 24) - 1
_LATE_DAYS = 0b111 << 29
_FEBRUARY = 1 << 2
_SHORT_MONTHS = ((2, 28), (4, 30), (6, 30), (9, 30), (11, 30))
_STEPS = (("second", 0, 60, "minute"), ("minute", 1, 60, "hour"), ("hour", 2, 24, "day"))


def advice(text: str, *, day_match: DayMatch = DayMatch.OR) -> list[str]:
    """Return remarks on an expression, often none; raises InvalidCron.

    >>> advice("* 0 3 * * *")
    ['fires 60 times a minute: write 0 as the first field to fire once']
    """
    cron = parse(text, day_match=day_match)
    return [*_too_often(cron), *_either_day(cron, text), *_short_months(cron), *_uneven_steps(text)]


def _too_often(cron: Cron) -> list[str]:
    spec = cron.spec
    if spec.seconds == _EVERY_SIXTIETH and spec.minutes != _EVERY_SIXTIETH:
        return ["fires 60 times a minute: write 0 as the first field to fire once"]
    if spec.seconds != _EVERY_SIXTIETH and spec.minutes == _EVERY_SIXTIETH and spec.hours != _EVERY_HOUR:
        return ["fires every minute of its hours: write 0 as the second field to fire once an hour"]
    return []


def _either_day(cron: Cron, text: str) -> list[str]:
    spec = cron.spec
    if spec.both or spec.days == ALL_DAYS or spec.weekdays == ALL_WEEKDAYS:
        return []
    words = split(text)
    return [f"fires {days_in_words(spec, words)}: write +{words[5]} to require both"]


def _short_months(cron: Cron) -> list[str]:
    spec = cron.spec
    if spec.days & ~_LATE_DAYS or (spec.weekdays != ALL_WEEKDAYS and not spec.both):
        return []
    earliest = (spec.days & -spec.days).bit_length() - 1
    if spec.months == _FEBRUARY:
        return ["fires in leap years only"]
    if not any(spec.months >> month & 1 and length < earliest for month, length in _SHORT_MONTHS):
        return []
    return ["skips the months that have no such day: L is the last day of any month"]


def _uneven_steps(text: str) -> list[str]:
    remarks = []
    for name, index, size, period in _STEPS:
        star, _, step = split(text)[index].partition("/")
        if star == "*" and step.isdigit() and size % int(step):
            remarks.append(f"{name}: */{step} starts again at 0 every {period}: the last step is shorter")
    return remarks
