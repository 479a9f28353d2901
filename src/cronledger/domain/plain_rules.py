"""The two rules that cron fields cannot say: a fixed interval of elapsed time, and a single moment.

    every 90s
    every 6h from 2026-01-01T05:30:00
    at 2026-12-24T18:00:00

A moment without an offset is what the local clock of the job's zone shows; it is turned into an instant by
the same rules as a nominal time of a cron expression.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import msgspec

from cronledger.domain.definition import Dst
from cronledger.domain.nominal import readings
from cronledger.domain.zone import Zone
from cronledger.errors import InvalidSchedule

FIRST_YEAR, LAST_YEAR = 1970, 2500
LONGEST = 3650 * 86_400
_NO_MORE = 1 << 62
_UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_NAMES = {"d": "day", "h": "hour", "m": "minute", "s": "second"}
_DURATION = re.compile("".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS), re.ASCII)
_EVERY = re.compile(r"every[ \t]+(\S+)(?:[ \t]+from[ \t]+(\S+))?", re.ASCII | re.IGNORECASE)
_AT = re.compile(r"at[ \t]+(\S+)", re.ASCII | re.IGNORECASE)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(:\d\d)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII | re.IGNORECASE)
_PLAIN_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - what a clock shows has no offset


class Moment(msgspec.Struct, frozen=True):
    """A second since 1970: of an instant, or of what a local clock shows."""

    second: int
    is_local: bool

    def instants(self, zone: Zone, dst: Dst) -> tuple[int, ...]:
        """Return the instants it stands for: none, one, or two if the clock shows it twice."""
        return readings(self.second, zone, dst) if self.is_local else (self.second,)


class Every(msgspec.Struct, frozen=True):
    """Exact multiples of a period, before and after the anchor, in elapsed time."""

    period: int
    """In seconds; a day has 86,400."""
    anchor: Moment

    def first_from(self, second: int, zone: Zone, dst: Dst) -> int:
        """Return the first multiple from a second since 1970 on."""
        del dst
        start = max(second, 0)
        return start + (self._phase(zone) - start) % self.period

    def last_until(self, second: int, zone: Zone, dst: Dst) -> int:
        """Return the last multiple up to a second since 1970, or a negative number."""
        del dst
        return second - (second - self._phase(zone)) % self.period

    def _phase(self, zone: Zone) -> int:
        return self.anchor.instants(zone, Dst())[0]


class At(msgspec.Struct, frozen=True):
    """A single moment; under `dst.fold: both` two, if the clock shows it twice."""

    moment: Moment

    def first_from(self, second: int, zone: Zone, dst: Dst) -> int:
        """Return the moment if it does not lie before a second since 1970."""
        return min((found for found in self.moment.instants(zone, dst) if found >= second), default=_NO_MORE)

    def last_until(self, second: int, zone: Zone, dst: Dst) -> int:
        """Return the moment if it does not lie after a second since 1970, else a negative number."""
        return max((found for found in self.moment.instants(zone, dst) if found <= second), default=-1)

    def local_from(self, time: int) -> int:
        """Return the local time it names if that does not lie before `time`, in seconds since 1970."""
        return self.moment.second if self.moment.is_local and self.moment.second >= time else _NO_MORE


def every(text: str, zone: Zone) -> Every:
    """Read `every DURATION`, with or without an anchor; raises InvalidSchedule.

    >>> from cronledger.domain.zone import UTC_ZONE
    >>> every("every 1h30m", UTC_ZONE).period
    5400
    """
    found = _EVERY.fullmatch(text.strip(" \t"))
    if found is None:
        raise InvalidSchedule(
            text, "the form is: every DURATION, or every DURATION from TIME", hint='such as "every 90s"'
        )
    anchor = _moment(text, found[2]) if found[2] else Moment(0, is_local=False)
    if not anchor.instants(zone, Dst()):
        raise InvalidSchedule(text, f"{found[2]} does not exist: {zone.name} skipped that date")
    return Every(_period(text, found[1]), anchor)


def at(text: str, zone: Zone, dst: Dst) -> At:
    """Read `at TIME`; raises InvalidSchedule, also if the clock of the zone never shows that time.

    >>> from cronledger.domain.zone import UTC_ZONE
    >>> at("at 1970-01-02T00:00:00", UTC_ZONE, Dst()).moment.second
    86400
    """
    found = _AT.fullmatch(text.strip(" \t"))
    if found is None:
        raise InvalidSchedule(text, "the form is: at TIME", hint='such as "at 2026-12-24T18:00:00"')
    moment = _moment(text, found[1])
    if not moment.instants(zone, dst):
        hint = "choose another time, or `dst: {gap: shift}` for the end of a gap"
        raise InvalidSchedule(
            text, f"never fires: the clock of {zone.name} never shows {found[1]}", hint=hint
        )
    return At(moment)


def every_in_words(rule: Every, anchor: str | None) -> str:
    """Describe a fixed interval; the anchor as it was written.

    >>> every_in_words(Every(5400, Moment(0, is_local=False)), None)
    'Every 1 hour 30 minutes'
    """
    counted = f", counted from {anchor}" if anchor else ""
    return f"Every {in_units(rule.period)}{counted}"


def in_units(seconds: int) -> str:
    """Say a duration in days, hours, minutes and seconds.

    >>> in_units(90_000)
    '1 day 1 hour'
    """
    parts = []
    for unit in "dhms":
        count, seconds = divmod(seconds, _UNITS[unit])
        if count:
            parts.append(f"{count} {_NAMES[unit]}{'s' if count > 1 else ''}")
    return " ".join(parts)


def anchor_of(text: str) -> str | None:
    """Return the TIME behind `from`, as it was written."""
    found = _EVERY.fullmatch(text.strip(" \t"))
    return found[2] if found else None


def time_of(text: str) -> str:
    """Return the TIME behind `at`, as it was written."""
    found = _AT.fullmatch(text.strip(" \t"))
    return found[1] if found else text


def _period(text: str, duration: str) -> int:
    found = _DURATION.fullmatch(duration.lower())
    if found is None or not any(found.groups()):
        raise InvalidSchedule(text, f"{duration[:40]!a} is not a duration", hint=_duration_hint(duration))
    period = sum(int(count) * size for count, size in zip(found.groups("0"), _UNITS.values(), strict=True))
    if not 1 <= period <= LONGEST:
        raise InvalidSchedule(text, f"{duration} must lie between 1s and {LONGEST // 86_400}d")
    return period


def _duration_hint(duration: str) -> str:
    if duration.isdecimal():
        return f"add the unit: {duration[:9]}s"
    if re.fullmatch(r"[0-9.]+(ms|us|ns)|[0-9]*\.[0-9]+[smhdw]", duration, re.IGNORECASE):
        return "fire times are whole seconds: 1s is the shortest, and 1h30m an hour and a half"
    return "use whole numbers with units, the larger one first: 90s, 15m, 1h30m, 2d, 1w"


def _moment(text: str, written: str) -> Moment:
    found = _TIME.fullmatch(written)
    if found is None:
        hint = "write 2026-12-24T18:00:00 for the local clock, or add Z or +01:00"
        raise InvalidSchedule(text, f"{written[:40]!a} is not a time", hint=hint)
    date, time, seconds, offset = found.groups()
    if time is None:
        raise InvalidSchedule(text, f"{written} has no time of day", hint=f"write {date}T00:00:00")
    try:
        moment = datetime.fromisoformat(f"{date}T{time}{seconds or ':00'}{(offset or '').upper()}")
    except ValueError as error:
        raise InvalidSchedule(text, f"{written} does not exist: {error}") from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise InvalidSchedule(text, f"{written} lies outside the years {FIRST_YEAR} to {LAST_YEAR}")
    reading = moment.replace(tzinfo=None) - (moment.utcoffset() or timedelta(0))
    return Moment((reading - _PLAIN_EPOCH) // timedelta(seconds=1), is_local=offset is None)
