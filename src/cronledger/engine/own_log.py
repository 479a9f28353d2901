"""Warnings and errors of the instance itself, kept where every other machine can read them.

What happens to runs is told by events, and what jobs say is kept with their runs: this is the rest, at most
so many lines a minute.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from cronledger.domain.line import Line, level_of
from cronledger.engine.discretion import Hide
from cronledger.engine.world import World
from cronledger.jobs.calling import said

LINES_A_MINUTE = 60
NOT_OURS = ("cronledger.jobs.", "cronledger.notes")
"""Lines of jobs; and what the writer of lines says of itself, which would come back to it."""


@contextmanager
def kept(world: World, hide: Hide) -> Iterator[None]:
    """Keep the warnings and errors of the loggers below `cronledger` while the block lasts.

    Where several instances share a process each keeps them all: the loggers do not tell them apart.
    """
    handler = KeepingHandler(world, hide)
    logger = logging.getLogger("cronledger")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class KeepingHandler(logging.Handler):
    """Hands lines to `World.notes`."""

    def __init__(self, world: World, hide: Hide) -> None:
        super().__init__(logging.WARNING)
        self._world = world
        self._hide = hide
        self._minute = -1
        self._kept = self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, unless an event or the run's own lines say it; `handle` has locked."""
        self._print_as_last_resort(record)
        if record.name.startswith(NOT_OURS) or hasattr(record, "run_id"):
            return
        minute = int(self._world.clock.monotonic() // 60)
        if minute != self._minute:
            left_out, self._left_out = self._left_out, 0
            self._minute, self._kept = minute, 0
            if left_out:
                self._say("WARN", record.name, f"{left_out} lines were left out: too many in one minute")
        if self._kept == LINES_A_MINUTE:
            self._left_out += 1
            return
        self._kept += 1
        self._say(level_of(record.levelno), record.name, self._hide(_words(record)))

    def _say(self, level: str, logger: str, message: str) -> None:
        world = self._world
        line = Line(at=world.now(), level=level, logger=logger, instance=world.instance, message=message)
        world.notes.say(line)

    def _print_as_last_resort(self, record: logging.LogRecord) -> None:
        """Print what nobody else handles, as the standard library does where nobody listens at all."""
        logger: logging.Logger | None = logging.getLogger(record.name)
        handlers: list[logging.Handler] = []
        while logger is not None:
            handlers += logger.handlers
            logger = logger.parent if logger.propagate else None
        alone = all(isinstance(each, KeepingHandler) for each in handlers)
        if alone and handlers[:1] == [self] and logging.lastResort is not None:
            logging.lastResort.handle(record)


def _words(record: logging.LogRecord) -> str:
    """Return the message, and what was raised."""
    error = record.exc_info[1] if record.exc_info else None
    return record.getMessage() if error is None else f"{record.getMessage()}: {said(error)}"
