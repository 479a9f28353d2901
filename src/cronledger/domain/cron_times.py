"""At which times of a day an expression fires, over seconds counted from midnight.

Per field two look-up lists: the smallest value from i on and the largest value up to i. They depend on
nothing but the field's values and are shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

NONE = -1
"""No time of this day is left."""

_ABOVE = 99


class Times:
    """The times of day at which an expression fires: made by `times`, shared between expressions."""

    __slots__ = ("_down", "_end", "_start", "_up", "first", "last")

    def __init__(self, seconds: int, minutes: int, hours: int) -> None:
        ladders = _ladder(seconds, 60), _ladder(minutes, 60), _ladder(hours, 24)
        (seconds_up, seconds_down), (minutes_up, minutes_down), (hours_up, hours_down) = ladders
        self._up = seconds_up, minutes_up, hours_up
        self._down = seconds_down, minutes_down, hours_down
        self._start = minutes_up[0] * 60 + seconds_up[0]
        self._end = minutes_down[59] * 60 + seconds_down[59]
        self.first = hours_up[0] * 3600 + self._start
        self.last = hours_down[23] * 3600 + self._end

    def at_or_after(self, time: int) -> int:
        """Return the first firing time from `time` on, or NONE."""
        if time <= self.first:
            return self.first
        if time > self.last:
            return NONE
        seconds, minutes, hours = self._up
        hour, rest = divmod(time, 3600)
        if hours[hour] > hour:
            return hours[hour] * 3600 + self._start
        minute, second = divmod(rest, 60)
        found = minutes[minute]
        if found == minute:
            if seconds[second] < 60:
                return time - second + seconds[second]
            found = minutes[minute + 1]
        if found < 60:
            return hour * 3600 + found * 60 + seconds[0]
        return hours[hour + 1] * 3600 + self._start

    def at_or_before(self, time: int) -> int:
        """Return the last firing time up to `time`, or NONE."""
        if time >= self.last:
            return self.last
        if time < self.first:
            return NONE
        seconds, minutes, hours = self._down
        hour, rest = divmod(time, 3600)
        if hours[hour] < hour:
            return hours[hour] * 3600 + self._end
        minute, second = divmod(rest, 60)
        found = minutes[minute]
        if found == minute:
            if seconds[second] >= 0:
                return time - second + seconds[second]
            found = minutes[minute - 1]
        if found >= 0:
            return hour * 3600 + found * 60 + seconds[59]
        return hours[hour - 1] * 3600 + self._end


@lru_cache(maxsize=1 << 14)
def times(seconds: int, minutes: int, hours: int) -> Times:
    """Return the times of day at which all three fields match."""
    return Times(seconds, minutes, hours)


@lru_cache(maxsize=1 << 12)
def _ladder(mask: int, size: int) -> tuple[Sequence[int], Sequence[int]]:
    """Return the smallest value from each i on, and the largest up to it.

    Both lists have one entry more: beyond the end nothing is above, and index -1 finds nothing below.
    """
    up, down = [_ABOVE] * (size + 1), [NONE] * (size + 1)
    for value in reversed(range(size)):
        up[value] = value if mask >> value & 1 else up[value + 1]
    for value in range(size):
        down[value] = value if mask >> value & 1 else down[value - 1]
    return tuple(up), tuple(down)
