"""A leader that dies round the append of what an application asked for, and another one that takes over."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine

from cronledger import Scheduler
from cronledger.ledger import inbox
from tests.checker import problems
from tests.conftest import lines_of, opened
from tests.e2e.jobs.failpoints import DIED
from tests.e2e.jobs.nursery import Nursery
from tests.e2e.jobs.takeovers import Cases, all_wrong, on_postgres, on_sqlite
from tests.e2e.jobs.test_failpoints import UP, ended, untrue
from tests.waiting import eventually_within

CONFIG = """
scheduler:
  drain_seconds: 5
  jobs:
    - {name: boot, extension: failpoints, schedule: ""}
    - {name: once, extension: failpoints, schedule: ""}
    - {name: again, extension: failpoints, schedule: "", overlap: allow}
"""
APPENDS = range(2, 8)
"""Among these is a lone instance's append of the requests: it signs on, leads, defines, boots, sequences."""


def ask(folder: Path, url: str) -> set[str]:
    """Commit two runs of one job and one of another, as an application would."""
    scheduler = Scheduler(database_url=url, config=folder / "config.yaml", app=["tests.e2e.jobs.failpoints"])
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)

    async def ask_for_all(connection: object) -> set[str]:
        names = ["once", "again", "again"]
        return {str(await scheduler.trigger(name, connection=connection)) for name in names}

    with engine.begin() as connection:
        return asyncio.run(ask_for_all(connection))


def died_and_taken_over(nursery: Nursery, folder: Path, url: str, failpoint: str) -> list[str]:
    """Let the leader die at a failpoint and another one take over; return all that is wrong then."""
    environment = {"EFFECTS": str(folder / "effects")}
    (folder / "effects").touch()
    wanted = ask(folder, url)
    first = nursery.start(folder, url, *UP, environment=environment | {"FAILPOINT": failpoint})
    if first.wait(40) != DIED:
        return [f"the first process did not die at {failpoint}: {first.status}, {first.log.read_text()}"]
    if left(url) and wanted & {line["run_id"] for line in lines_of(url)}:
        (folder / "between").touch()
    second = nursery.start(folder, url, *UP, environment=environment)
    in_time = eventually_within(60, lambda: wanted <= ended(lines_of(url)), pause_seconds=0.6)
    second.signal(signal.SIGTERM)
    exit_code = second.wait(20)
    lines = lines_of(url)
    triggers = Counter(line["run_id"] for line in lines if line["type"] == "run.triggered")
    found = problems(lines, all_ended=False) + untrue(lines, (folder / "effects").read_text().splitlines())
    found += [f"{run} was triggered {triggers[run]} times" for run in wanted if triggers[run] != 1]
    found += [] if in_time and exit_code == 0 else [f"{exit_code}: {second.log.read_text()}"]
    return found + left(url)


def died_between(cases: Cases) -> list[str]:
    """Return the failpoints at which the runs stood in the ledger and the rows in the inbox."""
    return [failpoint for failpoint, (folder, _) in cases.items() if (folder / "between").exists()]


def left(url: str) -> list[str]:
    store = opened(url)
    with store.reading() as connection:
        waiting = inbox.waiting(connection, 10)
    store.close()
    return [f"{each.run_id} still waits" for each in waiting]


@pytest.mark.timeout(300)
def test_a_request_becomes_one_run_though_its_leader_dies(
    tmp_path: Path, sqlite_template: Path, nursery: Nursery
) -> None:
    failpoints = [f"{where}:{number}" for number in APPENDS for where in ("before", "within", "after")]
    cases = on_sqlite(CONFIG, failpoints, tmp_path, sqlite_template)

    assert {} == all_wrong(nursery, cases, died_and_taken_over)
    assert died_between(cases), "no failpoint was between the append and the removal of the rows"


@pytest.mark.timeout(300)
def test_a_request_on_postgresql_becomes_one_run_though_its_leader_dies(
    tmp_path: Path, postgres_server: Any, nursery: Nursery
) -> None:
    failpoints = [f"{where}:{number}" for number in APPENDS for where in ("before", "after")]
    with on_postgres(CONFIG, failpoints, tmp_path, postgres_server) as cases:
        found = all_wrong(nursery, cases, died_and_taken_over)

    assert {} == found
    assert died_between(cases)
