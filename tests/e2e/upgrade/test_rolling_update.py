"""New instances start before old ones stop: no fire time is doubled or lost, each build starts up once."""

from __future__ import annotations

import asyncio
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from cronledger import Scheduler, job
from tests.checker import problems, triggered
from tests.conftest import lines_of
from tests.contract.test_scheduler import quick
from tests.e2e.upgrade.living import Living

LONGEST_GAP_SECONDS = 3.0  # from one fire time to the next, one second later, at most two seconds late
CONFIG = """
scheduler:
  jobs:
    - {name: quick, extension: tests, schedule: "* * * * * *"}
    - {name: prepare, extension: tests}
"""


@job(extension="tests", run_on_startup=True)
async def prepare() -> None:
    """Prepare what every build prepares once."""


def test_startup_runs_once_for_a_new_build_and_the_schedule_goes_on(
    sql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 57."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)

    async def instance(build: str) -> Living:
        monkeypatch.setenv("CRONLEDGER_BUILD", build)
        return await Living(Scheduler(database_url=sql_url, config=config, jobs=[quick, prepare])).up()

    async def program() -> None:
        old = await instance("1")
        await asyncio.sleep(1.5)
        new = await instance("2")
        await old.go()
        await asyncio.sleep(2.5)
        newest = await instance("2")
        await new.go()
        await asyncio.sleep(0.5)
        await newest.go()

    asyncio.run(program())
    lines = lines_of(sql_url)
    elected = [line["body"] for line in lines if line["type"] == "leader.elected"]
    boots = [
        line["run_id"] for line in lines if line["type"] == "run.triggered" and line["cause"] == "startup"
    ]
    fired = [
        datetime.fromisoformat(str(line["recorded_at"]))
        for line in lines
        if line["type"] == "run.triggered" and line["cause"] == "schedule"
    ]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(fired)]

    assert [] == problems(lines)
    assert [("1", 1), ("2", 2), ("2", 2)] == [(body["build"], body["epoch"]) for body in elected]  # type: ignore[index]
    assert ["prepare@boot-1", "prepare@boot-2"] == boots
    assert 3 <= len(triggered(lines, "quick"))
    assert max(gaps) < LONGEST_GAP_SECONDS
