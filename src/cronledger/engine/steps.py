"""Recording the steps of a run: durable before the next one begins.

What a step reports is somebody else's value: it is brought to the type that the event has, because an event
of another shape could not be read again. What a step returns is given on as the ledger keeps it, the first
time as when the run is tried again: code that works once works then as well.
"""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import msgspec

from cronledger.clock import Clock
from cronledger.domain import events as e
from cronledger.domain.result import JobResult
from cronledger.domain.steps import BLOCK
from cronledger.engine.attempt import Attempt, ClaimLost
from cronledger.errors import CronledgerError
from cronledger.jobs.api import Job, JobContext, Work
from cronledger.jobs.calling import call, is_cancellation, kept_of
from cronledger.jobs.isolation_messages import RaisedApart
from cronledger.jobs.steps import DuplicateStep, OnError, StepFailed, named
from cronledger.ledger.normal import MESSAGE_BYTES, kept, normalised, truncated, worded

RESULT_BYTES = 16 * 1024
MOST_STEPS = 1000
"""What one attempt may record; more is a loop that should be one step with counts."""
JOB_RESULT = "job_result"
"""The form of a step that returned a JobResult."""


class NotKept(TypeError):
    """A step has returned something that the ledger cannot give back."""


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
        self.duration_ms: int | None = None
        self.form = "value"

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
            self.form = JOB_RESULT
            self.duration_ms = counted(returned.duration_ms)
            self.report(
                processed=returned.items_processed, failed=returned.items_failed, message=returned.message
            )
        else:
            self.result = returned


class Recorder:
    """The steps of one attempt."""

    def __init__(self, attempt: Attempt, clock: Clock) -> None:
        self._attempt = attempt
        self._clock = clock
        self._begun = 0
        self._names: set[str] = set()

    @asynccontextmanager
    async def open(self, name: str, on_error: OnError) -> AsyncIterator[StepReport]:
        """Record a step round a block; what it raises is recorded, and raised unless the run goes on."""
        step, began = await self._begin(self._claim(name))
        step.form = BLOCK
        try:
            with named(step.name):
                yield step
        except (ClaimLost, GeneratorExit):
            raise
        except BaseException as error:
            if is_cancellation(error):
                raise
            await self._failed(step, told(error), began)
            if on_error is OnError.CONTINUE:
                return
            raise
        step.result = _small(step.result)
        await self._succeeded(step, began)

    async def perform(
        self, name: str, work: Work, args: Sequence[Any], ctx: JobContext, *, on_error: OnError
    ) -> Any:
        """Record a step round a call and return what the ledger keeps of its result.

        If it did not succeed, raises StepFailed, or returns a JobResult that says so.
        """
        name = self._claim(name)
        if name in self._attempt.finished_steps:
            self._attempt.steps_done += 1
            return _given(self._attempt.finished_steps[name])
        step, began = await self._begin(name)
        error: BaseException | None = None
        try:
            with named(step.name):
                returned = await called(work, args, ctx)
            step.take(returned)
            step.result = self._kept(step.result)
        except ClaimLost:
            raise
        except BaseException as raised:
            if is_cancellation(raised):
                raise
            error, returned = raised, JobResult.failure(told(raised))
        if not isinstance(returned, JobResult) or returned.ok:
            return _given(await self._succeeded(step, began))
        why = worded(returned.message) or "the step reported a failure"
        await self._failed(step, why, began)
        if on_error is OnError.CONTINUE:
            return returned
        raise StepFailed(name, why) from error

    async def skip(self, name: str, reason: str) -> None:
        """Record that a step is not begun."""
        name = self._claim(name)
        self._count()
        await self._attempt.record(e.StepSkipped(name=name, reason=worded(reason)))

    def _claim(self, name: object) -> str:
        """Take a name, as the ledger keeps it, for one step of this attempt.

        As it stands: starred, it would be another one before its secret is first looked up, and a step that
        is recorded would be done again.
        """
        text = truncated(worded(name) or "", MESSAGE_BYTES)
        if self._attempt.is_secret(text):
            self._attempt.notes.log().warning("the name of a step holds a secret, and names are kept")
        if text in self._names:
            self._refuse(DuplicateStep(text))
        self._names.add(text)
        return text

    def _count(self) -> None:
        if self._begun == MOST_STEPS:
            self._refuse(
                TooManySteps(
                    f"a run records at most {MOST_STEPS} steps", hint="count the items of one step instead"
                )
            )
        self._begun += 1

    def _refuse(self, error: CronledgerError) -> NoReturn:
        """Raise what fails the run, also if its code catches it: work was asked for and not done."""
        self._attempt.misuse = self._attempt.misuse or error
        raise error

    def _kept(self, result: object) -> Any:
        plain = plain_result(result)
        if self._attempt.is_secret(plain):
            raise NotKept(
                "its result holds a secret, which the ledger does not keep: look it up where it is used"
            )
        return plain

    async def _begin(self, name: str) -> tuple[StepReport, float]:
        self._count()
        step = StepReport(name)
        began = self._clock.monotonic()
        await self._attempt.record(e.StepStarted(name=step.name))
        return step, began

    async def _succeeded(self, step: StepReport, began: float) -> e.StepSucceeded:
        self._attempt.steps_done += 1
        body = self._attempt.kept(
            e.StepSucceeded(
                name=step.name,
                duration_ms=step.duration_ms or self._elapsed(began),
                items_processed=step.processed,
                items_failed=step.failed,
                message=step.message,
                result=step.result,
                form=step.form,
            )
        )
        await self._attempt.record(body)
        return body

    async def _failed(self, step: StepReport, error: str, began: float) -> None:
        self._attempt.steps_failed += 1
        await self._attempt.record(
            e.StepFailed(
                name=step.name,
                duration_ms=step.duration_ms or self._elapsed(began),
                items_processed=step.processed,
                items_failed=step.failed,
                message=step.message,
                error=error,
            )
        )

    def _elapsed(self, began: float) -> int:
        return round((self._clock.monotonic() - began) * 1000)


async def called(work: Work, args: Sequence[Any], ctx: JobContext) -> Any:
    """Call what a step is made of."""
    if isinstance(work, Job):
        return await call(work.execute, ctx, threads=ctx.threads)
    return await call(work, *args, threads=ctx.threads)


def told(error: BaseException) -> str:
    """Return what is kept of whatever the code of a run or a step raised: its class and what it says."""
    if isinstance(error, RaisedApart):
        return error.told
    words, name = kept_of(error), type(error).__name__
    return words if words == name or isinstance(error, NotKept) else f"{name}: {words}"


def _given(body: e.StepSucceeded) -> Any:
    """Return what whoever awaits a finished step is given."""
    if body.form != JOB_RESULT:
        return body.result
    return JobResult(
        ok=True,
        message=body.message,
        items_processed=body.items_processed,
        items_failed=body.items_failed,
        duration_ms=body.duration_ms,
    )


def plain_result(result: object) -> Any:
    """Return a result as it is read back.

    Raises NotKept if plain JSON does not stand for it, or if it is too large.
    """
    if result is None:
        return None
    plain, lost = kept(result)
    if lost is not None:
        raise NotKept(
            f"unserialisable: its result holds {lost}, which the ledger cannot keep: return plain JSON "
            "values, or nothing"
        )
    encoded = msgspec.json.encode(plain, order="sorted")
    if len(encoded) > RESULT_BYTES:
        raise NotKept(
            f"its result of {len(encoded)} bytes is larger than the {RESULT_BYTES} that the ledger keeps: "
            "return where it is, for example a path"
        )
    return msgspec.json.decode(encoded)


def counted(value: object) -> int | None:
    """Return a count as a whole number. Raises NotANumber, or what the value's own class raises."""
    if value is None:
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type] # whatever a job reports
    except TypeError:
        raise NotANumber(f"a count is of type {type(value).__name__}, not a whole number") from None


def _small(result: object) -> Any:
    """Keep of a block's result what can be kept: nobody is given it again, so a note may stand for it."""
    if result is None:
        return None
    plain = normalised(result)
    size = len(msgspec.json.encode(plain))
    return plain if size <= RESULT_BYTES else f"(a result of {size} bytes is not kept)"
