"""The jobs of a simulated cluster, and the log of effects that they keep outside the ledger."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio

from cronledger.domain.catchup import CatchUp
from cronledger.domain.definition import JobDefinition, Startup
from cronledger.domain.overlap import Overlap
from cronledger.domain.result import JobResult
from cronledger.domain.retry import Retry
from cronledger.jobs.api import Job, JobContext
from cronledger.jobs.pipeline import Pipeline, PipelineStep
from tests.simulation.cluster import Cluster, definition


class Effects:
    """What jobs did, in the world: each line with the head's position at that moment."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.steps: list[dict[str, Any]] = []
        self.cluster: Cluster | None = None
        self.is_closed = False

    def write(self, phase: str, ctx: JobContext, step: str | None = None) -> None:
        if self.is_closed:
            return
        assert self.cluster is not None
        line = {
            "run_id": str(ctx.run.id),
            "attempt": ctx.run.attempt,
            "phase": phase,
            "position": len(self.cluster.log.events),
        }
        if step is None:
            self.lines.append(line)
        else:
            self.steps.append({**line, "step": step})


class Probe(Job):
    """Writes down when its code began and when it came to its end; in between, whatever its kind does."""

    def __init__(self, name: str, effects: Effects) -> None:
        self.name = name
        self._effects = effects

    async def execute(self, ctx: JobContext) -> JobResult:
        self._effects.write("start", ctx)
        try:
            result = await self.work(ctx)
        except Exception:
            self._effects.write("end", ctx)
            raise
        self._effects.write("end", ctx)
        return result

    async def work(self, ctx: JobContext) -> JobResult:
        return JobResult.success()


class Slow(Probe):
    async def work(self, ctx: JobContext) -> JobResult:
        await anyio.sleep(2.5)
        return JobResult.success()


class Long(Probe):
    async def work(self, ctx: JobContext) -> JobResult:
        await anyio.sleep(18)
        return JobResult.success()


class Failing(Probe):
    async def work(self, ctx: JobContext) -> JobResult:
        raise ValueError("broken on purpose")


class Flaky(Probe):
    async def work(self, ctx: JobContext) -> JobResult:
        if ctx.run.attempt == 1:
            return JobResult.failure("not at the first attempt")
        return JobResult.success()


class Endless(Probe):
    async def work(self, ctx: JobContext) -> JobResult:
        await anyio.sleep(10_000)
        return JobResult.success()


class Stepped(Probe):
    async def work(self, ctx: JobContext) -> JobResult:
        for number in range(3):
            step = f"part-{number}"
            await ctx.step(step, self._part, ctx, step)
        return JobResult.success()

    async def _part(self, ctx: JobContext, step: str) -> int:
        self._effects.write("start", ctx, step)
        await anyio.sleep(0.7)
        return len(step)


class Beside(Probe):
    """Two steps side by side, and one that needs both."""

    async def work(self, ctx: JobContext) -> JobResult:
        steps = [
            PipelineStep("left", partial(self._part, "left")),
            PipelineStep("right", partial(self._part, "right")),
            PipelineStep("both", partial(self._part, "both"), needs=["left", "right"]),
        ]
        return await Pipeline(steps, parallel=True).execute(ctx)

    async def _part(self, step: str, ctx: JobContext) -> None:
        self._effects.write("start", ctx, step)
        await anyio.sleep(0.9)


KINDS: dict[str, type[Probe]] = {
    "quick": Probe,
    "slow": Slow,
    "long": Long,
    "failing": Failing,
    "flaky": Flaky,
    "endless": Endless,
    "stepped": Stepped,
    "beside": Beside,
}


def probes(effects: Effects) -> list[Probe]:
    return [kind(name, effects) for name, kind in KINDS.items()]


def definitions() -> list[JobDefinition]:
    """Every combination of policies that the engine treats in its own way."""
    return [
        definition("second", job="quick", overlap=Overlap.ALLOW, catch_up=CatchUp.ALL, catch_up_limit=5),
        definition("again", job="quick", schedule="*/5 * * * * *", idempotent=True),
        definition("skips", job="slow", schedule="*/2 * * * * *"),
        definition("queues", job="slow", schedule="*/3 * * * * *", overlap=Overlap.QUEUE, idempotent=True),
        definition("replaces", job="slow", schedule="1/4 * * * * *", overlap=Overlap.REPLACE),
        definition("allows", job="slow", schedule="*/2 * * * * *", overlap=Overlap.ALLOW, max_concurrent=2),
        definition("all", job="quick", schedule="*/7 * * * * *", catch_up=CatchUp.ALL, overlap=Overlap.ALLOW),
        definition("none", job="quick", schedule="*/6 * * * * *", catch_up=CatchUp.NONE, grace_seconds=3),
        definition("minute", job="quick", schedule="0 * * * * *", timezone="Europe/Berlin"),
        definition("long", job="long", schedule="*/30 * * * * *", idempotent=True),
        definition("once", job="long", schedule="15/30 * * * * *"),
        definition("failing", schedule="*/11 * * * * *"),
        definition("flaky", schedule="*/13 * * * * *", retry=Retry(max_attempts=3, backoff_seconds=1.0)),
        definition("endless", schedule="3/20 * * * * *", timeout_seconds=4.0),
        definition("stepped", schedule="*/10 * * * * *", idempotent=True, jitter_seconds=3),
        definition("beside", schedule="4/15 * * * * *", idempotent=True),
        definition("hand", job="slow", schedule="", overlap=Overlap.ALLOW, idempotent=True),
        definition("boot", job="quick", schedule="", startup=Startup.CLUSTER),
        definition("mine", job="quick", schedule="", startup=Startup.INSTANCE, claim_timeout_seconds=15),
    ]
