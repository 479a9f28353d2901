"""The two-layer startup rule (001, 002, 003): the code wants it and an enabled entry lists the job."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from cronledger import Job, JobContext, JobResult, Scheduler
from cronledger.domain.events import Cause
from cronledger.domain.run import RunState
from cronledger.projections import fold, run_history

ENTRY = """
    - name: {name}
      extension: web
      job: {name}
      schedule: "0 0 3 * * *"
      enabled: {enabled}
"""
LISTED = {
    "wants_and_enabled": (True, "true"),
    "wants_and_disabled": (True, "false"),
    "wants_not_and_enabled": (False, "true"),
    "wants_not_and_disabled": (False, "false"),
}


class Starter(Job):
    """Says in its code whether it wants to run at start."""

    extension = "web"
    schedule = "0 0 3 * * *"

    def __init__(self, name: str, *, run_on_startup: bool, seconds: float = 0.0) -> None:
        self.name = name
        self.seconds = seconds
        self._run_on_startup = run_on_startup
        self.ended = 0

    def run_on_startup(self) -> bool:
        return self._run_on_startup

    async def execute(self, ctx: JobContext) -> JobResult:
        await anyio.sleep(self.seconds)
        self.ended += 1
        if self.name.startswith("fails"):
            raise RuntimeError("cannot start")
        return JobResult.success()


def configured(folder: Path, entries: dict[str, str]) -> Path:
    text = "".join(ENTRY.format(name=name, enabled=enabled) for name, enabled in entries.items())
    path = folder / "config.yaml"
    path.write_text(f"scheduler:\n  enabled: true\n  jobs:{text}", encoding="utf-8")
    return path


def startup_runs(scheduler: Scheduler) -> list[RunState]:
    store = scheduler.open()
    try:
        fold.catch_up(store)
        with store.reading() as connection:
            runs, _ = run_history.history(connection, cause=Cause.STARTUP, limit=100)
        return runs
    finally:
        store.close()


@pytest.mark.anyio
async def test_of_the_four_combinations_and_an_unlisted_job_only_one_runs_at_start(
    tmp_path: Path, sqlite_url: str
) -> None:
    jobs = [Starter(name, run_on_startup=wants) for name, (wants, _) in LISTED.items()]
    jobs.append(Starter("wants_and_unlisted", run_on_startup=True))
    config = configured(tmp_path, {name: enabled for name, (_, enabled) in LISTED.items()})
    scheduler = Scheduler(database_url=sqlite_url, config=config, jobs=jobs)
    async with scheduler.running():
        runs = await anyio.to_thread.run_sync(startup_runs, scheduler)

    assert ["wants_and_enabled"] == [run.job for run in runs]
    assert {"wants_and_enabled": 1} == {job.name: job.ended for job in jobs if job.ended}


@pytest.mark.anyio
async def test_the_scheduler_is_ready_only_after_a_startup_job_of_two_seconds_has_ended(
    tmp_path: Path, sqlite_url: str
) -> None:
    slow = Starter("slow", run_on_startup=True, seconds=2.0)
    config = configured(tmp_path, {"slow": "true"})
    began = anyio.current_time()
    async with Scheduler(database_url=sqlite_url, config=config, jobs=[slow]).running():
        ended_when_ready = slow.ended
        took = anyio.current_time() - began

    assert 1 == ended_when_ready
    assert took >= 2.0


@pytest.mark.anyio
async def test_a_failing_startup_job_keeps_neither_the_scheduler_nor_another_startup_job_from_starting(
    tmp_path: Path, sqlite_url: str
) -> None:
    jobs = [Starter("fails_at_start", run_on_startup=True), Starter("starts", run_on_startup=True)]
    config = configured(tmp_path, {"fails_at_start": "true", "starts": "true"})
    scheduler = Scheduler(database_url=sqlite_url, config=config, jobs=jobs)
    async with scheduler.running():
        runs = await anyio.to_thread.run_sync(startup_runs, scheduler)
    outcomes = {str(run.job): run.outcome.value for run in runs if run.outcome}

    assert {"fails_at_start": "failed", "starts": "succeeded"} == outcomes
