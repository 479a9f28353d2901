"""Where the clock of a schedule's zone jumps, and what that does to its fire times, in a sentence each.

Only changes that touch the schedule are told: a gap or a fold that holds a time it names, or, for a fixed
interval, a shift that moves its local times.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from cronledger.domain.cron import Cron
from cronledger.domain.definition import Fold
from cronledger.domain.fire_times import instant_of, second_of
from cronledger.domain.plain_rules import At, Every, in_units
from cronledger.domain.schedule import Schedule
from cronledger.domain.zone import Zone

_DAY = 86_400
_LAST_KNOWN = 19_880_899_200
"""2600-01-01: what the clocks do later is not worth a sentence."""
_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)


class ClockChange(msgspec.Struct, frozen=True):
    """A change of the clock that touches a schedule.

    Attributes:
        at: The instant of the change, UTC.
        offset_before, offset_after: Of the zone from UTC, as in `+02:00`.
        note: What it means for the schedule.
    """

    at: datetime
    offset_before: str
    offset_after: str
    note: str


class _Named(msgspec.Struct, frozen=True):
    """The times that a schedule names between two readings of the clock, in local seconds."""

    first: int
    last: int
    count: int


def clock_changes(schedule: Schedule, after: datetime, period: timedelta) -> list[ClockChange]:
    """Return the changes that touch a schedule within a period after an instant, in order.

    >>> from datetime import UTC
    >>> from cronledger.domain.schedule import schedule_of
    >>> schedule = schedule_of("0 30 2 * * *", timezone="Europe/Berlin")
    >>> for change in clock_changes(schedule, datetime(2025, 1, 1, tzinfo=UTC), timedelta(days=365)):
    ...     print(change.note)
    on 30 March 2025 the clock skips 02:30: fires at 03:00 +02:00
    on 26 October 2025 the clock shows 02:30 twice: fires the first time, at 02:30 +02:00
    """
    found = []
    start = second_of(after)
    until = min(start + period // timedelta(seconds=1), _LAST_KNOWN)
    for at, before, offset in _transitions(schedule.zone, start, until):
        note = _note(schedule, at, before, offset)
        if note is not None:
            found.append(ClockChange(instant_of(at), _offset(before), _offset(offset), note))
    return found


def _transitions(zone: Zone, after: int, until: int) -> Iterator[tuple[int, int, int]]:
    """Yield (instant, offset before, offset after) of the changes in (after, until]."""
    if after >= until:
        return
    zone.around(after)
    spans = zone.around(until)
    for index in range(bisect_right(spans.starts, after), bisect_right(spans.starts, until)):
        yield spans.starts[index], spans.segments[index - 1][2], spans.segments[index][2]


def _note(schedule: Schedule, at: int, before: int, after: int) -> str | None:
    rule = schedule.rule
    if isinstance(rule, Every):
        return _moved(rule, at, before, after)
    floor, opening = at + before, at + after
    named = _named(rule, min(floor, opening), max(floor, opening))
    if named is None:
        return None
    day = _date(named.first)
    if opening > floor:
        return f"on {day} the clock skips {_times(named)}: {_in_gap(schedule, named, at, after)}"
    return f"on {day} the clock shows {_times(named, 'twice')}: {_in_fold(schedule, named, before, after)}"


def _moved(rule: Every, at: int, before: int, after: int) -> str | None:
    shift = after - before
    if shift % rule.period == 0:
        return None
    way, late = ("forward", "later") if shift > 0 else ("back", "earlier")
    by = in_units(abs(shift))
    moved = f"by the clock it fires {by} {late} from then on"
    return f"on {_date(at + before)} the clock goes {way} by {by}: {moved}"


def _in_gap(schedule: Schedule, named: _Named, at: int, offset: int) -> str:
    is_interval = isinstance(schedule.rule, Cron) and schedule.rule.spec.interval
    if is_interval or not schedule.matches(instant_of(at)):
        return "nothing fires for it" if named.count == 1 else "nothing fires for them"
    once = "" if named.count == 1 else "once, "
    day = "" if (at + offset) // _DAY == named.first // _DAY else f" on {_date(at + offset)}"
    return f"fires {once}at {_time(at + offset)} {_offset(offset)}{day}"


def _in_fold(schedule: Schedule, named: _Named, before: int, after: int) -> str:
    is_interval = isinstance(schedule.rule, Cron) and schedule.rule.spec.interval
    fold = Fold.BOTH if is_interval else schedule.dst.fold
    times = {
        Fold.FIRST: "the first time",
        Fold.SECOND: "the second time",
        Fold.BOTH: "both times",
    }[fold]
    if named.count > 1:
        return f"fires {times}" if fold is Fold.BOTH else f"fires once at each, {times}"
    time = _time(named.first)
    readings = {
        Fold.FIRST: f"{time} {_offset(before)}",
        Fold.SECOND: f"{time} {_offset(after)}",
        Fold.BOTH: f"{time} {_offset(before)} and {time} {_offset(after)}",
    }[fold]
    return f"fires {times}, at {readings}"


def _named(rule: Cron | At, low: int, high: int) -> _Named | None:
    first = last = time = rule.local_from(low)
    count = 0
    while time < high:
        last, count = time, count + 1
        time = rule.local_from(time + 1)
    return _Named(first, last, count) if count else None


# --- words ----------------------------------------------------------------------------------------------


def _times(named: _Named, after: str = "") -> str:
    after = f" {after}" if after else ""
    if named.count == 1:
        return f"{_time(named.first)}{after}"
    return f"{_time(named.first)} to {_time(named.last)}{after}, {named.count} fire times"


def _time(local: int) -> str:
    minutes, second = divmod(local % _DAY, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}" if second else f"{hour:02}:{minute:02}"


def _date(local: int) -> str:
    day = instant_of(local)
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _offset(offset: int) -> str:
    sign = "-" if offset < 0 else "+"
    hours, rest = divmod(abs(offset), 3600)
    return f"{sign}{hours:02}:{rest // 60:02}"
