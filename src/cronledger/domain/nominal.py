"""From nominal local times to instants, near a gap or a fold of the zone.

An expression names local times; the clock may skip one or show it twice. `earliest` and `latest` turn the
search over local times into a search over instants, under any rule. A time in a gap belongs to the gap's end
if its date exists at all; times before the floor of a segment have been read before.

Both go by two mappings that never decrease, the first and the last instant at which a time is read. Firing
at both readings is the union of the two, so its next is the smaller next and its previous the larger one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from cronledger.domain.cron_days import NEVER
from cronledger.domain.definition import Dst, Fold, Gap
from cronledger.domain.zone import Spans, Zone

Search = Callable[[int], int]

_DAY = 86400
_NO_TIME = -2 * _DAY
"""Local times below this one lie before 1970 in every zone."""
NO_INSTANT = NEVER * _DAY


def earliest(search: Search, zone: Zone, instant: int, rule: Dst) -> int:
    """Return the first fire time from `instant` on; `search` finds the first local time from one on."""
    match rule.fold:
        case Fold.FIRST | Fold.SECOND:
            return _next_reading(search, zone, instant, rule)
        case Fold.BOTH:
            return min(_next_reading(search, zone, instant, each) for each in _each_reading(rule))


def latest(search: Search, zone: Zone, instant: int, rule: Dst) -> int:
    """Return the last fire time up to `instant`, or NO_INSTANT; `search` finds the last local time."""
    match rule.fold:
        case Fold.FIRST | Fold.SECOND:
            return _previous_reading(search, zone, instant, rule)
        case Fold.BOTH:
            return max(_previous_reading(search, zone, instant, each) for each in _each_reading(rule))


def readings(time: int, zone: Zone, rule: Dst) -> tuple[int, ...]:
    """Return the instants at which one local time fires: none, one, or two."""
    spans = zone.around(time)
    there = bisect_right(spans.floors, time) - 1
    if time < spans.openings[there]:
        fires = rule.gap is Gap.SHIFT and _has_date(spans, there, time)
        return (spans.starts[there],) if fires else ()
    folds = (Fold.FIRST, Fold.SECOND) if rule.fold is Fold.BOTH else (rule.fold,)
    return tuple(sorted({_reading(spans, there, time, fold) for fold in folds}))


def _each_reading(rule: Dst) -> tuple[Dst, Dst]:
    return Dst(gap=rule.gap, fold=Fold.FIRST), Dst(gap=rule.gap, fold=Fold.SECOND)


def _next_reading(search: Search, zone: Zone, instant: int, rule: Dst) -> int:
    spans = zone.around(instant)
    here = bisect_right(spans.starts, instant) - 1
    local = instant + spans.segments[here][2]
    opens = instant == spans.starts[here]
    if rule.fold is Fold.FIRST:
        front = spans.floors[here] if opens else max(local, spans.floors[here])
    else:
        front = min(spans.floors[here], local) if opens else local
        front = min([front, *spans.openings[here + 1 : here + 2]])
    while True:
        time = search(front)
        spans = zone.around(time)
        there = bisect_right(spans.floors, time) - 1
        if time >= spans.openings[there]:
            return _reading(spans, there, time, rule.fold)
        if rule.gap is Gap.SHIFT and _has_date(spans, there, time):
            return spans.starts[there]
        front = min(spans.openings[there], (time // _DAY + 1) * _DAY)


def _previous_reading(search: Search, zone: Zone, instant: int, rule: Dst) -> int:
    spans = zone.around(instant)
    here = bisect_right(spans.starts, instant) - 1
    front = instant + spans.segments[here][2]
    if rule.fold is Fold.FIRST:
        front = max(front, spans.floors[here] - 1)
    else:
        front = min([front, *(opening - 1 for opening in spans.openings[here + 1 : here + 2])])
    while True:
        time = search(front)
        if time < _NO_TIME:
            return NO_INSTANT
        spans = zone.around(time)
        there = bisect_right(spans.floors, time) - 1
        if time >= spans.openings[there]:
            return _reading(spans, there, time, rule.fold)
        if rule.gap is Gap.SHIFT and _has_date(spans, there, time):
            return spans.starts[there]
        front = max(spans.floors[there], time // _DAY * _DAY) - 1


def _reading(spans: Spans, there: int, time: int, fold: Fold) -> int:
    """Return when a time is read; it was not read before the segment `there`."""
    if fold is Fold.SECOND and time >= min(spans.openings[there + 1 : there + 2], default=time + 1):
        there += 1
    return time - spans.segments[there][2]


def _has_date(spans: Spans, gap: int, time: int) -> bool:
    """Whether a time inside a gap has a date of which the clock shows anything."""
    return time // _DAY in ((spans.floors[gap] - 1) // _DAY, spans.openings[gap] // _DAY)
