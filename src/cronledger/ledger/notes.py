"""What is kept beside the events, log lines and progress, written by a thread of its own.

Whoever says something never waits and never fails: lines queue in memory, within a bound, and the thread
writes them in batches about once a second, with as little durability as the database offers. While the ledger
is away they wait; when there are too many the oldest go, and one line says how many. A crash loses what was
said in about the last second; a commit whose answer was lost is repeated, and its lines stand there twice.
"""

from __future__ import annotations

import logging
from collections import deque
from datetime import timedelta
from threading import Event, RLock, Thread, current_thread

from sqlalchemy.exc import SQLAlchemyError

from cronledger.clock import Clock
from cronledger.domain.ids import RunId
from cronledger.domain.line import Line
from cronledger.domain.progress import Progress
from cronledger.errors import CronledgerError
from cronledger.ledger import progress
from cronledger.ledger.database import Store
from cronledger.ledger.logs import write_lines

log = logging.getLogger("cronledger.notes")
LINES_WAITING = 10_000
BATCH_LINES = 1000
FLUSH_SECONDS = 1.0
GATHER_SECONDS = 0.1
"""How long to wait for more when there is a reason to write before the second is over."""
CLOSING_SECONDS = 1.0
LEFT_BEHIND = timedelta(days=7)
"""Progress that was not renewed for so long belongs to an instance that ended without a word."""


class NoteWriter:
    """Takes what runs and the engine say, from any thread, and writes it when it can."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._changing = RLock()  # a line may be said while another one is taken: by a signal or a finaliser
        self._lines: deque[Line] = deque()
        self._dropped = 0
        self._progress: dict[RunId, Progress] = {}
        self._reported: set[RunId] = set()
        self._ended: dict[RunId, int] = {}
        self._taken: list[Line] = []
        self._progress_due = 0.0
        self._has_tidied = False
        self._trouble = ""
        self._is_closing = False
        self._hurry, self._end = Event(), Event()
        self._thread: Thread | None = None

    # --- from any thread --------------------------------------------------------------------------------

    def say(self, line: Line) -> None:
        """Keep a line; the oldest that waits makes room if need be."""
        with self._changing:
            if self._is_closing:
                return
            if len(self._lines) == LINES_WAITING:
                self._lines.popleft()
                self._dropped += 1
            self._lines.append(line)
            if len(self._lines) == BATCH_LINES:
                self._hurry.set()
            self._begin()

    def report(self, report: Progress) -> None:
        """Keep the latest word on how far a run is."""
        with self._changing:
            if self._is_closing:
                return
            self._progress[report.run_id] = report
            self._reported.add(report.run_id)
            self._begin()

    def end(self, run_id: RunId, attempt: int) -> None:
        """Write soon what an attempt has said, and forget how far it was."""
        with self._changing:
            self._progress.pop(run_id, None)
            if run_id in self._reported:
                self._reported.remove(run_id)
                self._ended[run_id] = attempt
            if self._lines or self._ended:
                self._hurry.set()

    def close(self, within_seconds: float = CLOSING_SECONDS) -> None:
        """Write what waits, as far as the ledger takes it in time, and take no more."""
        with self._changing:
            self._is_closing = True
        self._end.set()
        self._hurry.set()
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join(within_seconds)

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._run, name="cronledger-notes", daemon=True)
            self._thread.start()

    # --- on the thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._end.is_set():
            if self._hurry.wait(FLUSH_SECONDS):
                self._end.wait(GATHER_SECONDS)
            self._hurry.clear()
            if not self._flush():
                self._end.wait(FLUSH_SECONDS)
        self._flush()

    def _flush(self) -> bool:
        """Write what waits; whether the ledger took it. What it refuses for good is dropped."""
        try:
            while self._taken or self._take():
                with self._store.writing(relaxed=True) as connection:
                    write_lines(connection, self._taken)
                self._taken = []
            self._write_progress()
        except CronledgerError as error:
            self._complain(f"log lines and progress wait in memory: {error}")
            return False
        except SQLAlchemyError as error:
            self._taken = []
            self._complain(f"some log lines or progress cannot be kept: {type(error).__name__}")
            return False
        self._trouble = ""
        return True

    def _take(self) -> list[Line]:
        """Take the next batch, with a line about those that are missing before it."""
        with self._changing:
            if self._dropped:
                self._taken.append(_about_dropped(self._lines[0], self._dropped))
                self._dropped = 0
            while self._lines and len(self._taken) < BATCH_LINES:
                self._taken.append(self._lines.popleft())
        return self._taken

    def _write_progress(self) -> None:
        """Write the latest word of each run, at most once a second; remove the rows of those that ended."""
        now = self._clock.monotonic()
        with self._changing:
            ended, self._ended = self._ended, {}
            reports: dict[RunId, Progress] = {}
            if now >= self._progress_due:
                reports, self._progress = self._progress, {}
        if not ended and not reports:
            return
        try:
            with self._store.writing(relaxed=True) as connection:
                if not self._has_tidied:
                    progress.remove_before(connection, self._clock.now() - LEFT_BEHIND)
                progress.put(connection, reports.values())
                progress.remove(connection, ended)
        except CronledgerError:
            with self._changing:
                self._progress = {
                    run_id: each for run_id, each in reports.items() if run_id in self._reported
                } | self._progress
                self._ended = ended | self._ended
            raise
        self._has_tidied = True
        if reports:
            self._progress_due = now + FLUSH_SECONDS

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("%s", trouble)
        self._trouble = trouble


def _about_dropped(following: Line, count: int) -> Line:
    return Line(
        at=following.at,
        level="WARN",
        logger="cronledger.notes",
        instance=following.instance,
        message=f"{count} lines were dropped",
    )
