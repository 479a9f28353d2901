"""A job made of steps, each recorded on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

import msgspec

from cronledger.domain.result import JobResult
from cronledger.errors import UsageError
from cronledger.jobs.api import Job, JobContext, member


class OnError(StrEnum):
    """What a pipeline does after a step has failed."""

    CONTINUE = "continue"
    STOP = "stop"


class PipelineStep(msgspec.Struct, frozen=True):
    """A step: a name, a job or a function of the context, and what to do if it fails."""

    name: str
    work: Job | Callable[..., Any]
    on_error: OnError | None = None


class StepFailed(Exception):
    """A step of a pipeline or run has failed; its error is recorded with the step."""

    def __init__(self, name: str, error: str) -> None:
        super().__init__(f"step '{name}' failed: {error}")
        self.name = name
        self.error = error


class Pipeline(Job):
    """Performs its steps in order; by default a failed step does not stop the next one.

    A step is `(name, work)`, a `PipelineStep`, or a job or function whose name it takes. The run ends
    `partial` if some steps failed and `failed` if all did; the counts are steps done and steps failed.

    >>> def one(ctx): ...
    >>> def two(ctx): ...
    >>> [step.name for step in Pipeline([one, ("second", two)]).steps]
    ['one', 'second']
    """

    def __init__(
        self, steps: Iterable[Any], *, on_error: str = "continue", name: str = "", schedule: str = ""
    ) -> None:
        self.steps = [_step(step) for step in steps]
        self.on_error = OnError(on_error)
        self.name = name or self.name
        self.schedule = schedule or self.schedule
        names = [step.name for step in self.steps]
        for step_name in names:
            if names.count(step_name) > 1:
                raise UsageError(f"two steps of the pipeline are called '{step_name}'")

    async def execute(self, ctx: JobContext) -> JobResult:
        """Perform every step and count how many were done and how many failed."""
        failed: list[str] = []
        done = 0
        for step in self.steps:
            try:
                if isinstance(step.work, Job):
                    await ctx.step(step.name, step.work)
                else:
                    await ctx.step(step.name, step.work, ctx)
                done += 1
            except StepFailed as failure:
                failed.append(failure.name)
                if (step.on_error or self.on_error) is OnError.STOP:
                    raise
        message = f"{done} steps succeeded, {len(failed)} failed" + (
            f": {', '.join(failed)}" if failed else ""
        )
        result = JobResult.success() if done or not failed else JobResult.failure(message)
        return result.with_stats(done, len(failed)).with_message(message)


def _step(step: Any) -> PipelineStep:
    if isinstance(step, PipelineStep):
        return step
    if isinstance(step, tuple):
        return PipelineStep(*step)
    name = member(step, "name") if isinstance(step, Job) else getattr(step, "__name__", "")
    return PipelineStep(str(name), step)
