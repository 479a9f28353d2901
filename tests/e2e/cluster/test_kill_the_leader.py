"""Real processes on one ledger, killed without warning; judged by `ledger export` alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.checker import problems, triggered

SECONDS = 60
CONFIG = """
scheduler:
  extensions: [ticks]
  jobs:
    - {name: every_second, extension: ticks, schedule: "* * * * * *"}
    - {name: every_other, extension: ticks, schedule: "*/2 * * * * *"}
    - {name: longer, extension: ticks, schedule: "* * * * * *"}
"""
JOBS = """
import asyncio
from cronledger import job

@job
async def every_second(): ...

@job
def every_other(): ...

@job(idempotent=True)
async def longer():
    await asyncio.sleep(1.5)
"""


def command(folder: Path, url: str, *words: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "cronledger",
        "--database-url",
        url,
        "--config",
        str(folder / "config.yaml"),
        *words,
    ]


def lines_of(folder: Path, url: str) -> list[dict[str, object]]:
    exported = subprocess.run(
        command(folder, url, "ledger", "export"), cwd=folder, capture_output=True, check=True, timeout=60
    )
    return [json.loads(line) for line in exported.stdout.splitlines()]


def leader_pid(lines: list[dict[str, object]]) -> int:
    elected = [line for line in lines if line["type"] == "leader.elected"]
    return int(str(elected[-1]["instance"]).split(".")[1])


@pytest.mark.timeout(240)
def test_two_killed_leaders_cost_no_fire_time_and_double_none(sql_url: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "ticks.py").write_text(JOBS)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    logs = [(tmp_path / f"up{number}.log").open("wb") for number in range(3)]
    began = time.monotonic()
    processes = [
        subprocess.Popen(
            command(tmp_path, sql_url, "--instance", f"up{number}", "up"),
            cwd=tmp_path, env=environment, stdout=log, stderr=log,
        )
        for number, log in enumerate(logs)
    ]  # fmt: skip
    try:
        for after in (SECONDS / 3, 2 * SECONDS / 3):
            time.sleep(max(0.0, began + after - time.monotonic()))
            os.kill(leader_pid(lines_of(tmp_path, sql_url)), signal.SIGKILL)
        time.sleep(max(0.0, began + SECONDS - time.monotonic()))
        (survivor,) = [process for process in processes if process.poll() is None]
        survivor.send_signal(signal.SIGTERM)
        exit_code = survivor.wait(timeout=40)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for log in logs:
            log.close()
    lines = lines_of(tmp_path, sql_url)
    elected = [line for line in lines if line["type"] == "leader.elected"]

    assert 0 == exit_code
    assert [] == problems(lines)
    assert 3 == len(elected)
    assert SECONDS - 12 < len(triggered(lines, "every_second"))
    assert "" == check(tmp_path, sql_url)


def check(folder: Path, url: str) -> str:
    """Return what `projections check` has to say when it is not content."""
    asked = subprocess.run(
        command(folder, url, "projections", "check"),
        cwd=folder,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return "" if asked.returncode == 0 else asked.stdout.decode() + asked.stderr.decode()
