"""A job made of steps, each recorded on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskGroup

from cronledger.domain.pipeline_order import Moves, Needs, Standing, check_order, next_moves
from cronledger.domain.result import JobResult
from cronledger.errors import UsageError
from cronledger.jobs.api import Job, JobContext, check_work, member
from cronledger.jobs.calling import is_cancellation
from cronledger.jobs.steps import OnError, StepFailed, on_error_of

LONGEST_NAME = 200
SHOWN = 60
"""Of a name that is refused."""


class PipelineStep(msgspec.Struct, frozen=True):
    """A step: a name, a job or a function of the context, what to do if it fails, and what it needs.

    `needs` names other steps, earlier or later ones: this one begins when they have succeeded.
    """

    name: str
    work: Job | Callable[..., Any]
    on_error: str | None = None
    needs: Iterable[str] = ()


class Pipeline(Job):
    """Performs its steps in order; by default a failed step does not stop the next one.

    A step is `(name, work)`, a `PipelineStep`, or a job or function whose name it takes. With
    `parallel=True`, or `max_parallel=N`, steps that need nothing of each other are performed side by side.
    The run ends `partial` if some steps failed and `failed` if all did; the counts are steps done and steps
    failed.

    Raises UsageError for a name that no step can have, and for steps that can never all be done: a name
    twice, an unknown need, a circle of needs.

    >>> def one(ctx): ...
    >>> def two(ctx): ...
    >>> [step.name for step in Pipeline([one, ("second", two)]).steps]
    ['one', 'second']
    """

    def __init__(
        self,
        steps: Iterable[Any],
        *,
        on_error: str = "continue",
        parallel: bool = False,
        max_parallel: int | None = None,
        name: str = "",
        schedule: str = "",
    ) -> None:
        self.steps = [_step(step) for step in steps]
        self.order = [Needs(step.name, tuple(step.needs)) for step in self.steps]
        check_order(self.order)
        if max_parallel is not None and not (type(max_parallel) is int and max_parallel >= 1):
            raise UsageError(f"max_parallel is {max_parallel!r}", hint="use a whole number, 1 or more")
        self.on_error = on_error_of(on_error)
        self.max_parallel = max_parallel or (max(1, len(self.steps)) if parallel else 1)
        self.name = name or self.name
        self.schedule = schedule or self.schedule

    async def execute(self, ctx: JobContext) -> JobResult:
        """Perform every step that may begin; count how many were done and how many failed."""
        progress = _Progress(self, ctx)
        if self.max_parallel == 1:
            await progress.in_order()
        else:
            await progress.side_by_side()
        return progress.result()


class _Progress:
    """One performance of a pipeline."""

    def __init__(self, pipeline: Pipeline, ctx: JobContext) -> None:
        self._pipeline = pipeline
        self._ctx = ctx
        self._steps = {step.name: step for step in pipeline.steps}
        self._standing = dict.fromkeys(self._steps, Standing.WAITING)
        self._stopped: StepFailed | None = None
        self._broken: BaseException | None = None

    async def in_order(self) -> None:
        """Perform one step after the other."""
        while begin := (await self._moves()).begin:
            await self._perform(begin[0])
        self._stop()

    async def side_by_side(self) -> None:
        """Perform steps together; what ends one of them for good ends all, and is raised as itself.

        A failure that stops the pipeline lets the steps that have begun come to their end: their work would
        be done, and not recorded.
        """
        async with anyio.create_task_group() as tasks:
            await self._begin(tasks)
        if self._broken is not None:
            raise self._broken
        self._stop()

    def result(self) -> JobResult:
        """Say how many steps were done, and which were not."""
        done, failed, skipped = (
            [name for name, standing in self._standing.items() if standing is wanted]
            for wanted in (Standing.SUCCEEDED, Standing.FAILED, Standing.SKIPPED)
        )
        message = f"{len(done)} steps succeeded, {len(failed)} failed"
        message += f": {', '.join(failed)}" if failed else ""
        message += f"; {len(skipped)} skipped: {', '.join(skipped)}" if skipped else ""
        result = JobResult.success() if done or not failed else JobResult.failure(message)
        return result.with_stats(len(done), len(failed)).with_message(message)

    def _stop(self) -> None:
        if self._stopped is not None:
            raise self._stopped

    async def _moves(self) -> Moves:
        """Decide what comes next; what is skipped is recorded."""
        if self._stopped is not None:
            return Moves([], [])
        moves = next_moves(self._pipeline.order, self._standing, limit=self._pipeline.max_parallel)
        self._standing |= dict.fromkeys(moves.begin, Standing.RUNNING)
        self._standing |= {name: Standing.SKIPPED for name, _ in moves.skip}
        for name, reason in moves.skip:
            await self._ctx.skip_step(name, reason)
        return moves

    async def _perform(self, name: str) -> None:
        step = self._steps[name]
        args = () if isinstance(step.work, Job) else (self._ctx,)
        try:
            await self._ctx.step(name, step.work, *args)
        except StepFailed as failure:
            self._standing[name] = Standing.FAILED
            if on_error_of(step.on_error or self._pipeline.on_error) is OnError.STOP:
                self._stopped = self._stopped or failure
        else:
            self._standing[name] = Standing.SUCCEEDED

    async def _begin(self, tasks: TaskGroup) -> None:
        for name in (await self._moves()).begin:
            tasks.start_soon(self._perform_beside, name, tasks)

    async def _perform_beside(self, name: str, tasks: TaskGroup) -> None:
        """Carry what is no failure of a step to whoever waits: a task group would wrap it."""
        try:
            await self._perform(name)
            await self._begin(tasks)
        except BaseException as error:
            if is_cancellation(error):
                raise
            self._broken = self._broken or error
            tasks.cancel_scope.cancel()


def _step(step: Any) -> PipelineStep:
    if isinstance(step, tuple):
        step = PipelineStep(*step)
    if not isinstance(step, PipelineStep):
        name = member(step, "name") if isinstance(step, Job) else getattr(step, "__name__", "")
        step = PipelineStep(name, step)
    name = _name(step.name)
    check_work(name, step.work)
    if step.on_error is not None:
        on_error_of(step.on_error)
    if isinstance(step.needs, str):
        raise UsageError(f"the needs of step '{name}' are a text", hint=f"write needs=['{step.needs}']")
    return PipelineStep(name, step.work, step.on_error, tuple(map(str, step.needs)))


def _name(name: object) -> str:
    """Return the name of a step, which a pipeline's author has written for people to read."""
    if isinstance(name, str) and len(name) <= LONGEST_NAME and name.isprintable() and name.strip():
        return name
    if isinstance(name, str):
        seen = repr(name if len(name) <= SHOWN else f"{name[:SHOWN]}...")
    else:
        seen = f"a value of type {type(name).__name__}"
    raise UsageError(
        f"the name of a step is {seen}: use 1 to {LONGEST_NAME} printable characters, not only blanks",
        hint='name it as in ("send", function)',
    )
