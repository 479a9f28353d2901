"""A process that dies at any of its appends, and another one that takes over."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.checker import ENDS, problems, triggered
from tests.conftest import lines_of
from tests.e2e.jobs.failpoints import DIED
from tests.e2e.jobs.nursery import Nursery
from tests.e2e.jobs.takeovers import all_wrong, on_postgres, on_sqlite
from tests.waiting import eventually_within

CONFIG = """
scheduler:
  drain_seconds: 5
  jobs:
    - {name: boot, extension: failpoints, schedule: ""}
    - {name: once, extension: failpoints, schedule: "* * * * * *"}
    - {name: again, extension: failpoints, schedule: "* * * * * *"}
"""
FAILPOINTS = [
    *(f"after:{number}" for number in range(1, 13)),
    *(f"before:{number}" for number in range(1, 13, 2)),
    *(f"within:{number}" for number in range(2, 13, 4)),
]
"""An instance that begins alone has done all it ever does by then: come up, led, defined, run, repeated."""

EVERY_FAILPOINT = [f"{where}:{number}" for where in ("before", "within", "after") for number in range(1, 31)]

UP = ("--app", "tests.e2e.jobs.failpoints", "up")


def died_and_taken_over(nursery: Nursery, folder: Path, url: str, failpoint: str) -> list[str]:
    """Let one process die at a failpoint and another one take over; return all that is wrong then."""
    effects = folder / "effects"
    environment = {"EFFECTS": str(effects)}
    first = nursery.start(folder, url, *UP, environment=environment | {"FAILPOINT": failpoint})
    if first.wait(40) != DIED:
        return [f"the first process did not die at {failpoint}: {first.status}, {first.log.read_text()}"]
    before = lines_of(url)
    second = nursery.start(folder, url, *UP, environment=environment)
    unfinished = {line["run_id"] for line in before if line["run_id"]} - ended(before)

    def has_taken_over() -> bool:
        lines = lines_of(url)
        return unfinished <= ended(lines) and len(triggered(lines, "again")) > len(triggered(before, "again"))

    taken_over = eventually_within(60, has_taken_over, pause_seconds=0.6)
    second.signal(signal.SIGTERM)
    exit_code = second.wait(20)
    lines = lines_of(url)
    found = problems(lines, all_ended=False) + untrue(lines, effects.read_text().splitlines())
    found += [] if taken_over else [f"never taken over: {second.log.read_text()}"]
    return found if exit_code == 0 else [*found, f"exit code {exit_code}: {second.log.read_text()}"]


def ended(lines: Iterable[dict[str, Any]]) -> set[str]:
    return {line["run_id"] for line in lines if line["type"] in ENDS}


def untrue(lines: list[dict[str, Any]], effects: list[str]) -> list[str]:
    """Compare what jobs have done with what the ledger says."""
    started = {f"{line['run_id']} {line['attempt']}" for line in lines if line["type"] == "run.started"}
    begun = Counter(line.removeprefix("begin ") for line in effects if line.startswith("begin "))
    done = {line.split()[1] for line in effects if line.startswith("end ")}
    succeeded = {line["run_id"] for line in lines if line["type"] == "run.succeeded"}
    runs = Counter(attempt.split()[0] for attempt in begun if attempt.startswith("once@"))
    return [
        *(f"{attempt} had an effect and no start" for attempt in begun.keys() - started),
        *(f"{attempt} had {count} effects" for attempt, count in begun.items() if count > 1),
        *(f"{run} succeeded and did not" for run in succeeded - done),
        *(f"{run} was repeated {count} times" for run, count in runs.items() if count > 1),
    ]


@pytest.mark.timeout(300)
def test_a_death_at_an_append_leaves_a_true_ledger(
    tmp_path: Path, sqlite_template: Path, nursery: Nursery
) -> None:
    """Faults 1, 2, 3, 4, 5."""
    cases = on_sqlite(CONFIG, FAILPOINTS, tmp_path, sqlite_template)

    assert {} == all_wrong(nursery, cases, died_and_taken_over, at_once=8)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_a_death_at_any_append_leaves_a_true_ledger(
    tmp_path: Path, sqlite_template: Path, nursery: Nursery
) -> None:
    """Faults 1, 2, 3, 4, 5."""
    cases = on_sqlite(CONFIG, EVERY_FAILPOINT, tmp_path, sqlite_template)

    assert {} == all_wrong(nursery, cases, died_and_taken_over, at_once=8)


@pytest.mark.timeout(300)
def test_a_death_at_an_append_to_postgresql_leaves_a_true_ledger(
    tmp_path: Path, postgres_server: Any, nursery: Nursery
) -> None:
    """Faults 1, 2, 3, 4, 5."""
    failpoints = ["before:3", "before:7", "after:5", "after:8"]
    with on_postgres(CONFIG, failpoints, tmp_path, postgres_server) as cases:
        found = all_wrong(nursery, cases, died_and_taken_over, at_once=8)

    assert {} == found
