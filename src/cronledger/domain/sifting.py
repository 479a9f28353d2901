"""Fire times that will not run, told in ranges of neighbours.

A range stands for every fire time between its ends. Where a calendar takes fire times away in the midst of a
backlog, what is skipped for another reason is told in parts, on either side of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from cronledger.domain.catchup import Skipped
from cronledger.domain.fire_times import EPOCH, instant_of, second_of
from cronledger.domain.schedule import Schedule

MOST = 10_000_000
"""More fire times than a per-second job has in a season: so many are read where nobody waits for it."""
_SECOND = timedelta(seconds=1)


def ranges(times: Iterable[datetime], reason: str, beside: Sequence[Skipped] = ()) -> list[Skipped]:
    """Tell fire times, oldest first, in ranges that enclose none of those beside them.

    >>> from datetime import UTC
    >>> one, two, three = (datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (1, 2, 3))
    >>> [each.count for each in ranges([one, three], "overlap", [Skipped(two, two, 1, "calendar")])]
    [1, 1]
    """
    starts = [each.first_at for each in beside]
    found = []
    for _, group in groupby(times, key=lambda at: bisect_right(starts, at)):
        first, last, count = None, None, 0
        for at in group:
            first, last, count = first or at, at, count + 1
        assert first
        assert last
        found.append(Skipped(first, last, count, reason))
    return found


class Sifting:
    """The first `most` fire times later than one instant up to another.

    Those a calendar takes are in `taken`, as far as they have been read.
    """

    def __init__(self, schedule: Schedule, after: datetime, until: datetime, most: int) -> None:
        self._schedule = schedule
        self._after, self._until, self._most = after, until, most
        self._last_left: datetime | None = None
        self.taken: list[Skipped] = []

    def left(self) -> Iterator[datetime]:
        """Yield what the calendar leaves, oldest first."""
        schedule, calendar = self._schedule, self._schedule.calendar
        if calendar is None:
            yield from schedule.ruled(self._after, self._until, self._most)
            return
        end, known_until, is_open, read = second_of(self._until) + 1, 0, True, 0
        found = schedule.first_from(second_of(self._after) + 1)
        while found < end and read < self._most:
            if found >= known_until:
                _, known_until, is_open = calendar.stretch(found, schedule.zone)
            if is_open:
                self._last_left = instant_of(found)
                yield self._last_left
                found, read = schedule.first_from(found + 1), read + 1
            else:
                found, count = self._take(found, min(known_until, end), self._most - read)
                read += count

    def _take(self, first: int, until: int, most: int) -> tuple[int, int]:
        """Set aside the fire times from the first before `until`; return the one after them, and how many."""
        found, last, count = first, first, 0
        while found < until and count < most:
            found, last, count = self._schedule.first_from(found + 1), found, count + 1
        before = self.taken.pop() if self._is_taking() else Skipped(instant_of(first), EPOCH, 0, "calendar")
        self.taken.append(Skipped(before.first_at, instant_of(last), before.count + count, "calendar"))
        return found, count

    def _is_taking(self) -> bool:
        """Whether the latest fire times were taken."""
        return bool(self.taken) and (self._last_left is None or self._last_left < self.taken[-1].first_at)

    def told(self, *, goes_on: bool) -> list[Skipped]:
        """Return what the calendar took; if the time goes on, without what it is still taking.

        That is told with the rest of it before the next fire time, so that a night is one event.
        """
        is_night = goes_on and self._last_left is not None and self._is_taking()
        return self.taken[:-1] if is_night else self.taken

    def apart(self, skipped: Skipped) -> list[Skipped]:
        """Tell a range without what the calendar took in its midst."""
        if not any(skipped.first_at < each.first_at < skipped.last_at for each in self.taken):
            return [skipped]
        times = self._schedule.fire_times(skipped.first_at - _SECOND, skipped.last_at, MOST)
        return ranges(times, skipped.reason, self.taken)
