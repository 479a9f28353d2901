"""The only reader of the time.

Everything else takes the instant as an argument or asks the clock it was given.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

STEP_SECONDS = 5.0
OFFSET_SECONDS = 1.0
READING_SECONDS = 1.0


class Clock(Protocol):
    """Three clocks that a machine has, each for one purpose."""

    def now(self) -> datetime:
        """Return the wall-clock instant, aware, in UTC: what events and fire times are compared with."""

    def monotonic(self) -> float:
        """Return seconds that never go back: for durations."""

    def boottime(self) -> float:
        """Return seconds that also pass while the machine sleeps: for trust in a lease."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Return the wall-clock instant in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the one home of the time

    def monotonic(self) -> float:
        """Return seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

    def boottime(self) -> float:
        """Return seconds of CLOCK_BOOTTIME, or of CLOCK_MONOTONIC where there is none."""
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()


class StepWatch:
    """Notices that somebody has set the wall clock: it has moved against the time that has passed.

    A machine that slept is no such case: both clocks went on meanwhile.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._difference: float | None = None

    def look(self) -> float | None:
        """Return by how many seconds the clock was set since the last look, if it was by more than 5."""
        before = self._clock.boottime()
        wall = self._clock.now().timestamp()
        after = self._clock.boottime()
        if after - before > READING_SECONDS:
            return None  # we were stopped between the readings; the next ones will be better
        known, self._difference = self._difference, wall - after
        if known is None or abs(self._difference - known) <= STEP_SECONDS:
            return None
        return round(self._difference - known, 3)


class OffsetWatch:
    """Notices how far this machine's clock is from the ledger's, where that is another machine's."""

    def __init__(self) -> None:
        self._told = 0.0

    def look(self, before: datetime, ledger: datetime, after: datetime) -> float | None:
        """Return how many seconds this clock is ahead, if that has changed by more than one.

        The ledger's clock was read somewhere between `before` and `after`, by our own clock.
        """
        uncertain = (after - before).total_seconds() / 2
        offset = (before - ledger).total_seconds() + uncertain
        if uncertain < 0 or abs(offset - self._told) - uncertain <= OFFSET_SECONDS:
            return None
        self._told = offset
        return round(offset, 3)
