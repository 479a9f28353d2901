"""The program itself: help, versions, options, errors, and how quickly it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli_runner import run_cli

HEAVY = ("sqlalchemy", "alembic", "yaml", "psycopg", "croniter", "anyio", "rich")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("args", [["--help"], ["version"], ["infra", "--help"]])
def test_it_starts_without_what_it_does_not_need(args: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cronledger", *args],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}

    assert set() == imported.intersection(HEAVY)


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m cronledger cron next '* * * * * *' -n 10000 | head -n 1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)

    assert "" == done.stderr
    assert ["utc"] == done.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "code"),
    [("version >&-", 0), ("--help >&-", 0), ("cron lint no >&-", 5), ("bogus >&- 2>&-", 2)],
)
def test_what_nobody_wants_to_read_is_no_error(line: str, code: int) -> None:
    """Each ended in a traceback."""
    command = f"{sys.executable} -m cronledger {line}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)

    assert (code, "") == (done.returncode, done.stderr)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is full")
@pytest.mark.parametrize("line", ["version", "--help", "cron next '* * * * * *' -n 10000"])
def test_a_full_device_is_an_error_of_one_line(line: str) -> None:
    """It was a traceback."""
    command = f"{sys.executable} -m cronledger {line} >/dev/full"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)

    assert (1, "cronledger: error: there is no room for the output: No space left on device\n") == (
        done.returncode, done.stderr,
    )  # fmt: skip


@pytest.mark.parametrize("word", ["INFO", "Warning", "warn", "WARN"])
def test_a_level_of_the_log_is_read_as_logs_view_reads_it(word: str) -> None:
    """Every command refused these."""
    assert 0 == run_cli("--log-level", word, "version").exit_code
    assert 0 == run_cli("version", env={"CRONLEDGER_LOG_LEVEL": word}).exit_code


@pytest.mark.parametrize("args", [[], ["infra"], ["jobs"], ["infra", "jobs"], ["ledger"], ["-h"]])
def test_a_group_without_a_command_shows_its_help(args: list[str]) -> None:
    result = run_cli(*args)

    assert 0 == result.exit_code
    assert result.stdout.startswith("Usage: cronledger")
    assert "" == result.stderr


def test_jobs_and_logs_have_the_same_commands_under_infra() -> None:
    for group in ("jobs", "logs"):
        short, long = run_cli(group, "--help"), run_cli("infra", group, "--help")

        assert short.stdout == long.stdout.replace(f"infra {group}", group)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["jbos"], "Did you mean 'jobs'"),
        (["--bogus"], "No such option"),
        (["jobs", "list", "--bogus"], "No such option"),
        (["jobs", "show"], "Missing argument"),
        (["-o", "xml", "version"], "xml"),
        (["version", "-o", "xml"], "xml"),
        (["--log-level", "loud", "version"], "loud"),
        (["jobs", "history", "-n", "0"], "0"),
        (["jobs", "history", "-n", "x"], "x"),
        (["jobs", "history", "--status", "sad"], "sad"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_a_usage_error(args: list[str], says: str) -> None:
    result = run_cli(*args)

    assert 2 == result.exit_code
    assert "" == result.stdout
    assert result.stderr.startswith("cronledger: error: ")
    assert says in result.stderr
    assert "hint: see `cronledger" in result.stderr


def test_a_usage_error_is_json_where_json_was_asked_for() -> None:
    result = run_cli("jobs", "list", "--bogus", "--json")

    assert 2 == result.exit_code
    assert {"code", "message", "hint"} == result.error.keys()
    assert "usage" == result.error["code"]


def test_an_output_in_the_environment_that_there_is_not_is_a_usage_error() -> None:
    assert 2 == run_cli("version", env={"CRONLEDGER_OUTPUT": "xml"}).exit_code


@pytest.mark.parametrize(
    "args",
    [["-o", "json", "version"], ["--json", "version"], ["version", "-o", "json"], ["version", "--json"]],
)
def test_the_form_of_output_stands_before_or_after_the_command(args: list[str]) -> None:
    assert {"cronledger", "python", "sqlite", "tzdata"} <= run_cli(*args).json.keys()


def test_the_later_word_on_output_is_the_stronger_one() -> None:
    assert run_cli("-o", "yaml", "version", "-o", "json").json
    assert run_cli("version", "--json", env={"CRONLEDGER_OUTPUT": "yaml"}).json


def test_secrets_of_the_ledgers_address_are_not_shown() -> None:
    result = run_cli("--database-url", "postgresql://ann:s3cret@127.0.0.1:1/jobs", "jobs", "status")

    assert 6 == result.exit_code
    assert "s3cret" not in result.stderr


@pytest.mark.parametrize(
    ("url", "code"),
    [("nonsense", 2), ("mysql://localhost/x", 2), ("sqlite://", 2), ("sqlite:///no/such/folder/a.db", 6)],
)
def test_an_address_that_is_no_ledger_is_refused(url: str, code: int, empty_folder: Path) -> None:
    assert code == run_cli("--database-url", url, "jobs", "status").exit_code
    assert [] == list(empty_folder.iterdir())


def test_the_configurations_problems_are_printed_as_they_are(empty_folder: Path) -> None:
    config = empty_folder / "config.yaml"
    config.write_text("scheduler: {jbos: []}\n")
    config.chmod(0o600)
    result = run_cli("--config", str(config), "jobs", "list")

    assert 5 == result.exit_code
    assert "" == result.stdout
    assert ": error: " in result.stderr.splitlines()[0]
    assert not result.stderr.startswith("cronledger: error")
    assert "config_invalid" == run_cli("--config", str(config), "jobs", "list", "--json").error["code"]


def test_code_that_cannot_be_imported_is_named() -> None:
    result = run_cli("--app", "no_such_module", "jobs", "list")

    assert 5 == result.exit_code
    assert "no_such_module" in result.stderr
    assert 5 == run_cli("jobs", "list", env={"CRONLEDGER_APP": "json, no_such_module"}).exit_code


@pytest.mark.parametrize(
    "args",
    [["verify"], ["export"], ["tail"], ["stats"], ["show", "1"]],
)
def test_what_asks_for_the_ledger_itself_does_not_make_one(args: list[str], empty_folder: Path) -> None:
    result = run_cli("ledger", *args)

    assert 6 == result.exit_code
    assert "hint: " in result.stderr
    assert [] == list(empty_folder.iterdir())
