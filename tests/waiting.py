"""Waiting, with a limit, for what another thread or process does."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from time import monotonic

LIMIT_SECONDS = 10.0


def eventually(holds: Callable[[], object]) -> bool:
    """Return whether something comes to hold within the limit."""
    until = monotonic() + LIMIT_SECONDS
    pause = Event()
    while not holds():
        if monotonic() > until:
            return False
        pause.wait(0.005)
    return True
