"""Item 18: a webhook leads to Discord only, notifies nobody, and its address is told to nobody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli_runner import Result, run_cli
from tests.conftest import lines_of
from tests.discord import TOKEN, Discord, discord

LEDGER = "sqlite:///ledger.db"
CONFIG = """
application:
  discord: {webhook_url: "${env:DISCORD_WEBHOOK_URL}", allow_loopback: true}
scheduler:
  jobs:
    - {name: daily_traffic_report, extension: web}
    - {name: daily_activity_summary, extension: web}
"""
REPORTS = ("daily_traffic_report", "daily_activity_summary")
READING = [
    ["infra", "jobs", "history"], ["infra", "jobs", "show", REPORTS[0]], ["infra", "jobs", "status"],
    ["infra", "logs", "view", "-n", "999"], ["runs", "list"], ["config", "check"], ["config", "show"],
    ["doctor"], ["ledger", "export"], ["ledger", "tail", "-n", "99"], ["replay"],
]  # fmt: skip


@pytest.fixture
def there() -> Iterator[Discord]:
    with discord() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / "project"
    here.mkdir(mode=0o700)
    (here / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(here)
    for name in [name for name in os.environ if name.startswith("CRONLEDGER_")]:
        monkeypatch.delenv(name)
    return here


def program(*words: str, **environment: str) -> Result:
    return run_cli("--config", "config.yaml", *words, env={"CRONLEDGER_DATABASE_URL": LEDGER} | environment)


def report(name: str, **environment: str) -> Result:
    return program("--log-level", "debug", "infra", "jobs", "run", name, "--local", **environment)


def test_the_address_is_in_no_event_log_output_or_file(folder: Path, there: Discord) -> None:
    """Posted, refused, redirected, busy, and out of reach; by a variable and by a file that one names."""
    elsewhere = folder.parent / "hook"
    elsewhere.write_text(there.url + "\n")
    there.answers = [(200, {}), (404, {}), (307, {"Location": there.url}), (503, {"Retry-After": "999"})]
    answers = [report(REPORTS[number % 2], DISCORD_WEBHOOK_URL=there.url) for number in range(4)]
    answers.append(report(REPORTS[0], DISCORD_WEBHOOK_URL_FILE=str(elsewhere)))
    answers.append(report(REPORTS[1], DISCORD_WEBHOOK_URL=f"http://127.0.0.1:1/{TOKEN}"))
    answers.append(report(REPORTS[1], DISCORD_WEBHOOK_URL=f"https://evil.example/{TOKEN}"))
    exit_codes = [answer.exit_code for answer in answers]
    answers += [program(*words, DISCORD_WEBHOOK_URL=there.url) for words in READING]
    told = "".join(answer.stdout + answer.stderr for answer in answers)
    files = b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())

    assert [0, 1, 1, 1, 0, 1, 1] == exit_codes
    assert 2 == len(there.posted)
    assert "Discord refused the report with status 404" in told
    assert [] == [where for where, text in {"outputs": told, "files": str(files)}.items() if TOKEN in text]
    assert TOKEN not in str(lines_of(LEDGER))
    assert "Traceback" not in told


def test_a_redirect_to_this_machine_is_refused(folder: Path, there: Discord) -> None:
    there.answers = [(308, {"Location": there.url})]
    answer = report(REPORTS[0], DISCORD_WEBHOOK_URL=there.url)

    assert 1 == answer.exit_code
    assert "which is not followed" in answer.stdout
    assert (1, []) == (len(there.asked), there.posted)


def test_this_machine_is_no_discord_unless_a_test_says_so(folder: Path, there: Discord) -> None:
    (folder / "config.yaml").write_text(CONFIG.replace(", allow_loopback: true", ""))
    answer = report(REPORTS[0], DISCORD_WEBHOOK_URL=there.url)

    assert 1 == answer.exit_code
    assert "does not lead to Discord" in answer.stdout
    assert [] == there.asked
