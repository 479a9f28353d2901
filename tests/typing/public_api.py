"""Only has to type-check: the public API as its users write it."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any, assert_type

import msgspec

from cronledger import (
    Extension,
    Job,
    JobContext,
    JobResult,
    Pipeline,
    PipelineStep,
    Scheduler,
    StepFailed,
    __version__,
    job,
    submit_job,
)
from cronledger.domain.ids import RunId
from cronledger.domain.run import RunState
from cronledger.jobs.decorator import FunctionJob
from cronledger.projections.step_state import StepRow
from cronledger.testing import ManualClock, MemoryLedger, Performed, perform, perform_with_steps

assert_type(__version__, str)


class Mailer:
    """A service of the application."""

    def send(self, text: str) -> int:
        """Return how many letters were sent."""
        return len(text)


class Limits(msgspec.Struct):
    """Typed parameters."""

    days: int = 30


class Report(Job):
    """A job as a class, members as attributes."""

    name = "report"
    description = "Count what was sold."
    schedule = "0 0 7 * * *"
    run_on_startup = True
    tags = ("daily",)
    idempotent = True
    isolation = "process"
    params = Limits

    async def execute(self, ctx: JobContext) -> JobResult:
        """Use everything a context has."""
        mailer = ctx.service(Mailer)
        assert_type(mailer, Mailer)
        assert_type(ctx.run.id, RunId)
        assert_type(ctx.run.attempt, int)
        assert_type(ctx.run.fence, int)
        assert_type(ctx.run.fire_at, datetime | None)
        assert_type(ctx.idempotency_key, str)
        assert_type(ctx.cancelled, bool)
        assert_type(ctx.enforce, bool)
        async with ctx.step("count") as step:
            step.report(processed=3, failed=0, message="counted", result={"sold": 3})
        sold = await ctx.step("send", mailer.send, "three")
        indexed = await ctx.step("index", Methodical(), on_error="continue")
        if isinstance(indexed, JobResult) and not indexed.ok:
            await ctx.skip_step("search", "there is no index")
        try:
            await ctx.step("store", lambda: None, on_error="stop")
        except StepFailed as failure:
            assert_type(failure.name, str)
            assert_type(failure.error, str)
        ctx.log.info("sent %s", sold)
        assert_type(ctx.progress(sold, 10, "sending"), None)
        return JobResult.success().with_stats(3, 0).with_message("done").with_duration(12)


class Methodical(Job):
    """A job as a class, members as methods."""

    def name(self) -> str:
        """Return the name."""
        return "methodical"

    def schedule(self) -> str:
        """Return the schedule."""
        return "0 0 * * * *"

    async def execute(self, ctx: JobContext) -> None:
        """Do nothing, successfully."""


@job
def bare() -> JobResult:
    """A decorated function without arguments."""
    return JobResult.failure("not today")


@job(
    name="dressed",
    schedule="0 0 3 * * *",
    extension="house",
    tags=["nightly"],
    idempotent=True,
    params=Limits,
)
async def dressed(ctx: JobContext) -> JobResult:
    """A decorated function with all of them."""
    limits: Limits = ctx.params
    return JobResult.success().with_stats(limits.days, 0)


assert_type(bare, FunctionJob)
assert_type(dressed, FunctionJob)
assert_type(submit_job(Report(), extension="house"), Job)
assert_type(submit_job(Methodical()), Job)


class House(Extension):
    """An extension as a subclass."""

    name = "house"

    def jobs(self) -> list[Job]:
        """Return its jobs."""
        side_by_side = Pipeline(
            [bare, PipelineStep("second", dressed, on_error="stop", needs=["bare"])],
            max_parallel=2,
            name="beside",
        )
        return [
            Report(),
            bare,
            Pipeline([bare, ("second", dressed)], name="both", on_error="stop"),
            side_by_side,
        ]


async def application() -> None:
    """A scheduler inside an application."""
    scheduler = Scheduler(
        database_url="memory://typing",
        extensions=[House(), Extension(name="yard", jobs=[Report()], services=[Mailer()])],
        jobs=[bare],
        services=[Mailer()],
    )
    async with scheduler.running() as running:
        assert_type(running, Scheduler)
        assert_type(await scheduler.trigger("bare", {"days": 7}, key="once", actor="me"), RunId)
        with sqlite3.connect("shop.db") as connection:
            assert_type(await scheduler.trigger("bare", connection=connection, reason="paid"), RunId)
    async with scheduler.lifespan(object()):
        pass
    with scheduler.background():
        pass
    state = await perform(Report(), params={"days": "7"}, services=[Mailer()])
    assert_type(state, RunState)
    done = await perform_with_steps(Report())
    assert_type(done, Performed)
    assert_type(done.steps, list[StepRow])


def pieces(clock: ManualClock, ledger: MemoryLedger) -> Any:
    """What tests of schedules use."""
    assert_type(clock.advance(5), datetime)
    return ledger.head()
