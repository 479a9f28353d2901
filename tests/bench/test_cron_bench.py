"""The benchmark of the cron engine still runs and says what it promises; its figures are not looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "cron.py"
LIBRARIES = {"cronledger", "croniter", "cronsim", "apscheduler"}
CANNOT = {("previous", "apscheduler"), ("1st or Monday", "apscheduler")}
"""What APScheduler's trigger has no words for."""


def output(*options: str) -> str:
    command = [sys.executable, str(BENCH), "--quick", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def able(measure: str, label: str) -> set[str]:
    return LIBRARIES - {library for what, library in CANNOT if what in (measure, label)}


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output("--json"))
    return found


def test_each_library_is_measured_for_everything_it_can_do(figures: dict[str, Any]) -> None:
    missing = [
        (measure, label)
        for measure, rows in figures["calls"].items()
        for label, row in rows.items()
        if able(measure, label) != set(row)
    ]

    assert {"next", "start", "previous", "parse"} == set(figures["calls"])
    assert [12] * 4 == [len(rows) for rows in figures["calls"].values()]
    assert [] == missing


def test_every_job_of_the_batch_gets_a_first_fire_time_from_each_library(figures: dict[str, Any]) -> None:
    batch = figures["batch"]

    assert dict.fromkeys(LIBRARIES, batch["jobs"]) == {
        library: row["kept"] for library, row in batch["libraries"].items()
    }
    assert batch["distinct"] <= batch["jobs"]


def test_each_target_has_a_figure_and_a_verdict(figures: dict[str, Any]) -> None:
    assert 6 == len(figures["targets"])
    assert {"name", "unit", "figure", "bound", "met"} == {key for row in figures["targets"] for key in row}


def test_the_page_for_people_ends_with_the_verdicts() -> None:
    lines = output().splitlines()

    assert "targets" == lines[-7]
    assert {"met", "MISSED"} >= {line.split()[-1] for line in lines[-6:]}
