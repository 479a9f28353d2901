"""Where croniter, an independent engine, would fire differently, and why.

Most schedules come from somewhere, and what they meant there is often what croniter makes of them. It is
asked only here; it never decides when a job is due.

The two disagree mostly where the clock changes, which may be months away: besides the next fire times, those
round each change of the coming year are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import msgspec
from croniter import CroniterError, croniter

from cronledger.domain.clock_changes import clock_changes
from cronledger.domain.cron import Cron
from cronledger.domain.cron_parser import ALL_DAYS, ALL_WEEKDAYS, Spec, split
from cronledger.domain.fire_times import LAST, second_of
from cronledger.domain.schedule import Schedule

_NO_DATE = "croniter accepts it but finds no fire time"
_PERIOD = timedelta(days=366)
_SECOND = timedelta(seconds=1)
_MOST_ROUND_A_CHANGE = 20
"""Fire times from one instant on: a change shows at once, also to a schedule that fires each second."""


class _Stretch(msgspec.Struct, frozen=True):
    """Later than `since`, up to and including `until`, at most so many fire times."""

    since: datetime
    until: datetime
    most: int


def croniter_disagreements(schedule: Schedule, *, after: datetime, count: int = 20) -> list[str]:
    """Compare the next `count` fire times, and those round each change of the clock in the coming year.

    Returns one sentence for the first difference that the calendar leaves, empty if there is none.

    >>> from cronledger.domain.schedule import schedule_of
    >>> croniter_disagreements(schedule_of("0 5-5 * * * *"), after=datetime(2026, 1, 1, tzinfo=UTC))
    ['croniter fires at 2026-01-01T00:01:00Z, we do not: it reads a range of one value as the whole field']
    """
    coming = list(schedule.ruled(after, LAST, count))
    if not isinstance(schedule.rule, Cron) or not coming:
        return []
    round_changes = list(_round_changes(schedule, after))
    found: list[datetime] = []
    try:
        theirs = _theirs(schedule, schedule.rule.spec)
        for stretch in (_Stretch(after, coming[-1], len(coming)), *round_changes):
            found += _differences(schedule, theirs, stretch)
    except (CroniterError, ValueError, KeyError) as error:
        return [f"croniter cannot read it: {error}" if "failed to find" not in str(error) else _NO_DATE]
    if not found:
        return []
    at = min(found)
    who, other = ("we fire", "croniter does") if schedule.matches(at) else ("croniter fires", "we do")
    reason = _reason(
        schedule, schedule.rule.spec, at_a_change=any(each.since < at <= each.until for each in round_changes)
    )
    return [f"{who} at {at.isoformat().replace('+00:00', 'Z')}, {other} not: {reason}"]


def _round_changes(schedule: Schedule, after: datetime) -> Iterator[_Stretch]:
    """Yield what lies round each change that touches the schedule, and the same from the change on."""
    for change in clock_changes(schedule, after, _PERIOD):
        at = second_of(change.at)
        shift = timedelta(0, abs(schedule.zone.offset_at(at) - schedule.zone.offset_at(at - 1)))
        for since in (change.at - shift - _SECOND, change.at - _SECOND):
            yield _Stretch(max(after, since), change.at + shift, _MOST_ROUND_A_CHANGE)


def _theirs(schedule: Schedule, spec: Spec) -> croniter:
    words = split(schedule.text)
    words[5] = words[5].removeprefix("+")
    expression = " ".join([*words[:5], _last_weekdays(words[5])])
    return croniter(expression, second_at_beginning=True, day_or=not spec.both)


def _differences(schedule: Schedule, theirs: croniter, stretch: _Stretch) -> list[datetime]:
    """Return when only one of the two fires, as far as both were asked."""
    until, most = stretch.until, stretch.most
    ours = list(schedule.ruled(stretch.since, until, most))
    start = stretch.since.astimezone(ZoneInfo(schedule.zone.name))
    coming = (at.astimezone(UTC) for at in theirs.all_next(datetime, start_time=start))
    found = list(islice(takewhile(lambda at: at <= until, coming), most))
    last = min((times[-1] for times in (ours, found) if len(times) == most), default=until)
    return [at for at in {*ours} ^ {*found} if at <= last and schedule.why_closed(at) is None]


def _last_weekdays(word: str) -> str:
    """Write the last Friday as croniter does: `L5`."""
    items = (item.replace("#L", "L") for item in word.split(","))
    return ",".join(f"L{item[:-1]}" if item.endswith("L") else item for item in items)


def _reason(schedule: Schedule, spec: Spec, *, at_a_change: bool) -> str:
    words = split(schedule.text)
    if any(_equal_range(item) for word in words for item in word.split(",")):
        return "it reads a range of one value as the whole field"
    if not at_a_change and _days_read_differently(words, spec):
        return "it combines the two day fields in another way"
    if schedule.zone.name != "UTC":
        return "it treats times that the clock skips or repeats in another way"
    return "it reads the fields in another way"


def _equal_range(item: str) -> bool:
    first, dash, last = item.partition("/")[0].partition("-")
    return bool(dash) and first == last


def _days_read_differently(words: list[str], spec: Spec) -> bool:
    spelled_free = words[3] in "*?" or words[5] in "*?"
    restricted = spec.days != ALL_DAYS and spec.weekdays != ALL_WEEKDAYS
    return restricted or not spelled_free
