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
    """Return whether something comes to hold within so many seconds, looking from time to time."""
    until = monotonic() + seconds
    pause = Event()
    while not holds():
        if monotonic() > until:
            return False
        pause.wait(pause_seconds)
    return True
