"""Item 20: whatever a job says, its run ends, the ledger stays small, and the next run is as good as any."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cronledger import JobContext, JobResult, Scheduler, job
from cronledger.domain.run import RunState
from cronledger.engine.steps import MOST_STEPS
from cronledger.ledger.export import export
from tests.conftest import opened

HUGE = 50_000_000
LINE_BYTES = 256 * 1024
"""A body of 64 KiB, escaped as badly as can be, and its header."""


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def itself() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["again"] = value
    return value


@job(extension="tests")
def huge_message() -> JobResult:
    """Say a lot."""
    return JobResult.success().with_message("x" * HUGE)


@job(extension="tests")
def huge_error() -> None:
    """Fail at length."""
    raise ValueError("://a:" + "é" * 5_000_000)


@job(extension="tests")
async def strange_results(ctx: JobContext) -> None:
    """Report what is hard to write down."""
    for number, result in enumerate(
        (deep(100_000), itself(), "x" * 5_000_000, [0] * 300_000, "\ud800\0", 10**5000)
    ):
        async with ctx.step(f"step {number}") as step:
            step.report(result=result, message=str(number))


@job(extension="tests")
async def many_steps(ctx: JobContext) -> None:
    """Take every item for a step."""
    for number in range(1_000_000):
        async with ctx.step(str(number)):
            pass


@job(extension="tests")
async def huge_name(ctx: JobContext) -> None:
    """Name a step after everything."""
    async with ctx.step("x" * HUGE):
        pass


@job(extension="tests")
def ordinary() -> JobResult:
    """Be as any other job."""
    return JobResult.success().with_message("fine")


JOBS = [huge_message, huge_error, strange_results, many_steps, huge_name, ordinary]


def run(url: str, folder: Path, *names: str) -> list[RunState]:
    (folder / "config.yaml").write_text("")
    scheduler = Scheduler(database_url=url, config=folder / "config.yaml", jobs=JOBS)
    return asyncio.run(scheduler.run_manually(names, actor="test", local=True, timeout=100))


def lines_of(url: str) -> list[bytes]:
    store = opened(url)
    try:
        return list(export(store.ledger))
    finally:
        store.close()


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("huge_message", "succeeded"),
        ("huge_error", "failed"),
        ("strange_results", "succeeded"),
        ("huge_name", "succeeded"),
    ],
)
def test_what_is_too_much_is_shortened_visibly(
    sqlite_url: str, tmp_path: Path, name: str, outcome: str
) -> None:
    """Item 20."""
    tracemalloc.start()
    (state,) = run(sqlite_url, tmp_path, name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (after,) = run(sqlite_url, tmp_path, "ordinary")
    lines = lines_of(sqlite_url)

    assert outcome == state.outcome
    assert max(map(len, lines)) < LINE_BYTES
    assert sum(map(len, lines)) < 20 * LINE_BYTES
    assert peak < 10 * HUGE
    assert ("succeeded", "fine") == (after.outcome, after.message)


def test_a_loop_over_steps_ends_at_the_limit(memory_url: str, tmp_path: Path) -> None:
    """Item 20: a million steps are a mistake, and are told so."""
    store = opened(memory_url)
    (state,) = run(memory_url, tmp_path, "many_steps")
    steps = [
        line for line in map(msgspec.json.decode, export(store.ledger)) if line["type"] == "step.started"
    ]
    store.close()

    assert "failed" == state.outcome
    assert state.error is not None
    assert f"at most {MOST_STEPS} steps" in state.error
    assert MOST_STEPS == len(steps)
