"""Time zones as lists of transitions, over integer seconds.

A zone's history is a row of segments with a constant offset each. Local time is instant + offset inside a
segment. Where the clock goes forward there is a *gap* of readings that never occur, where it goes back a
*fold* of readings that occur twice. The lists come from the public `zoneinfo` by looking at the offset every
six hours; they grow on demand, and a list that a search holds never changes under it.

A stretch of such a list can be written down (`transitions`) and read again (`amended`), so that somebody
whose `zoneinfo` says otherwise can compute with the very same rules.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache, partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronledger.errors import UnknownZone

Offset = Callable[[int], int]
"""The offset from UTC, in seconds, at an instant."""
Transitions = tuple[tuple[int, int], ...]
"""(instant, offset from then on), in order."""

HORIZON = 19_880_899_200
"""2600-01-01. From here on the calendar and every zone's rule repeat those of 400 years before."""
PERIOD = 146_097 * 86400

_STRIDE = 6 * 3600
_YEAR = 31_557_600
_MARGIN = 3 * 86400
"""No clock has ever been moved by more than a day."""
_FIRST_KNOWN, _LAST_KNOWN = -_YEAR, 676 * _YEAR
_FOREVER = 1 << 62
_NOT_ZONES = frozenset({"localtime", "Factory", "posixrules"})
_VARIANTS = ("posix/", "right/")


class Spans:
    """A stretch of a zone's history: parallel lists, one entry a segment, never changed once made.

    Attributes:
        starts: The instant at which the segment begins.
        floors: The local time that the segment before it had reached by then.
        openings: The local time at which it begins: above the floor after a gap, below it in a fold.
        segments: The instants from which and until which a reading occurs exactly once, and the offset.
        known_from: The instant from which on the lists are complete.
        known_until: The instant up to which they are.
    """

    __slots__ = ("floors", "known_from", "known_until", "openings", "segments", "starts")

    def __init__(self, known: tuple[int, int], changes: Sequence[tuple[int, int]]) -> None:
        """Take (instant, offset from then on) in order; the first instant is the beginning of the known."""
        self.known_from, self.known_until = known
        self.starts = [start for start, _ in changes]
        self.openings = [start + offset for start, offset in changes]
        before = [changes[0][1], *(offset for _, offset in changes)]
        self.floors = [start + offset for start, offset in zip(self.starts, before, strict=False)]
        self.segments = []
        for index, (start, offset) in enumerate(changes):
            floor, opening = self.floors[index], self.openings[index]
            safe_from = start + max(floor - opening, int(opening > floor))
            if index + 1 < len(changes):
                safe_until = min(self.floors[index + 1], self.openings[index + 1]) - offset
            else:
                safe_until = self.known_until - _MARGIN
            if index == 0:
                safe_from = self.known_from + _MARGIN
            self.segments.append((safe_from, safe_until, offset))

    def changes(self) -> list[tuple[int, int]]:
        """Return the lists as (instant, offset from then on)."""
        return [(start, opening - start) for start, opening in zip(self.starts, self.openings, strict=True)]


class Zone:
    """A time zone: made by `zone`, one object a name, or by `amended`."""

    __slots__ = ("_offset", "name", "spans")

    def __init__(self, name: str, offset: Offset | None) -> None:
        self.name = name
        self._offset = offset
        if offset is None:
            self.spans = Spans((-_FOREVER, _FOREVER), [(-_FOREVER, 0)])
        else:
            self.spans = Spans((0, 0), [(0, offset(0))])

    def __repr__(self) -> str:
        return f"zone({self.name!r})"

    def around(self, instant: int) -> Spans:
        """Return the zone's history, complete for days around an instant or a local time."""
        spans = self.spans
        if spans.known_from <= instant - _MARGIN and instant + _MARGIN <= spans.known_until:
            return spans
        assert self._offset
        known_from = max(_FIRST_KNOWN, (instant - _MARGIN) // _YEAR * _YEAR)
        known_until = min(_LAST_KNOWN, ((instant + _MARGIN) // _YEAR + 1) * _YEAR)
        if spans.known_from < spans.known_until:
            known_from, known_until = min(known_from, spans.known_from), max(known_until, spans.known_until)
            changes = [
                (known_from, self._offset(known_from)),
                *_changes(self._offset, known_from, spans.known_from),
                *spans.changes()[1:],
                *_changes(self._offset, spans.known_until, known_until),
            ]
        else:
            changes = [
                (known_from, self._offset(known_from)),
                *_changes(self._offset, known_from, known_until),
            ]
        self.spans = Spans((known_from, known_until), changes)
        return self.spans

    def offset_at(self, instant: int) -> int:
        """Return the offset from UTC, in seconds, at an instant between 1970 and 2645."""
        spans = self.around(instant)
        return spans.segments[bisect_right(spans.starts, instant) - 1][2]

    def transitions(self, start: int, until: int) -> Transitions:
        """Return the offset at an instant and every change of it before another one.

        >>> zone("Europe/Berlin").transitions(1_782_864_000, 1_800_000_000)
        ((1782864000, 7200), (1792890000, 3600))
        """
        offset = self.offset_at(start)
        changes = self.around(until).changes()
        return ((start, offset), *(change for change in changes if start < change[0] < until))

    def amended(self, transitions: Transitions, until: int) -> Zone:
        """Return this zone as `transitions` have it, from the first of them until an instant.

        Before and after that stretch it is as this zone has it.

        >>> berlin = zone("Europe/Berlin")
        >>> berlin.amended(((1_782_864_000, 3600),), 1_800_000_000).offset_at(1_790_000_000)
        3600
        """
        own = self._offset
        assert own, "UTC never changes"
        starts = [start for start, _ in transitions]

        def offset(instant: int) -> int:
            if starts[0] <= instant < until:
                return transitions[bisect_right(starts, instant) - 1][1]
            return own(instant)

        return Zone(self.name, offset)


UTC_ZONE = Zone("UTC", None)


@lru_cache(maxsize=1024)
def zone(name: str) -> Zone:
    """Return the zone with this IANA name; raises UnknownZone, with a suggestion where one is close.

    >>> zone("Europe/Berlin").offset_at(1_782_864_000) // 3600
    2
    """
    if name == "UTC":
        return UTC_ZONE
    if name in _NOT_ZONES or name.startswith(_VARIANTS):
        raise UnknownZone(name)
    try:
        return Zone(name, partial(_offset_in, ZoneInfo(name)))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UnknownZone(name, hint=_did_you_mean(name)) from None


def _did_you_mean(name: str) -> str | None:
    """Suggest names that differ in little, or in their last part only."""
    by_spelling = {known.casefold(): known for known in available_timezones() - _NOT_ZONES}
    wanted = name.casefold().replace(" ", "_")
    found = get_close_matches(wanted, by_spelling, n=1, cutoff=0.7)
    if not found:
        found = [key for key in sorted(by_spelling) if key.rpartition("/")[2] == wanted.rpartition("/")[2]]
    return f"did you mean {by_spelling[found[0]]!r}?" if found else None


def _offset_in(source: ZoneInfo, instant: int) -> int:
    offset = datetime.fromtimestamp(instant, source).utcoffset()
    assert offset is not None
    return offset.days * 86400 + offset.seconds


def _changes(offset: Offset, start: int, end: int) -> list[tuple[int, int]]:
    """Return the transitions in (start, end] as (instant, offset from then on)."""
    found = []
    here, before = start, offset(start)
    while here < end:
        there = min(here + _STRIDE, end)
        after = offset(there)
        if after != before:
            found.append((_turn(offset, here, there, after), after))
        here, before = there, after
    return found


def _turn(offset: Offset, low: int, high: int, after: int) -> int:
    """Return the first instant in (low, high] that has the offset `after`."""
    while high - low > 1:
        middle = (low + high) // 2
        if offset(middle) == after:
            high = middle
        else:
            low = middle
    return high
