"""Recording the steps of a run: durable before the next one begins.

What a step reports is somebody else's value: it is brought to the type that the event has, because an event
of another shape could not be read again.
"""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec

from cronledger.clock import Clock
from cronledger.domain import events as e
from cronledger.domain.result import JobResult
from cronledger.engine.attempt import Attempt, ClaimLost
from cronledger.engine.notes import STEP
from cronledger.errors import CronledgerError
from cronledger.jobs.api import Job, JobContext
from cronledger.jobs.calling import call, said
from cronledger.jobs.pipeline import StepFailed
from cronledger.ledger.normal import normalised

RESULT_BYTES = 16 * 1024
MOST_STEPS = 1000
"""What one attempt may record; more is a loop that should be one step with counts."""


class NotANumber(TypeError):
    """A count that is no whole number was reported."""


class TooManySteps(CronledgerError):
    """An attempt has recorded as many steps as it may."""

    code = "too_many_steps"


class StepReport:
    """What a step wants kept beside its outcome."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.processed: int | None = None
        self.failed: int | None = None
        self.message: str | None = None
        self.result: object = None

    def report(
        self,
        *,
        processed: int | None = None,
        failed: int | None = None,
        message: str | None = None,
        result: object = None,
    ) -> None:
        """Add counts, a message and a small result."""
        self.processed = counted(processed) if processed is not None else self.processed
        self.failed = counted(failed) if failed is not None else self.failed
        self.message = worded(message) if message is not None else self.message
        self.result = result if result is not None else self.result

    def take(self, returned: Any) -> None:
        """Read counts and message from a JobResult, or keep what a function returned."""
        if isinstance(returned, JobResult):
            self.report(
                processed=returned.items_processed, failed=returned.items_failed, message=returned.message
            )
        elif returned is not None:
            self.result = returned


class Recorder:
    """The steps of one attempt."""

    def __init__(self, attempt: Attempt, clock: Clock) -> None:
        self._attempt = attempt
        self._clock = clock
        self._begun = 0

    @asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[StepReport]:
        """Record a step round a block; whatever the block raises is recorded and raised."""
        step, began = await self._begin(name)
        try:
            with _named(step.name):
                yield step
        except ClaimLost:
            raise
        except Exception as error:
            await self._failed(step, said(error), began)
            raise
        await self._succeeded(step, began)

    async def perform(
        self, name: str, work: Callable[..., Any] | Job, args: Sequence[Any], ctx: JobContext
    ) -> Any:
        """Record a step round a call and return what it returned; raise StepFailed if it did not succeed."""
        if name in self._attempt.finished_steps:
            self._attempt.steps_done += 1
            return self._attempt.finished_steps[name]
        step, began = await self._begin(name)
        try:
            with _named(step.name):
                if isinstance(work, Job):
                    returned = await call(work.execute, ctx, threads=ctx.threads)
                else:
                    returned = await call(work, *args, threads=ctx.threads)
        except ClaimLost:
            raise
        except Exception as error:
            await self._failed(step, said(error), began)
            raise StepFailed(name, said(error)) from error
        step.take(returned)
        if isinstance(returned, JobResult) and not returned.ok:
            why = step.message or "the step reported a failure"
            await self._failed(step, why, began)
            raise StepFailed(name, why)
        await self._succeeded(step, began)
        return returned

    async def _begin(self, name: str) -> tuple[StepReport, float]:
        if self._begun == MOST_STEPS:
            raise TooManySteps(
                f"a run records at most {MOST_STEPS} steps", hint="count the items of one step instead"
            )
        self._begun += 1
        step = StepReport(worded(name) or "")
        began = self._clock.monotonic()
        await self._attempt.record(e.StepStarted(name=step.name))
        return step, began

    async def _succeeded(self, step: StepReport, began: float) -> None:
        self._attempt.steps_done += 1
        await self._attempt.record(
            e.StepSucceeded(
                name=step.name,
                duration_ms=self._elapsed(began),
                items_processed=step.processed,
                items_failed=step.failed,
                message=step.message,
                result=_small(step.result),
            )
        )

    async def _failed(self, step: StepReport, error: str, began: float) -> None:
        self._attempt.steps_failed += 1
        await self._attempt.record(
            e.StepFailed(
                name=step.name,
                duration_ms=self._elapsed(began),
                items_processed=step.processed,
                items_failed=step.failed,
                message=step.message,
                error=error,
            )
        )

    def _elapsed(self, began: float) -> int:
        return round((self._clock.monotonic() - began) * 1000)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Let lines that are logged meanwhile say of which step they are; an outer step goes on afterwards."""
    outer = STEP.get()
    STEP.set(name)
    try:
        yield
    finally:
        STEP.set(outer)  # by its value: a block may be left in another context than it was entered in


def counted(value: object) -> int | None:
    """Return a count as a whole number. Raises NotANumber, or what the value's own class raises."""
    if value is None:
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type] # whatever a job reports
    except TypeError:
        raise NotANumber(f"a count is of type {type(value).__name__}, not a whole number") from None


def worded(value: object) -> str | None:
    """Return a message as text, whatever was given as one."""
    return value if value is None or isinstance(value, str) else str(normalised(value))


def _small(result: object) -> Any:
    """Keep a result that can be written as JSON and is small; say so where it is not."""
    if result is None:
        return None
    kept = normalised(result)
    size = len(msgspec.json.encode(kept))
    return kept if size <= RESULT_BYTES else f"(a result of {size} bytes is not kept)"
