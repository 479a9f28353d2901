"""What an attempt says beside its events: log lines, and how far it is.

Both are for people who watch. They are kept beside the ledger by `World.notes`, which neither waits nor
fails, so a job is never slowed, held up or failed by them; what cannot be true is left out, and one line says
so.
"""

from __future__ import annotations

import logging
from itertools import count
from typing import Any

from cronledger.domain.line import Line, level_of
from cronledger.domain.progress import Progress, amount
from cronledger.domain.run import RunState
from cronledger.engine.discretion import Hide, JobLog
from cronledger.engine.world import World
from cronledger.jobs.steps import STEP
from cronledger.ledger.normal import MESSAGE_BYTES, normalised, truncated, worded

MOST_LINES = 10_000
"""What is kept of one attempt; the program's own log has the rest."""
PROGRESS_BYTES = 1024
"""The longest message beside a progress."""


class AttemptNotes:
    """The log of one attempt and its word on how far it is."""

    def __init__(self, world: World, run: RunState, hide: Hide) -> None:
        self._world = world
        self._run = run
        self._hide = hide
        self._numbers = count(1)
        self._has_ended = self._has_warned = False

    def log(self) -> JobLog:
        """Make the log that the job writes to; it knows us, so we must not keep it."""
        about: dict[str, object] = {"job": self._run.job, "run_id": self._run.run_id}
        return JobLog(logging.getLogger(self._logger_name), about, self._hide, self._keep)

    @property
    def _logger_name(self) -> str:
        return f"cronledger.jobs.{self._run.job}"

    def progress(self, done: Any, total: Any, message: Any) -> None:
        """Tell how far the attempt is; what cannot be true is left out."""
        if self._has_ended:
            return
        much = amount(done)
        most = None if total is None else amount(total)
        if much is None or (total is not None and most is None) or (most is not None and much > most):
            return self._warn(done, total)
        words = worded(message)
        report = Progress(
            run_id=self._run.run_id,
            attempt=self._run.attempt,
            done=much,
            total=most,
            message=None if words is None else truncated(self._hide(words), PROGRESS_BYTES),
            at=self._world.now(),
        )
        return self._world.notes.report(report)

    def end(self) -> None:
        """Say that the attempt is over."""
        self._has_ended = True
        self._world.notes.end(self._run.run_id, self._run.attempt)

    def _warn(self, done: object, total: object) -> None:
        """Say once what is wrong: a loop that is wrong a million times says nothing new."""
        if not self._has_warned:
            self._has_warned = True
            said = f"progress({normalised(done)!r}, {normalised(total)!r})"
            text = "%s is left out: done and total are numbers from 0 on, and done is at most total"
            self.log().warning(text, truncated(said, PROGRESS_BYTES))

    def _keep(self, level: int, message: str) -> None:
        number = next(self._numbers)
        if number > MOST_LINES + 1:
            return
        if number > MOST_LINES:
            level, message = logging.WARNING, f"more than {MOST_LINES} lines: the rest is not kept"
        line = Line(
            at=self._world.now(),
            level=level_of(level),
            logger=self._logger_name,
            instance=self._world.instance,
            message=truncated(message, MESSAGE_BYTES),
            job=self._run.job,
            run_id=self._run.run_id,
            step=STEP.get(),
        )
        self._world.notes.say(line)
