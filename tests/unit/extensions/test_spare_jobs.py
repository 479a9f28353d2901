"""Built-in jobs that no entry lists: known by hand only, by what the code says."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cronledger import Scheduler
from cronledger.domain.ids import Position
from cronledger.domain.run import RunState

LISTED = "scheduler: {jobs: [{job: log_cleanup, schedule: '', enforce: false, parameters: {days: 1}}]}"


def scheduler(folder: Path, text: str) -> Scheduler:
    config = folder / "config.yaml"
    config.write_text(text)
    return Scheduler(database_url=f"sqlite:///{folder}/ledger.db", config=config)


async def served(instance: Scheduler, *jobs: str) -> list[RunState]:
    """Let an instance be up, and perform runs that were asked for beside it."""
    async with instance.running():
        return await instance.run_manually(jobs, actor="test") if jobs else []


def test_neither_the_ledger_nor_the_revision_knows_of_them(tmp_path: Path) -> None:
    instance = scheduler(tmp_path, "scheduler: {}")
    asyncio.run(served(instance))
    store = instance.open()
    types = {each.type for each in store.ledger.read_all(Position(0), 100)}
    store.close()

    assert "job.registered" not in types
    assert () == instance.resolution.definitions
    assert "log_cleanup" in {each.name for each in instance.resolution.spare}


def test_one_that_is_listed_is_one_of_the_cluster(tmp_path: Path) -> None:
    resolution = scheduler(tmp_path, LISTED).resolution

    assert ["log_cleanup"] == [each.name for each in resolution.definitions]
    assert "log_cleanup" not in {each.name for each in resolution.spare}


def test_what_an_entry_said_counts_no_more_once_it_is_gone(tmp_path: Path) -> None:
    (before,) = asyncio.run(served(scheduler(tmp_path, LISTED), "log_cleanup"))
    asyncio.run(served(scheduler(tmp_path, "scheduler: {}")))
    (after,) = asyncio.run(served(scheduler(tmp_path, "scheduler: {}"), "log_cleanup"))

    assert "enforce is off: 0 old log lines would be removed" == before.message
    assert "0 old log lines removed" == after.message
