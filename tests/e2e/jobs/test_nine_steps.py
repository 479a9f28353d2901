"""A pipeline of nine steps, killed with SIGKILL at each boundary of its events; another process goes on.

A death between the effect of a step and the record of its success cannot be told from one before the effect:
that one step is performed again, which is what `idempotent` allows. Every other is performed exactly once.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.checker import ENDS, problems
from tests.conftest import lines_of
from tests.e2e.jobs.nine import NAMES
from tests.e2e.jobs.nursery import Nursery
from tests.e2e.jobs.takeovers import all_wrong, on_postgres, on_sqlite
from tests.waiting import eventually_within

CONFIG = 'scheduler: {drain_seconds: 5, jobs: [{name: nine, extension: nine, schedule: ""}]}'
UP = ("--app", "tests.e2e.jobs.nine", "up")
EVENTS = [
    "run.triggered:1",
    "run.started:1",
    *(f"step.{what}:{number}" for number in range(1, 10) for what in ("started", "succeeded")),
    "run.succeeded:1",
]
EVERY_BOUNDARY = [f"{where}:{event}" for event in EVENTS for where in ("before", "after")]
SOME = ["after:run.started:1", "after:step.started:3", "before:step.succeeded:5", "after:step.succeeded:9"]


def killed_and_taken_over(nursery: Nursery, folder: Path, url: str, boundary: str) -> list[str]:
    """Have one process killed at a boundary and another one take over; return all that is wrong then."""
    environment = {"EFFECTS": str(folder / "effects")}
    (folder / "effects").touch()
    first = nursery.start(folder, url, *UP, environment=environment | {"BOUNDARY": boundary})
    if first.wait(40) != -signal.SIGKILL:
        return [f"the first process was not killed at {boundary}: {first.status}, {first.log.read_text()}"]
    before = lines_of(url)
    second = nursery.start(folder, url, *UP, environment=environment)
    has_ended = eventually_within(60, lambda: _is_over(lines_of(url), before), pause_seconds=0.3)
    second.signal(signal.SIGTERM)
    exit_code = second.wait(20)
    lines = lines_of(url)
    effects = (folder / "effects").read_text().splitlines()
    found = [*problems(lines, all_ended=True), *_untrue(lines, effects), *_unfit(boundary, before, effects)]
    found += [] if has_ended else [f"never taken over: {second.log.read_text()}"]
    return found if exit_code == 0 else [*found, f"exit code {exit_code}: {second.log.read_text()}"]


def _is_over(lines: list[dict[str, Any]], before: list[dict[str, Any]]) -> bool:
    """Whether the second process leads, its boot epoch has had its startup run, and every run has ended.

    On PostgreSQL the dead process counts as living for some seconds, so that the epoch is still the first.
    """
    runs = {line["run_id"] for line in lines if line["type"] == "run.triggered"}
    ended = {line["run_id"] for line in lines if line["type"] in ENDS}
    elected = [line["body"]["epoch"] for line in lines[len(before) :] if line["type"] == "leader.elected"]
    return bool(elected) and f"nine@boot-{elected[-1]}" in runs and runs == ended


def _untrue(lines: list[dict[str, Any]], effects: list[str]) -> Iterator[str]:
    """Compare what the steps did with what the ledger says, run by run."""
    performed: dict[tuple[str, str], list[int]] = {}
    for name, run, attempt in (line.split() for line in effects):
        performed.setdefault((run, name), []).append(int(attempt))
    for run in {line["run_id"] for line in lines if line["type"] == "run.triggered"}:
        mine = [line for line in lines if line["run_id"] == run]
        kinds = Counter(line["type"] for line in mine)
        succeeded = {
            (line["body"] or {}).get("name"): line for line in mine if line["type"] == "step.succeeded"
        }
        if NAMES != [line["body"]["name"] for line in mine if line["type"] == "step.succeeded"]:
            yield f"{run}: the steps that succeeded are {list(succeeded)}"
        if kinds["run.succeeded"] != 1 or mine[-1]["type"] != "run.succeeded":
            yield f"{run}: its history is {[line['type'] for line in mine]}"
        if kinds["run.started"] != 1 + kinds["attempt.lost"]:
            yield f"{run}: {kinds['run.started']} starts and {kinds['attempt.lost']} losses"
        started = Counter(
            (line["body"]["name"], line["attempt"]) for line in mine if line["type"] == "step.started"
        )
        for name in NAMES:
            attempts = performed.get((run, name), [])
            last = succeeded[name]["attempt"] if name in succeeded else None
            if attempts[-1:] != [last] or attempts.count(last or 0) != 1:
                yield f"{run}: {name} succeeded in attempt {last} and was performed in {attempts}"
            yield from (
                f"{run}: {name} was performed in attempt {attempt} and not begun"
                for attempt in attempts
                if started[name, attempt] != 1
            )
        again = [name for name in NAMES if len(performed.get((run, name), [])) > 1]
        if len(again) > 1:
            yield f"{run}: more than one step was performed again: {again}"


def _unfit(boundary: str, before: list[dict[str, Any]], effects: list[str]) -> Iterator[str]:
    """Judge the place of the death: what was recorded by then, and what may have been done twice."""
    where, kind, number = boundary.split(":")
    recorded = sum(line["type"] == kind and line["job"] == "nine" for line in before)
    if recorded != int(number) - (where == "before"):
        yield f"{boundary}: {recorded} events of this type were recorded"
    names = Counter(tuple(line.split()[:2]) for line in effects)
    again = {name for (name, _), count in names.items() if count > 1}
    lost = {NAMES[int(number) - 1]} if (where, kind) == ("before", "step.succeeded") else set()
    if again != lost:
        yield f"{boundary}: performed again were {again}, and not {lost}"


def all_wrong_on_sqlite(
    nursery: Nursery, boundaries: list[str], path: Path, template: Path
) -> dict[str, list[str]]:
    """Go through boundaries on SQLite, each in a file of its own."""
    return all_wrong(nursery, on_sqlite(CONFIG, boundaries, path, template), killed_and_taken_over)


def all_wrong_on_postgres(
    nursery: Nursery, boundaries: list[str], path: Path, server: Any
) -> dict[str, list[str]]:
    """Go through boundaries on PostgreSQL, each in a database of its own, a few at a time."""
    found: dict[str, list[str]] = {}
    for start in range(0, len(boundaries), 4):
        with on_postgres(CONFIG, boundaries[start : start + 4], path, server) as cases:
            found |= all_wrong(nursery, cases, killed_and_taken_over)
    return found


@pytest.mark.timeout(200)
def test_a_pipeline_goes_on_where_it_was_killed(
    tmp_path: Path, sqlite_template: Path, nursery: Nursery
) -> None:
    """Faults 1, 2, 3, 4, 5."""
    assert {} == all_wrong_on_sqlite(nursery, SOME, tmp_path, sqlite_template)


@pytest.mark.timeout(200)
def test_a_pipeline_on_postgresql_goes_on_where_it_was_killed(
    tmp_path: Path, postgres_server: Any, nursery: Nursery
) -> None:
    """Faults 1, 2, 3, 4, 5."""
    assert {} == all_wrong_on_postgres(nursery, SOME[1:3], tmp_path, postgres_server)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_a_pipeline_goes_on_wherever_it_was_killed(
    tmp_path: Path, sqlite_template: Path, nursery: Nursery
) -> None:
    """Faults 1, 2, 3, 4, 5."""
    assert {} == all_wrong_on_sqlite(nursery, EVERY_BOUNDARY, tmp_path, sqlite_template)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_a_pipeline_on_postgresql_goes_on_wherever_it_was_killed(
    tmp_path: Path, postgres_server: Any, nursery: Nursery
) -> None:
    """Faults 1, 2, 3, 4, 5."""
    assert {} == all_wrong_on_postgres(nursery, EVERY_BOUNDARY, tmp_path, postgres_server)
