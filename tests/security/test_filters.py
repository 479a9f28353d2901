"""Items 10 and 29: whatever is typed is data: no traceback, no SQL, a documented exit code."""

from __future__ import annotations

import shutil
import string
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cronledger.domain.ids import JobName, keyed_run
from cronledger.errors import UsageError
from cronledger.ledger.parameters import checked_parameters
from tests.cli_runner import APP, Result, run_cli

TROUBLE = [
    "'; DROP TABLE event; --",
    '"; DROP TABLE run_history; --',
    "%",
    "_",
    "' OR '1'='1",
    "\\",
    "tidy' --",
    "a\0b",
    "\x1b[31m",
    "${env:HOME}",
    "[/]",
    "-",
    "--",
    "=",
    "position:",
    "position:-1",
    "position:" + "9" * 18,
    "position:" + "9" * 400,
    "9" * 400 + "d",
    "9999-12-31",
    "0001-01-01",
    "2026-13-45",
    "\ud800",
    "é" * 5000,
]
TEXT = st.one_of(
    st.sampled_from(TROUBLE),
    st.text(max_size=40),
    st.text(string.digits + "smhdw.:-TZ+position", max_size=25),
)
FILTERS: dict[str, Callable[[str], list[str]]] = {
    "history job": lambda text: ["infra", "jobs", "history", f"--job={text}"],
    "history status": lambda text: ["runs", "list", f"--status={text}"],
    "history since": lambda text: ["infra", "jobs", "history", f"--since={text}"],
    "history until": lambda text: ["runs", "list", f"--until={text}"],
    "history cause": lambda text: ["runs", "list", f"--cause={text}"],
    "history limit": lambda text: ["runs", "list", f"--limit={text}"],
    "history as of": lambda text: ["runs", "list", f"--as-of={text}"],
    "log level": lambda text: ["infra", "logs", "view", f"--level={text}"],
    "log job": lambda text: ["infra", "logs", "view", f"--job={text}"],
    "log run": lambda text: ["infra", "logs", "view", f"--run={text}"],
    "log since": lambda text: ["infra", "logs", "view", f"--since={text}"],
    "log until": lambda text: ["infra", "logs", "view", f"--until={text}"],
    "log search until": lambda text: ["infra", "logs", "search", "x", f"--until={text}"],
    "log export since": lambda text: ["infra", "logs", "export", f"--since={text}"],
    "log export until": lambda text: ["infra", "logs", "export", f"--until={text}"],
    "log summary since": lambda text: ["infra", "logs", "summary", f"--since={text}"],
    "log summary until": lambda text: ["infra", "logs", "summary", f"--until={text}"],
    "show job": lambda text: ["infra", "jobs", "show", "--", text],
    "status job": lambda text: ["infra", "jobs", "status", "--", text],
    "status as of": lambda text: ["infra", "jobs", "status", f"--as-of={text}"],
    "next job": lambda text: ["infra", "jobs", "next", "--", text],
    "next as of": lambda text: ["infra", "jobs", "next", "tidy", f"--as-of={text}"],
    "backfill from": lambda text: ["infra", "jobs", "backfill", "tidy", "--dry-run", f"--from={text}"],
    "backfill to": lambda text: ["jobs", "backfill", "tidy", "--dry-run", "--from=1d", f"--to={text}"],
    "run timeout": lambda text: ["infra", "jobs", "run", "nobody", f"--timeout={text}"],
    "disable job": lambda text: ["infra", "jobs", "disable", f"--reason={text}", "--", text + "x"],
    "show run": lambda text: ["runs", "show", "--", text],
    "run job": lambda text: ["infra", "jobs", "run", "--", text + "x"],
    "run tag": lambda text: ["infra", "jobs", "run", f"--tag={text}"],
    "show event": lambda text: ["ledger", "show", "--", text],
    "export stream": lambda text: ["ledger", "export", f"--stream={text}"],
    "export after": lambda text: ["ledger", "export", f"--after={text}"],
    "export until": lambda text: ["ledger", "export", f"--until={text}"],
    "replay to": lambda text: ["replay", f"--to={text}"],
    "replay job": lambda text: ["replay", f"--job={text}"],
    "cron": lambda text: ["cron", "explain", "--", text],
    "cron zone": lambda text: ["cron", "next", "0 0 3 * * *", f"--tz={text}"],
    "output": lambda text: ["-o", text, "infra", "jobs", "list"],
}
DOCUMENTED = {0, 1, 2, 3, 4, 5, 6, 7}
SQL_WORDS = ("sqlalchemy", "sqlite3", "OperationalError", "SELECT ", "SQL:", "Traceback")


def deep(levels: int) -> list[Any]:
    """Return a list in a list in a list."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


Cli = Callable[..., Result]


@pytest.fixture(scope="module")
def cli(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Return the program on a ledger in which something has happened."""
    folder = tmp_path_factory.mktemp("filters")
    path, config = folder / "ledger.db", folder / "config.yaml"
    shutil.copyfile(sqlite_template, path)
    config.write_text("scheduler: {jobs: [{name: tidy, extension: house}]}\n")
    config.chmod(0o600)

    def call(*words: str) -> Result:
        url = f"sqlite:///{path}"
        return run_cli("--database-url", url, "--config", str(config), "--app", APP, *words)

    assert 0 == call("infra", "jobs", "run", "tidy", "--local").exit_code
    return call


def is_data(result: Result) -> None:
    """Assert that a call ended as the contract says, and told nothing of what is inside."""
    assert result.exit_code in DOCUMENTED
    assert [] == [word for word in SQL_WORDS if word in result.stderr]
    assert "\x1b[31m" not in result.stdout + result.stderr


@pytest.mark.parametrize("name", FILTERS)
@settings(
    max_examples=settings().max_examples // 5,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=TEXT)
@example(text=TROUBLE[0])
@example(text="a\0b")
@example(text="\ud800")
@example(text="%")
@example(text="9" * 400 + "d")
@example(text="0001-01-01")
@example(text="position:" + "9" * 18)
def test_whatever_a_filter_is_given_is_data(cli: Cli, name: str, text: str) -> None:
    """Item 10."""
    is_data(cli(*FILTERS[name](text)))


@pytest.mark.parametrize("pattern", ["%", "_", "t%", "tid_", "tidy%", "' OR 1=1 --"])
def test_a_wildcard_of_sql_is_a_character_like_any_other(cli: Cli, pattern: str) -> None:
    """Item 10."""
    assert 0 == cli("infra", "jobs", "history", "--job", pattern, "--json").json["total"]
    assert 0 == cli("infra", "logs", "view", "--job", pattern, "--json").json["total"]
    assert 3 == cli("runs", "show", pattern).exit_code


# --- manual runs ----------------------------------------------------------------------------------------

PARAMETERS = {
    "huge": (["-p", "room=" + "x" * 200_000], (2, "larger than 32 KiB")),
    "huge together": (["-p", "a=" + "x" * 30_000, "-p", "b=" + "y" * 30_000], (2, "larger than 32 KiB")),
    "many": ([word for n in range(200) for word in ("-p", f"k{n}={n}")], (2, "no more than 100 parameters")),
    "NUL in a value": (["-p", "room=a\0b"], (2, "is not text")),
    "NUL in a key": (["-p", "ro\0om=a"], (2, "is not text")),
    "a key that is no name": (["-p", "ro om=a"], (2, "is not the name of a parameter")),
    "no key": (["-p", "=x"], (2, "is not the name of a parameter")),
    "no value": (["-p", "room"], (2, "Use KEY=VALUE")),
    "a surrogate": (["-p", "room=\ud800"], (2, "is not text")),
    "an endless reason": (["--reason", "x" * 100_000], (0, "")),
    "an ordinary one": (["-p", "room=kitchen=1"], (0, "tidied kitchen=1")),
}


@pytest.mark.parametrize(("words", "expected"), PARAMETERS.values(), ids=PARAMETERS.keys())
def test_the_arguments_of_a_manual_run_are_checked(
    cli: Cli, words: list[str], expected: tuple[int, str]
) -> None:
    """Item 29."""
    result = cli("infra", "jobs", "run", "tidy", "--local", *words)
    is_data(result)

    assert expected[0] == result.exit_code, result
    assert expected[1] in result.stdout + result.stderr
    assert len(result.stderr) < 2000


@settings(max_examples=settings().max_examples // 5, suppress_health_check=[HealthCheck.too_slow])
@given(key=st.one_of(st.sampled_from(TROUBLE), st.text(max_size=20)), value=TEXT)
def test_whatever_a_parameter_is_it_never_breaks_the_run(cli: Cli, key: str, value: str) -> None:
    """Item 29."""
    result = cli("infra", "jobs", "run", "tidy", "--no-wait", "-p", f"{key}={value}")
    is_data(result)


def test_the_ledger_is_whole_after_all_that(cli: Cli) -> None:
    """Items 10 and 29."""
    assert 0 == cli("ledger", "verify").exit_code
    assert 0 == cli("projections", "check").exit_code


def test_an_idempotency_key_belongs_to_its_actor() -> None:
    """Item 29: nobody takes somebody else's key, also not by moving the border between the two."""
    job = JobName("tidy")
    names = {
        keyed_run(job, actor, key) for actor, key in (("ann", "k"), ("bob", "k"), ("an", "nk"), ("ann", "k2"))
    }

    assert 4 == len(names)
    assert keyed_run(job, "a\x1fb", "c") != keyed_run(job, "a", "b\x1fc")
    assert keyed_run(job, "ann", "k") == keyed_run(job, "ann", "k")


API_PARAMETERS = {
    "an object": {"a": object()},
    "a number that is none": {"a": float("nan")},
    "a huge number": {"a": 10**400},
    "a lone surrogate": {"a": "\ud800"},
    "a NUL inside": {"a": [{"b": "x\0y"}]},
    "a name that is a number": {1: "a"},
    "100,000 levels": {"a": deep(100_000)},
    "a million values": {"a": [0] * 1_000_000},
    "50 MB": {"a": "x" * 50_000_000},
}


@pytest.mark.parametrize("parameters", API_PARAMETERS.values(), ids=API_PARAMETERS.keys())
def test_parameters_that_cannot_be_kept_are_refused_and_not_shortened(parameters: dict[str, Any]) -> None:
    """Items 20 and 29: through the API."""
    with pytest.raises(UsageError) as refused:
        checked_parameters(parameters)

    assert len(refused.value.message) < 200


def test_parameters_of_plain_types_are_kept() -> None:
    given: dict[str, Any] = {"a": [1, 2.5, None, True, {"b": "c"}], "at": date(2026, 1, 1), "pair": (1, 2)}

    assert {**given, "at": "2026-01-01", "pair": [1, 2]} == checked_parameters(given)
