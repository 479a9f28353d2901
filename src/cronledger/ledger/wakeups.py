"""Hints that somebody has appended: never relied upon, only to look sooner than after a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

LOOK_SECONDS = 0.1


class FileWatch:
    """Looks at a file's size and time of change."""

    def __init__(self, path: Path, callback: Callable[[], None]) -> None:
        self._path = path
        self._callback = callback
        self._closing = Event()
        self._seen = self._look()
        self._thread = Thread(target=self._run, name="cronledger-wake", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no longer."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                self._callback()

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size
