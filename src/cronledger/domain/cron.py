"""Cron expressions of six fields, seconds first: when they fire, exactly.

For a zone, let local(u) be the clock's reading at instant u. An expression with a `*` (also `*/n`) in second,
minute or hour is an *interval*: it fires whenever local(u) matches. Any other is *fixed*: every local time
that matches fires once, also when the clock skips it (at the end of the gap) or shows it twice (the first
time), unless `dst` says otherwise. Dates that a zone skipped have no fires.

    next_after(t)      = min {f : f > t}
    previous_before(t) = max {f : f < t}

and nothing else: no state, no dependence on how t was reached. All arithmetic is on integer seconds; instants
run from 1970 to 9999, are aware, and fire times are whole seconds in UTC.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime

from cronledger.domain import fire_times
from cronledger.domain.cron_days import days
from cronledger.domain.cron_parser import ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, Spec, read
from cronledger.domain.cron_text import canonical
from cronledger.domain.cron_times import times
from cronledger.domain.definition import DayMatch, Dst, Fold, Gap
from cronledger.domain.nominal import NO_INSTANT, earliest, latest
from cronledger.domain.zone import HORIZON, PERIOD, UTC_ZONE, Zone
from cronledger.errors import InvalidCron

DEFAULT_DST = Dst()

_DAY = 86400
_READINGS = Dst(gap=Gap.SKIP, fold=Fold.BOTH)
"""The rule of intervals: what the clock shows, as often as it shows it."""
_SURE_DAYS = (1 << 29) - 2
"""The days that every month has."""


class Cron:
    """A parsed expression: made by `parse`, immutable, equal to every expression of the same meaning."""

    __slots__ = ("_days", "_spec", "_times")

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._times = times(spec.seconds, spec.minutes, spec.hours)
        every_day = spec.days == ALL_DAYS and spec.weekdays == ALL_WEEKDAYS and spec.months == ALL_MONTHS
        self._days = None if every_day else days((spec.days, spec.weekdays, spec.both), spec.months)

    def __eq__(self, other: object) -> bool:
        return self._spec == other._spec if isinstance(other, Cron) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._spec)

    def __str__(self) -> str:
        """Return the canonical text: the same for every spelling of the same meaning."""
        return canonical(self._spec)

    def __repr__(self) -> str:
        return f"parse({str(self)!r})"

    @property
    def spec(self) -> Spec:
        """The value sets of the fields."""
        return self._spec

    def ever(self) -> bool:
        """Whether it fires in any year; `parse` refuses what does not."""
        is_sure = self._spec.days & _SURE_DAYS and not self._spec.both
        return bool(is_sure) or self._days is None or self._days.ever()

    def next_after(self, instant: datetime, zone: Zone = UTC_ZONE, dst: Dst = DEFAULT_DST) -> datetime | None:
        """Return the first fire time later than `instant`, or None after the year 9999.

        >>> from datetime import UTC
        >>> parse("0 */15 * * * *").next_after(datetime(2026, 2, 1, 12, 7, 30, tzinfo=UTC)).isoformat()
        '2026-02-01T12:15:00+00:00'
        """
        return fire_times.next_after(self, instant, zone, dst)

    def previous_before(
        self, instant: datetime, zone: Zone = UTC_ZONE, dst: Dst = DEFAULT_DST
    ) -> datetime | None:
        """Return the last fire time earlier than `instant`, or None before 1970.

        >>> from datetime import UTC
        >>> parse("0 0 3 * * *").previous_before(datetime(2026, 2, 1, 3, tzinfo=UTC)).isoformat()
        '2026-01-31T03:00:00+00:00'
        """
        return fire_times.previous_before(self, instant, zone, dst)

    def matches(self, instant: datetime, zone: Zone = UTC_ZONE, dst: Dst = DEFAULT_DST) -> bool:
        """Whether `instant` is a fire time.

        >>> from datetime import UTC
        >>> parse("0 0 3 * * *").matches(datetime(2026, 2, 1, 3, tzinfo=UTC))
        True
        """
        return fire_times.matches(self, instant, zone, dst)

    def fire_times(
        self, after: datetime, until: datetime, *, zone: Zone = UTC_ZONE, dst: Dst = DEFAULT_DST, limit: int
    ) -> Iterator[datetime]:
        """Yield the fire times later than `after` up to and including `until`, at most `limit`, ascending.

        >>> from datetime import UTC, timedelta
        >>> noon = datetime(2026, 2, 1, 12, tzinfo=UTC)
        >>> [at.hour for at in parse("@hourly").fire_times(noon, noon + timedelta(hours=3), limit=10)]
        [13, 14, 15]
        """
        return fire_times.between(self, after, until, zone=zone, dst=dst, limit=limit)

    def first_from(self, second: int, zone: Zone, dst: Dst) -> int:
        """Return the first fire time from a second since 1970 on."""
        if not 0 <= second < HORIZON:
            return self._next_far(second, zone, dst)
        spans = zone.spans
        safe_from, safe_until, offset = spans.segments[bisect_right(spans.starts, second) - 1]
        if safe_from <= second < safe_until:
            time = self.local_from(second + offset)
            found = time - offset
            if found < safe_until:
                return found
            safe_from, safe_until, offset = spans.segments[bisect_right(spans.floors, time) - 1]
            found = time - offset
            if safe_from <= found < safe_until:
                return found
        return earliest(self.local_from, zone, second, _READINGS if self._spec.interval else dst)

    def last_until(self, second: int, zone: Zone, dst: Dst) -> int:
        """Return the last fire time up to a second since 1970, or a negative number."""
        if not 0 <= second < HORIZON:
            return self._previous_far(second, zone, dst)
        spans = zone.spans
        safe_from, safe_until, offset = spans.segments[bisect_right(spans.starts, second) - 1]
        if safe_from <= second < safe_until:
            time = self._time_until(second + offset)
            found = time - offset
            if found >= safe_from:
                return found
            safe_from, safe_until, offset = spans.segments[bisect_right(spans.floors, time) - 1]
            found = time - offset
            if safe_from <= found < safe_until:
                return found
        return latest(self._time_until, zone, second, _READINGS if self._spec.interval else dst)

    def _next_far(self, instant: int, zone: Zone, dst: Dst) -> int:
        if instant < 0:
            return self.first_from(0, zone, dst)
        periods = (instant - HORIZON) // PERIOD + 1
        return self.first_from(instant - periods * PERIOD, zone, dst) + periods * PERIOD

    def _previous_far(self, instant: int, zone: Zone, dst: Dst) -> int:
        if instant < 0:
            return NO_INSTANT
        periods = (instant - HORIZON) // PERIOD + 1
        return self.last_until(instant - periods * PERIOD, zone, dst) + periods * PERIOD

    def local_from(self, time: int) -> int:
        """Return the first local time from one on that the fields name, in seconds since 1970."""
        day, second = divmod(time, _DAY)
        firing = self._days.on_or_after(day) if self._days else day
        if firing == day:
            found = self._times.at_or_after(second)
            if found >= 0:
                return day * _DAY + found
            firing = self._days.on_or_after(day + 1) if self._days else day + 1
        return firing * _DAY + self._times.first

    def _time_until(self, time: int) -> int:
        """Return the last local time up to `time` that matches."""
        day, second = divmod(time, _DAY)
        firing = self._days.on_or_before(day) if self._days else day
        if firing == day:
            found = self._times.at_or_before(second)
            if found >= 0:
                return day * _DAY + found
            firing = self._days.on_or_before(day - 1) if self._days else day - 1
        return firing * _DAY + self._times.last


def parse(text: str, *, day_match: DayMatch = DayMatch.OR) -> Cron:
    """Read a six-field expression; raises InvalidCron, with the field, the reason and a hint.

    Also what can never fire is refused, such as the 30th of February.

    >>> str(parse("0 0 9 * jan-MAR mon-fri"))
    '0 0 9 * 1-3 1-5'
    >>> parse("0 0 0 1 * +1") == parse("0 0 0 1 * MON", day_match=DayMatch.AND)
    True
    """
    spec = read(text, day_match)
    cron = Cron(spec)
    if not cron.ever():
        raise InvalidCron(text, "never fires: these dates do not exist", field="day", hint=_never(spec))
    return cron


def _never(spec: Spec) -> str:
    if spec.both:
        return "both day fields must match; without + and `day_match: and` either is enough"
    return "the months listed are too short; L is the last day of any month"
