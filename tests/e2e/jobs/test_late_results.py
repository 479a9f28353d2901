"""An attempt that was declared lost, whose owner lives and finishes."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import anyio
import msgspec
import pytest

from cronledger import Job, JobContext, JobResult, Scheduler
from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, RunId, run_stream
from cronledger.ledger.api import Write
from tests.checker import ENDS, problems
from tests.conftest import lines_of, opened
from tests.waiting import eventually_within

RECOVERY = e.Actor.engine("recovery")


class Slow(Job):
    """Goes on until it is told to end; the first attempt reports otherwise than the second."""

    name = "slow"
    extension = "tests"

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.end = {1: threading.Event(), 2: threading.Event()}

    async def execute(self, ctx: JobContext) -> JobResult:
        self.begun.release()
        while not self.end[ctx.run.attempt].is_set():
            await anyio.sleep(0.02)
        return JobResult.success().with_message(f"attempt {ctx.run.attempt}")


def declare_lost(url: str, run_id: RunId, *, idempotent: bool) -> None:
    """Say what a leader says that has not heard of the instance for long enough."""
    store = opened(url)
    state: run.RunState | None = None
    for recorded in store.ledger.read_stream(run_stream(run_id)):
        state = run.evolve(state, recorded)
    assert state is not None
    definition = JobDefinition(name=JobName("slow"), idempotent=idempotent)
    events = tuple(run.lose(state, definition, RECOVERY, now=state.triggered_at))
    store.ledger.append(Write(run_stream(run_id), events, expected=state.version))
    store.close()


@pytest.mark.parametrize("idempotent", [False, True])
def test_a_late_result_never_changes_an_outcome(ledger_url: str, tmp_path: Path, *, idempotent: bool) -> None:
    """Fault 7."""
    entry = {"name": "slow", "extension": "tests", "schedule": "", "idempotent": idempotent}
    (tmp_path / "config.yaml").write_bytes(msgspec.json.encode({"scheduler": {"jobs": [entry]}}))
    slow = Slow()
    scheduler = Scheduler(database_url=ledger_url, config=tmp_path / "config.yaml", jobs=[slow])

    def types() -> list[str]:
        return [str(line["type"]) for line in lines_of(ledger_url)]

    with scheduler.background():
        run_id = asyncio.run(scheduler.trigger("slow"))
        assert slow.begun.acquire(timeout=20)
        declare_lost(ledger_url, run_id, idempotent=idempotent)
        if idempotent:
            assert slow.begun.acquire(timeout=20)
        slow.end[1].set()
        assert eventually_within(20, lambda: "run.late_result" in types())
        slow.end[2].set()
        assert eventually_within(20, lambda: ENDS & set(types()))
    lines = [line for line in lines_of(ledger_url) if line["run_id"] == run_id]
    (late,) = [line for line in lines if line["type"] == "run.late_result"]
    (end,) = [line for line in lines if line["type"] in ENDS]

    assert [] == problems(lines_of(ledger_url))
    assert ("succeeded", "attempt 1") == (late["body"]["outcome"], late["body"]["message"])  # type: ignore[index]
    assert 1 == late["attempt"]
    assert (("run.succeeded", 2) if idempotent else ("run.lost", 1)) == (end["type"], end["attempt"])
