"""Real processes whose configuration changes; judged by `ledger export` alone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.checker import problems, triggered
from tests.cli_runner import run_cli
from tests.redefinitions import count, fired_while_disabled, misdecided

LIMIT_SECONDS = 60
JOBS = """
from cronledger import job

@job
async def tick(): ...
"""
CONFIG = (
    'scheduler: {{extensions: [ticks], jobs: [{{name: tick, extension: ticks, schedule: "{schedule}"}}]}}'
)
TRIGGER = """
import asyncio, sys, time
from cronledger import Scheduler
scheduler = Scheduler(database_url=sys.argv[1], config=sys.argv[2], app=["ticks"])
scheduler.resolution
print("ready", flush=True)
sys.stdin.readline()
print(asyncio.run(scheduler.trigger("tick", key="order-7", actor="shop")))
"""

Lines = list[dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a job that fires each second."""
    (tmp_path / "ticks.py").write_text(JOBS)
    put(tmp_path, "* * * * * *")
    return tmp_path


def put(folder: Path, schedule: str) -> None:
    """Replace the configuration as a careful program does."""
    (folder / "fresh.yaml").write_text(CONFIG.format(schedule=schedule))
    (folder / "fresh.yaml").replace(folder / "config.yaml")


def environment(folder: Path) -> Mapping[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def words(folder: Path, url: str) -> list[str]:
    return ["--database-url", url, "--config", str(folder / "config.yaml")]


@contextmanager
def up(folder: Path, url: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run an instance in a process of its own; it has to end well when it is told to."""
    with (folder / "up.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cronledger", *words(folder, url), "up", *options],
            cwd=folder, env=environment(folder), stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert 0 == process.wait(timeout=LIMIT_SECONDS)
        finally:
            process.kill()
            process.wait()


def lines_of(folder: Path, url: str) -> Lines:
    exported = run_cli(*words(folder, url), "ledger", "export")
    return [json.loads(line) for line in exported.stdout.splitlines()]


def until(folder: Path, url: str, holds: Callable[[Lines], object]) -> Lines:
    """Wait until something holds of the ledger."""
    ends = time.monotonic() + LIMIT_SECONDS
    while not holds(lines := lines_of(folder, url)):
        assert time.monotonic() < ends, [line["type"] for line in lines]
        time.sleep(0.2)
    return lines


@pytest.mark.timeout(240)
def test_a_process_reads_its_files_again_at_sighup_and_survives_a_bad_one(
    sqlite_url: str, folder: Path
) -> None:
    """Fault 63."""
    with up(folder, sqlite_url, "--apply-config") as process:
        until(folder, sqlite_url, lambda lines: len(triggered(lines)) > 1)
        put(folder, "*/2 * * * * *")
        process.send_signal(signal.SIGHUP)
        until(folder, sqlite_url, lambda lines: count(lines, "job.redefined"))
        put(folder, "*/61 * * * * *")
        process.send_signal(signal.SIGHUP)
        rejected = until(folder, sqlite_url, lambda lines: count(lines, "config.rejected"))
        fired = len(triggered(rejected))
        until(folder, sqlite_url, lambda lines: len(triggered(lines)) > fired + 1)
    lines = lines_of(folder, sqlite_url)
    registered = next(line for line in lines if line["type"] == "job.registered")

    assert [] == problems(lines)
    assert [] == misdecided(lines)
    assert "operator" == registered["actor"]["kind"]
    assert (1, 1) == (count(lines, "job.redefined"), count(lines, "config.rejected"))


@pytest.mark.timeout(240)
def test_disabling_in_a_loop_beside_a_job_that_fires_each_second(sqlite_url: str, folder: Path) -> None:
    """Fault 65."""
    chance = random.Random(65)
    with up(folder, sqlite_url):
        until(folder, sqlite_url, lambda lines: len(triggered(lines)) > 1)
        for number in range(24):
            verb = "enable" if number % 2 else "disable"
            decided = run_cli(*words(folder, sqlite_url), "infra", "jobs", verb, "tick")
            assert 0 == decided.exit_code, decided.stderr
            # Just before a second, just after it, or anywhere: where decision and fire time meet.
            time.sleep(chance.choice([(1 - time.time() % 1) % 1, chance.uniform(0, 0.8)]))
        until(folder, sqlite_url, lambda lines: lines[-1]["type"].startswith("run.succeeded"))
    lines = lines_of(folder, sqlite_url)

    assert 12 == count(lines, "job.disabled")
    assert [] == fired_while_disabled(lines)
    assert [] == misdecided(lines)
    assert [] == problems(lines)


@pytest.mark.timeout(240)
def test_programs_with_the_same_key_at_the_same_time_trigger_one_run(sql_url: str, folder: Path) -> None:
    """Fault 76."""
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", TRIGGER, sql_url, str(folder / "config.yaml")],
            cwd=folder, env=environment(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    try:
        for program in programs:
            assert program.stdout is not None
            assert "ready\n" == program.stdout.readline()
        for program in programs:
            assert program.stdin is not None
            program.stdin.write("go\n")
            program.stdin.flush()
        answers = [program.communicate(timeout=LIMIT_SECONDS)[0].strip() for program in programs]
    finally:
        for program in programs:
            program.kill()
            program.wait()
    lines = lines_of(folder, sql_url)

    assert [0] * 3 == [program.returncode for program in programs]
    assert 1 == len(set(answers))
    assert 1 == count(lines, "run.triggered")
