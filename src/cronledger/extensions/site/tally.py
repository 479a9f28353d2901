"""What a step has to tell: how many things it did, and which it could not do."""

from __future__ import annotations

from cronledger import JobContext, JobResult
from cronledger.extensions.site.output import Counts, Output

SHOWN = 3
"""So many problems stand in the error of a step; all are in its log."""


class Tally:
    """Counts what was done; each problem is told once, in the log of the run."""

    def __init__(self, ctx: JobContext) -> None:
        self._ctx = ctx
        self.done = 0
        self.failed = 0
        self._problems: dict[str, None] = {}

    def problem(self, text: object) -> None:
        """Count something that could not be done, and say why."""
        self.failed += 1
        if str(text) not in self._problems:
            self._problems[str(text)] = None
            self._ctx.log.error("%s", text)

    def finish(self, output: Output) -> Counts:
        """Finish the output of a step, and count what it could not do."""
        counts = output.finish()
        for problem in output.failed:
            self.problem(problem)
        return counts

    def result(self, message: str) -> JobResult:
        """Succeed with a message if there was no problem; what could be done is done in any case."""
        if not self.failed:
            return JobResult.success().with_stats(self.done, 0).with_message(message)
        told = list(self._problems)
        more = f"; and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
        failure = JobResult.failure(f"{'; '.join(told[:SHOWN])}{more} ({message}, {self.failed} failed)")
        return failure.with_stats(self.done, self.failed)


class Stopped(Exception):
    """Somebody has asked the run to stop."""


def look_up(ctx: JobContext, done: int, total: int, what: str) -> None:
    """Say how far a step is, and end it if somebody wants that. Raises Stopped."""
    if ctx.cancelled:
        raise Stopped(f"stopped after {done} of {total} {what}")
    ctx.progress(done, total, what)


def counted(number: int, what: str) -> str:
    """Write a number with what it counts.

    >>> counted(1, "page"), counted(2, "page")
    ('1 page', '2 pages')
    """
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
