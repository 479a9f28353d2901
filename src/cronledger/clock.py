"""The only reader of the time.

Everything else takes the instant as an argument or asks the clock it was given.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


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
