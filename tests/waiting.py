"""Waiting, with a limit, for what another thread or process does."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from time import monotonic

LIMIT_SECONDS = 10.0


def eventually(holds: Callable[[], object]) -> bool:
    """Return whether something comes to hold within the limit."""
    return eventually_within(LIMIT_SECONDS, holds, pause_seconds=0.005)


def eventually_within(seconds: float, holds: Callable[[], object], *, pause_seconds: float = 0.1) -> bool:
    """Return whether something comes to hold within so many seconds, looking from time to time.

    The last look begins when they are over: whoever waits may have stood still in between.
    """
    until = monotonic() + seconds
    pause = Event()
    is_last = False
    while not holds():
        if is_last:
            return False
        pause.wait(pause_seconds)
        is_last = monotonic() > until
    return True
