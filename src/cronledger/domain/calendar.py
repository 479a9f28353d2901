"""A calendar: the days and hours on which a job does not fire, whatever its schedule says.

A calendar only takes away. It is read in the zone of the job, by the clock on the wall: a blackout from 22:00
to 06:00 lasts an hour less in the night in which the clock goes forward. What is asked of it is always the
same: is this second open, and from when until when does that surely stay so? So a search leaps over a closed
month as quickly as over a closed hour.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache

import msgspec

from cronledger.domain.zone import HORIZON, PERIOD, Zone
from cronledger.errors import InvalidSchedule

WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
DAY = 86_400
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal()
_THURSDAY = 3
"""1970-01-01 was one."""
_LEAP = 2024
_FIRST, _FOREVER = -(1 << 30), 1 << 30
"""Days beyond all dates."""
_DATE = re.compile(r"(\d{4}|\*)-(\d\d)-(\d\d)", re.ASCII)
_TIME = re.compile(r"(\d\d):(\d\d)(?::(\d\d))?", re.ASCII)

Piece = tuple[int, int, bool]
"""From one second of the day until another one, and whether it is open."""


class Blackout(
    msgspec.Struct, frozen=True, omit_defaults=True, rename={"begin": "from", "end": "to"}, gc=False
):
    """Hours of the day, the end not included; one that ends before it begins ends on the next day.

    `days` are the weekdays on which it begins; empty: every day.
    """

    begin: str
    end: str
    days: tuple[str, ...] = ()


class Calendar(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a calendar takes away, all calendars that it extends included.

    Attributes:
        name: What the configuration calls it.
        exclude: Dates (`2026-12-24`), yearly dates (`*-01-01`) and ranges (`..`, both ends included).
        only: If there are any: only on these dates.
        weekdays: If there are any: only on these days of the week, such as `MON`.
        blackout: Hours of the day.
    """

    name: str
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    weekdays: tuple[str, ...] = ()
    blackout: tuple[Blackout, ...] = ()

    def stretch(self, second: int, place: Zone) -> Piece:
        """Say since when and until when (not included) it stays as at a second, and whether that is open.

        The stretch may be longer than said.

        >>> from cronledger.domain.zone import zone
        >>> Calendar(name="weekends", weekdays=("SAT", "SUN")).stretch(0, zone("UTC"))
        (0, 86400, False)
        """
        return _compiled(self).stretch(second, place)

    def why_closed(self, second: int, place: Zone) -> str | None:
        """Name the rule that closes a second, the first of several; None if it is open.

        >>> from cronledger.domain.zone import zone
        >>> Calendar(name="holidays", exclude=("*-01-01",)).why_closed(0, zone("UTC"))
        'exclude *-01-01'
        """
        rules = [
            *((f"exclude {text}", Calendar(name="", exclude=(text,))) for text in self.exclude),
            ("only", Calendar(name="", only=self.only)),
            (f"weekdays {', '.join(self.weekdays)}", Calendar(name="", weekdays=self.weekdays)),
            *(
                (f"blackout {each.begin} to {each.end}", Calendar(name="", blackout=(each,)))
                for each in self.blackout
            ),
        ]
        return next((said for said, rule in rules if not rule.stretch(second, place)[2]), None)


def joined(calendar: Calendar, base: Calendar) -> Calendar:
    """Return a calendar that takes away what either does; raises InvalidSchedule if that cannot be said."""
    if calendar.only and base.only:
        raise InvalidSchedule(calendar.name, f"'{base.name}', which it extends, has `only` already")
    weekdays = tuple(day for day in calendar.weekdays or base.weekdays if day in (base.weekdays or WEEKDAYS))
    if calendar.weekdays and not weekdays:
        raise InvalidSchedule(
            calendar.name, f"'{base.name}', which it extends, leaves none of these weekdays"
        )
    return Calendar(
        name=calendar.name,
        exclude=tuple(dict.fromkeys((*base.exclude, *calendar.exclude))),
        only=calendar.only or base.only,
        weekdays=weekdays,
        blackout=tuple(dict.fromkeys((*base.blackout, *calendar.blackout))),
    )


# --- texts ----------------------------------------------------------------------------------------------


def dates(text: str) -> tuple[date, date, bool]:
    """Return the first and the last of the dates that a text names, and whether it means them every year.

    Raises InvalidSchedule.

    >>> dates("2026-12-25..2027-01-01")
    (datetime.date(2026, 12, 25), datetime.date(2027, 1, 1), False)
    """
    ends = [part.strip() for part in text.split("..")]
    found = [_DATE.fullmatch(end) for end in ends]
    if len(ends) > 2 or not all(found):
        raise InvalidSchedule(
            text, f"{text[:40]!r} is neither", hint='write 2026-12-24, 2026-12-25..2027-01-01 or "*-01-01"'
        )
    yearly = [end.startswith("*") for end in ends]
    if len(set(yearly)) > 1:
        raise InvalidSchedule(text, "a range has a year at both ends or at neither")
    first, last = (_date(end, text) for end in (ends[0], ends[-1]))
    if last < first and not yearly[0]:
        raise InvalidSchedule(text, f"{text} ends before it begins")
    return first, last, yearly[0]


def _date(end: str, text: str) -> date:
    try:
        return date.fromisoformat(end.replace("*", str(_LEAP)))
    except ValueError:
        raise InvalidSchedule(text, f"there is no {end}") from None


def days_of_week(text: str) -> tuple[str, ...]:
    """Return the days that a text names, one or a range of them; raises InvalidSchedule.

    >>> days_of_week("FRI-MON")
    ('FRI', 'SAT', 'SUN', 'MON')
    """
    ends = text.upper().split("-")
    if len(ends) > 2 or not all(end in WEEKDAYS for end in ends):
        raise InvalidSchedule(
            text, f"{text[:40]!r} is neither", hint=f"write {', '.join(WEEKDAYS)}, or a range such as MON-FRI"
        )
    first, last = WEEKDAYS.index(ends[0]), WEEKDAYS.index(ends[-1])
    return tuple(WEEKDAYS[(first + step) % 7] for step in range((last - first) % 7 + 1))


def time_of_day(text: str) -> int:
    """Return the second of the day that a text names, 86400 for `24:00`; raises InvalidSchedule.

    >>> time_of_day("22:00"), time_of_day("24:00")
    (79200, 86400)
    """
    found = _TIME.fullmatch(text)
    hour, minute, second = (int(part or 0) for part in found.groups()) if found else (99, 0, 0)
    at = hour * 3600 + minute * 60 + second
    if minute > 59 or second > 59 or at > DAY:
        raise InvalidSchedule(
            text, f"{text[:40]!r} is none", hint='write "22:00" or "22:00:30"; "24:00" ends a day'
        )
    return at


# --- days and hours -------------------------------------------------------------------------------------


class _Days:
    """A set of dates: every year's, and ranges of days counted from 1970."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._yearly: set[tuple[int, int]] = set()
        ranges = []
        for first, last, yearly in map(dates, texts):
            if yearly:
                start, length = first.timetuple().tm_yday - 1, (last - first).days % 366
                every = (date(_LEAP, 1, 1) + timedelta((start + step) % 366) for step in range(length + 1))
                self._yearly |= {(day.month, day.day) for day in every}
            else:
                ranges.append((first.toordinal() - _EPOCH_DAY, last.toordinal() - _EPOCH_DAY))
        self._starts = sorted(start for start, _ in ranges)
        furthest, self._ends = -1, []
        for _, end in sorted(ranges):
            furthest = max(furthest, end)
            self._ends.append(furthest)

    def around(self, day: int) -> tuple[int, int, bool]:
        """Say since which day and before which one it stays as on a day, and whether that is in the set."""
        place = bisect_right(self._starts, day)
        if place and day <= self._ends[place - 1]:
            return day, self._ends[place - 1] + 1, True
        if self._yearly:
            found = date.fromordinal(min(day + _EPOCH_DAY, _LAST_DAY))
            return day, day + 1, (found.month, found.day) in self._yearly
        since = self._ends[place - 1] + 1 if place else _FIRST
        return since, self._starts[place] if place < len(self._starts) else _FOREVER, False


class _Compiled:
    """A calendar as it is searched."""

    def __init__(self, calendar: Calendar) -> None:
        self._excluded = _Days(calendar.exclude)
        self._only = _Days(calendar.only) if calendar.only else None
        self._hours = [_hours(calendar, weekday) for weekday in range(7)]

    def stretch(self, second: int, place: Zone) -> Piece:
        later = max(0, (second - HORIZON) // PERIOD + 1) * PERIOD
        spans = place.around(second - later)
        segment = bisect_right(spans.starts, second - later) - 1
        offset = spans.segments[segment][2]
        changed_at = spans.starts[segment] + later
        changes_at = (*spans.starts[segment + 1 : segment + 2], spans.known_until)[0] + later
        day, time = divmod(second + offset, DAY)
        midnight = second - time
        for since, until, is_open in self._day(day):
            if time < until:
                return max(midnight + since, changed_at), min(midnight + until, changes_at), is_open
        raise AssertionError("the pieces of a day cover it")

    def _day(self, day: int) -> list[Piece]:
        """Return the pieces of a day, in seconds from its beginning; a closed one may reach beyond it."""
        for days, is_closed in ((self._excluded, True), (self._only, False)):
            since, until, is_in = days.around(day) if days is not None else (day, day + 1, not is_closed)
            if is_in is is_closed:
                return [((since - day) * DAY, (until - day) * DAY, False)]
        return self._hours[(day + _THURSDAY) % 7]


def _hours(calendar: Calendar, weekday: int) -> list[Piece]:
    """Return the pieces of an ordinary day of the week, in order, together the whole day."""
    if calendar.weekdays and WEEKDAYS[weekday] not in calendar.weekdays:
        return [(0, DAY, False)]
    closed = []
    for blackout in calendar.blackout:
        begin, end = time_of_day(blackout.begin), time_of_day(blackout.end)
        if _begins(blackout, weekday):
            closed.append((begin, end if begin < end else DAY))
        if end < begin and _begins(blackout, weekday - 1):
            closed.append((0, end))
    pieces = []
    here = 0
    for begin, end in sorted(closed):
        if begin > here:
            pieces.append((here, begin, True))
        if end > here:
            pieces.append((max(begin, here), end, False))
            here = end
    if here < DAY:
        pieces.append((here, DAY, True))
    return pieces


def _begins(blackout: Blackout, weekday: int) -> bool:
    return not blackout.days or WEEKDAYS[weekday] in blackout.days


@lru_cache(maxsize=1 << 12)
def _compiled(calendar: Calendar) -> _Compiled:
    return _Compiled(calendar)
