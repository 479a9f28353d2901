"""Hints that somebody has appended: never relied upon, only to look sooner than after a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

LOOK_SECONDS = 0.1
QUIET_SECONDS = 0.2
"""How often to look where nothing has changed for a while: a hint then comes so much later at most."""
QUIET_AFTER = 30
"""How many looks that while is."""

Seen = tuple[int, int] | None


class FileWatch:
    """Looks at a file's size and time of change."""

    def __init__(self, path: Path, callback: Callable[[], None]) -> None:
        self._path = path
        self._callback = callback
        self._closing = Event()
        self._seen = self.look()
        self._thread = Thread(target=self._run, name="cronledger-wake", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no longer."""
        self._closing.set()
        self._thread.join()

    def look(self) -> Seen:
        """Return what changes whenever somebody writes."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def check(self) -> bool:
        """Call back if somebody has written since the last look; whether somebody has."""
        seen = self.look()
        if seen == self._seen:
            return False
        self._seen = seen
        self._callback()
        return True

    def overlook(self, before: Seen) -> None:
        """Take what has changed since a look for known, unless somebody else's change was not seen yet."""
        if self._seen == before:
            self._seen = self.look()

    def _run(self) -> None:
        quiet = 0
        while not self._closing.wait(LOOK_SECONDS if quiet < QUIET_AFTER else QUIET_SECONDS):
            quiet = 0 if self.check() else quiet + 1


class OwnWrites:
    """The watches of one store, and what they need not tell: that it has written rows and views itself."""

    def __init__(self) -> None:
        self._watches: list[FileWatch] = []

    def watched_by(self, watch: FileWatch) -> FileWatch:
        """Learn of a watch."""
        self._watches.append(watch)
        return watch

    @contextmanager
    def overlooked(self) -> Iterator[None]:
        """Let nobody be called for what is written here; to be entered once nobody else can write."""
        before = [(watch, watch.look()) for watch in self._watches]
        yield
        for watch, seen in before:
            watch.overlook(seen)
