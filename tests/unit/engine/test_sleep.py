"""A run that waits: how long it may, and that it can be told to stop."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from time import monotonic

import pytest

from cronledger import Job, JobContext, JobResult
from cronledger.testing import perform


class Sleeper(Job):
    name = "sleeper"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.slept = 0.0

    async def execute(self, ctx: JobContext) -> JobResult:
        began = monotonic()
        try:
            await ctx.sleep(self.seconds)
        finally:
            self.slept = monotonic() - began
        return JobResult.success()


def test_a_run_waits_as_long_as_it_says() -> None:
    sleeper = Sleeper(0.05)
    run = asyncio.run(perform(sleeper))

    assert "succeeded" == run.outcome
    assert sleeper.slept >= 0.05


@pytest.mark.parametrize("seconds", [-1, 3601, math.inf, math.nan])
def test_a_run_that_would_wait_otherwise_fails_with_a_sentence(seconds: float) -> None:
    run = asyncio.run(perform(Sleeper(seconds)))

    assert "failed" == run.outcome
    assert f"UsageError: a run cannot sleep {seconds} seconds" == run.error


def test_a_run_that_waits_stops_at_once_when_it_takes_too_long(tmp_path: Path) -> None:
    sleeper = Sleeper(600)
    config = tmp_path / "config.yaml"
    config.write_text("scheduler: {jobs: [{name: sleeper, extension: test_sleep, timeout_seconds: 0.1}]}")
    run = asyncio.run(perform(sleeper, config=config))

    assert "timed_out" == run.outcome
    assert sleeper.slept < 60
