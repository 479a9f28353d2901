"""Recording the steps of a run: durable before the next one begins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from cronledger.clock import Clock
from cronledger.domain import events as e
from cronledger.domain.result import JobResult
from cronledger.engine.attempt import Attempt, ClaimLost
from cronledger.jobs.api import Job, JobContext
from cronledger.jobs.calling import call
from cronledger.jobs.pipeline import StepFailed
from cronledger.ledger.normal import normalised

RESULT_BYTES = 16 * 1024


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
        self.processed = processed if processed is not None else self.processed
        self.failed = failed if failed is not None else self.failed
        self.message = message if message is not None else self.message
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

    @asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[StepReport]:
        """Record a step round a block; whatever the block raises is recorded and raised."""
        began = self._clock.monotonic()
        await self._attempt.record(e.StepStarted(name=name))
        step = StepReport(name)
        try:
            yield step
        except ClaimLost:
            raise
        except Exception as error:
            await self._failed(step, _said(error), began)
            raise
        await self._succeeded(step, began)

    async def perform(
        self, name: str, work: Callable[..., Any] | Job, args: Sequence[Any], ctx: JobContext
    ) -> Any:
        """Record a step round a call and return what it returned; raise StepFailed if it did not succeed."""
        if name in self._attempt.finished_steps:
            self._attempt.steps_done += 1
            return self._attempt.finished_steps[name]
        began = self._clock.monotonic()
        await self._attempt.record(e.StepStarted(name=name))
        step = StepReport(name)
        try:
            if isinstance(work, Job):
                returned = await call(work.execute, ctx, threads=ctx.threads)
            else:
                returned = await call(work, *args, threads=ctx.threads)
        except ClaimLost:
            raise
        except Exception as error:
            await self._failed(step, _said(error), began)
            raise StepFailed(name, _said(error)) from error
        step.take(returned)
        if isinstance(returned, JobResult) and not returned.ok:
            await self._failed(step, returned.message or "the step reported a failure", began)
            raise StepFailed(name, returned.message or "the step reported a failure")
        await self._succeeded(step, began)
        return returned

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


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _small(result: object) -> Any:
    """Keep a result that can be written as JSON and is small; say so where it is not."""
    if result is None:
        return None
    kept = normalised(result)
    size = len(msgspec.json.encode(kept))
    return kept if size <= RESULT_BYTES else f"(a result of {size} bytes is not kept)"
