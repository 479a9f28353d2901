"""`doctor` where something is missing or wrong: exit codes, what is said, and nothing left behind."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cronledger.cli.cluster_checks import CHECKS, clock_off
from cronledger.cli.doctor import time_zones
from cronledger.cli.finding import LINES_SHOWN, Finding, failed
from cronledger.errors import ConfigError, UnknownJob
from cronledger.tz_database import UNKNOWN, TzDatabase
from tests.cli_runner import APP, Result, run_cli

SYSTEM = "/usr/share/zoneinfo"
NAMES = ["versions", "tz_database", "configuration", "ledger", "schema", *CHECKS]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def nobody() -> Iterator[str]:
    """Return the address of a server that is not there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"postgresql://ann:s3cret@127.0.0.1:{taken.getsockname()[1]}/jobs"


def configured(folder: Path, text: str) -> str:
    config = folder / "config.yaml"
    config.write_text(text)
    config.chmod(0o600)
    return str(config)


def statuses(result: Result) -> dict[str, str]:
    return {check["check"]: check["status"] for check in result.json["checks"]}


def check(result: Result, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in result.json["checks"] if each["check"] == name)
    return found


# --- the command ----------------------------------------------------------------------------------------


def test_a_ledger_that_nobody_has_made_yet_is_worth_a_warning_and_is_not_made(empty_folder: Path) -> None:
    result = run_cli("doctor", "--json")
    ledger = check(result, "ledger")

    assert 0 == result.exit_code
    assert result.json["ok"]
    assert NAMES == list(statuses(result))
    assert "warn" == ledger["status"]
    assert "there is no ledger at" in ledger["message"]
    assert "cronledger up" in ledger["hint"]
    assert {"skipped"} == {status for name, status in statuses(result).items() if name in ("schema", *CHECKS)}
    assert [] == list(empty_folder.iterdir())


def test_every_check_says_what_it_looked_at_and_what_it_found() -> None:
    for each in run_cli("doctor", "--json").json["checks"]:
        assert ["check", "status", "message", "hint"] == list(each)[:4]
        assert each["message"]


def test_people_read_a_line_for_each_check_and_what_to_do() -> None:
    result = run_cli("doctor", terminal=True)
    lines = result.stdout.splitlines()
    words = [line.split()[:2] for line in lines if not line.startswith(" ")]

    assert 0 == result.exit_code
    assert NAMES == [name for _, name in words]
    assert ["warn", "ledger"] in words
    assert "hint: `cronledger up`" in lines[lines.index(next(x for x in lines if " ledger " in x)) + 1]


def test_each_check_is_a_line_for_programs_that_read_lines() -> None:
    assert len(NAMES) == len(run_cli("doctor", "-o", "jsonl").stdout.splitlines())


def test_a_bad_configuration_fails_with_its_exit_code_and_hides_nothing(
    empty_folder: Path, sqlite_url: str
) -> None:
    config = configured(empty_folder, "scheduler: {jbos: []}\n")
    result = run_cli("--config", config, "--database-url", sqlite_url, "doctor", "--json")
    found = statuses(result)

    assert 5 == result.exit_code
    assert not result.json["ok"]
    assert "" == result.stderr
    assert "fail" == found.pop("configuration")
    assert {"ok", "warn"} >= set(found.values())
    assert "1 problem" == check(result, "configuration")["message"]
    assert "config.yaml:1" in check(result, "configuration")["problems"][0]
    assert "jbos" in run_cli("--config", config, "--database-url", sqlite_url, "doctor").stdout


def test_code_that_cannot_be_imported_fails_as_configuration() -> None:
    result = run_cli("--app", "no_such_module", "doctor", "--json")

    assert 5 == result.exit_code
    assert "extension_invalid" == check(result, "configuration")["code"]


def test_a_configuration_is_told_with_its_warnings(empty_folder: Path) -> None:
    config = configured(
        empty_folder,
        "scheduler: {enabled: false, jobs: [{name: tidy, extension: house, schedule: '0 0 3 * * *'}]}\n",
    )
    found = check(run_cli("--config", config, "--app", APP, "doctor", "--json"), "configuration")

    assert ("warn", 1) == (found["status"], found["jobs"])
    assert "scheduler.enabled is false" in found["warnings"][-1]


def test_a_ledger_that_does_not_answer_fails_with_its_exit_code(nobody: str) -> None:
    result = run_cli("--database-url", nobody, "doctor", "--json")

    assert 6 == result.exit_code
    assert "fail" == check(result, "ledger")["status"]
    assert {"skipped"} == {status for name, status in statuses(result).items() if name in ("schema", *CHECKS)}
    assert "s3cret" not in result.stdout + run_cli("--database-url", nobody, "doctor").stdout


def test_the_first_failure_gives_the_exit_code(empty_folder: Path, nobody: str) -> None:
    config = configured(empty_folder, "scheduler: {jbos: []}\n")

    assert 5 == run_cli("--config", config, "--database-url", nobody, "doctor").exit_code


@pytest.mark.parametrize(
    ("url", "code"), [("sqlite:///no/such/folder/a.db", 6), ("sqlite://", 2), ("mysql://localhost/x", 2)]
)
def test_an_address_that_can_be_no_ledger_fails(url: str, code: int, empty_folder: Path) -> None:
    result = run_cli("--database-url", url, "doctor", "--json")

    assert code == result.exit_code
    assert "fail" == check(result, "ledger")["status"]
    assert [] == list(empty_folder.iterdir())


def test_a_file_that_is_no_database_fails(empty_folder: Path) -> None:
    (empty_folder / "cronledger.db").write_text("not a database, but long enough to be looked at " * 9)

    assert 7 == run_cli("doctor").exit_code


# --- single checks --------------------------------------------------------------------------------------


def test_data_older_than_the_packages_is_worth_a_warning() -> None:
    found = time_zones(TzDatabase("2025b", SYSTEM), "2026f")

    assert "warn" == found.status
    assert f"2025b of {SYSTEM} is in use; the package tzdata has the newer 2026f" == found.message
    assert found.hint
    assert {"version": "2025b", "source": "system", "folder": SYSTEM, "package": "2026f"} == found.details


def test_data_that_does_not_say_its_version_is_worth_a_warning() -> None:
    found = time_zones(TzDatabase(UNKNOWN, SYSTEM), "2026f")

    assert "warn" == found.status
    assert f"{SYSTEM} does not say which version it is" == found.message


@pytest.mark.parametrize(
    ("used", "packaged"),
    [
        (TzDatabase("2026f", None), "2026f"),
        (TzDatabase("2026f", SYSTEM), "2026f"),
        (TzDatabase("2026g", SYSTEM), "2026f"),
        (TzDatabase("2025b", SYSTEM), None),
    ],
)
def test_the_newest_data_at_hand_is_fine(used: TzDatabase, packaged: str | None) -> None:
    assert "ok" == time_zones(used, packaged).status


@pytest.mark.parametrize(
    ("offset", "uncertain", "status"),
    [(0, 0, "ok"), (1.0, 0, "ok"), (1.2, 0, "warn"), (-1.2, 0, "warn"), (1.2, 0.3, "ok"), (9, 0.3, "warn")],
)
def test_a_clock_more_than_a_second_off_is_worth_a_warning(
    offset: float, uncertain: float, status: str
) -> None:
    assert status == clock_off(timedelta(seconds=offset), timedelta(seconds=uncertain)).status


def test_a_clock_says_in_which_direction_it_is_off() -> None:
    assert "3.0 s ahead of the ledger's" in clock_off(timedelta(seconds=3), timedelta(0)).message
    assert "2.5 s behind the ledger's" in clock_off(timedelta(seconds=-2.5), timedelta(0)).message


def test_an_error_becomes_a_finding_with_its_exit_code() -> None:
    one, two = (
        failed("x", UnknownJob("tidi")),
        failed("x", ConfigError(["a:1:1: error: b", "c:1:1: error: d"])),
    )

    assert ("fail", 3, "unknown_job") == (one.status, one.exit_code, one.details["code"])
    assert ("2 problems", 5) == (two.message, two.exit_code)
    assert ("a:1:1: error: b", "c:1:1: error: d") == two.lines


def test_a_long_list_is_cut_for_people() -> None:
    text = list(Finding(check="x", status="warn", message="m", lines=("l",) * (LINES_SHOWN + 5)).text())

    assert LINES_SHOWN + 2 == len(text)
    assert "5 more" in text[-1]
