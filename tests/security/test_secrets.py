"""Items 1 and 2: secrets by reference, looked up late, and told to nobody but the job."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from cronledger.ledger.export import export
from tests.cli_runner import Result, run_cli
from tests.conftest import opened
from tests.postgres import Server

LEDGER = "sqlite:///ledger.db"
CONFIG = """
application:
  database_url: "postgresql://app:${env:APP_PASSWORD}@127.0.0.1:1/app"
  mail: {user: ann, passwords: ["${env:MAIL_PASSWORD}"]}
  never_asked_for: ${env:NOT_SET_ANYWHERE}
scheduler:
  jobs:
    - {name: notify, extension: leaky, schedule: "* * * * * *", parameters: {webhook: "${env:HOOK}"}}
    - {name: apart, extension: leaky, schedule: "* * * * * *", parameters: {webhook: "${env:HOOK}"}}
    - {name: login, extension: leaky, schedule: "* * * * * *"}
    - name: steps
      extension: leaky
      schedule: "* * * * * *"
      parameters: {deep: [{token: "x-${env:TOKEN}"}]}
"""
LEAKY = """
from cronledger import JobResult, job

EXPECTED = {expected!r}

@job
async def notify(ctx):
    ctx.log.warning("posting to %s", ctx.params["webhook"])
    assert ctx.params["webhook"] == EXPECTED, "not revealed"
    raise RuntimeError("404 for " + 9 * ctx.params["webhook"] + 4000 * (" or " + ctx.params["webhook"]))

@job(isolation="process")
async def apart(ctx):
    raise RuntimeError("405 for " + 4000 * (" or " + ctx.params["webhook"]))

@job
def login(ctx):
    with ctx.db.connect():
        pass

@job
async def steps(ctx):
    token = ctx.params["deep"][0]["token"]
    async with ctx.step("call") as step:
        step.report(message="with " + token, result={{"sent": [token]}})
    return JobResult.success().with_message("used " + token + ", " + ctx.config["mail"]["passwords"][0])
"""
READING = [
    ["infra", "jobs", "list"], ["infra", "jobs", "show", "notify"], ["infra", "jobs", "status"],
    ["infra", "jobs", "history"], ["infra", "logs", "view", "-n", "999"], ["infra", "jobs", "next", "notify"],
    ["runs", "list", "--status", "failed"], ["config", "check"], ["config", "show", "--origin"], ["doctor"],
    ["ledger", "export"], ["ledger", "tail", "-n", "99"], ["ledger", "verify"], ["ledger", "stats"],
    ["replay"], ["projections", "list"], ["projections", "check"], ["db", "current"], ["db", "check"],
    ["version"],
]  # fmt: skip
CANARIES = {
    "APP_PASSWORD": "canary-app-1d0c",
    "MAIL_PASSWORD": "canary-mail-31d0",
    "HOOK": "https://chat.example/canary-hook-77aa",
    "TOKEN": "canary-token-93be",
    "UNRELATED_SECRET": "canary-environment-5c2f",
}


class Program(Protocol):
    """The program in the project's folder, with the canaries in its environment."""

    def __call__(self, *words: str, url: str = LEDGER, **more: str) -> Result: ...


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    here = tmp_path / "project"
    here.mkdir(mode=0o700)
    (here / "config.yaml").write_text(CONFIG)
    (here / "leaky.py").write_text(LEAKY.format(expected=CANARIES["HOOK"]))
    return here


@pytest.fixture
def program(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.path", [*sys.path])
    for name in [name for name in os.environ if name.startswith("CRONLEDGER_")]:
        monkeypatch.delenv(name)

    def call(*words: str, url: str = LEDGER, **more: str) -> Result:
        sys.modules.pop("leaky", None)
        importlib.invalidate_caches()
        environment = {"CRONLEDGER_DATABASE_URL": url} | CANARIES | more
        return run_cli("--config", "config.yaml", "--app", "leaky", *words, env=environment)

    yield call
    sys.modules.pop("leaky", None)


def exported() -> str:
    """Return the whole ledger of the current folder."""
    store = opened(LEDGER)
    try:
        return "".join(line.decode() for line in export(store.ledger))
    finally:
        store.close()


def told(folder: Path) -> str:
    """Return every file that was left behind, whatever is in it, but for what we wrote ourselves."""
    files = [each for each in folder.rglob("*") if each.is_file() and "leaky" not in each.name]
    return "".join(each.read_bytes().decode(errors="replace") for each in files)


def canaries_in(text: str) -> list[str]:
    return [value for value in CANARIES.values() if value in text or value.removeprefix("https://") in text]


def test_no_secret_is_in_the_ledger_a_log_an_output_or_a_file(folder: Path, program: Program) -> None:
    """Item 1: everything is run, and each answer searched for each canary."""
    up = program("--log-level", "debug", "up", "--for", "3s")
    answers = [up]
    for form in ("table", "json"):
        answers += [program("-o", form, *words) for words in READING[:: 2 if form == "json" else 1]]
    answers.append(program("infra", "jobs", "run", "notify", "--local"))
    ledger = exported()
    outputs = "".join(each.stdout + each.stderr for each in answers)

    assert "404 for ***" in ledger
    assert "405 for  or ***" in ledger
    assert "bytes, shortened to" in ledger
    assert "https://" not in ledger.replace("https://chat.example.org", "")
    assert "not revealed" not in ledger
    assert "used x-***, ***" in ledger
    assert "posting to ***" in up.stderr
    assert "${env:HOOK}" in ledger
    assert [] == canaries_in(ledger + outputs + told(folder))
    assert "Traceback" not in outputs


def test_a_failing_login_tells_no_password(program: Program, postgres_server: Server) -> None:
    """Item 1: a server that is not there, one that refuses, a URL that cannot be read, and secret options."""
    secret = "canary-ledger-8e1b"
    there = postgres_server.url_of("no_such_database").replace("postgres@", f"postgres:{secret}@")
    urls = [
        f"postgresql://ann:{secret}@127.0.0.1:1/jobs",
        f"postgresql://ann:{secret}@127.0.0.1:1/jobs?sslpassword={secret}&passfile={secret}",
        there,
        there.replace("postgres:", "nobody:"),
        f"postgresql://ann:{secret}@[",
        f"postgresql://ann:{secret}@127.0.0.1:not-a-port/jobs",
        f"mysql://ann:{secret}@127.0.0.1/jobs",
        f"postgresql://ann:{secret}@127.0.0.1:1/jobs?no_such_option={secret}",
    ]
    commands = (
        ["up", "--for", "1s"],
        ["doctor"],
        ["-o", "json", "infra", "jobs", "status"],
        ["db", "upgrade"],
    )
    answers = [program("--log-level", "debug", *words, url=url) for url in urls for words in commands]

    assert [] == [each for each in answers if secret in each.stdout + each.stderr]
    assert [] == [each for each in answers if "Traceback" in each.stderr]
    assert {2, 6} == {each.exit_code for each in answers}


def test_a_secret_file_is_read_and_not_told(folder: Path, program: Program) -> None:
    """Items 1 and 2: the file form of a reference."""
    (folder.parent / "hook").write_text(CANARIES["HOOK"] + "\n")
    (folder / "config.yaml").write_text(CONFIG.replace("${env:HOOK}", "${env:FILED}"))
    answer = program("infra", "jobs", "run", "notify", "--local", FILED_FILE=str(folder.parent / "hook"))

    assert 1 == answer.exit_code
    assert "404 for ***" in answer.stdout
    assert [] == canaries_in(answer.stdout + answer.stderr)


def test_a_rotated_secret_is_seen_at_once_and_changes_no_definition(folder: Path, program: Program) -> None:
    """Item 2: digests and definitions are over the reference."""
    for value in ("first-value", "second-value"):
        (folder / "leaky.py").write_text(LEAKY.format(expected=value))
        assert 0 == program("up", "--for", "2s", HOOK=value).exit_code
    ledger = exported()

    assert "not revealed" not in ledger
    assert 0 == ledger.count("job.redefined")
    assert 1 == ledger.count('"config.applied"')


def test_a_secret_that_is_not_set_fails_the_run_and_names_the_variable(
    folder: Path, program: Program
) -> None:
    """Item 2: it is looked up when it is used, and not before."""
    (folder / "config.yaml").write_text(CONFIG.replace("${env:HOOK}", "${env:NOT_SET_ANYWHERE}"))
    loads = program("config", "check")
    answer = program("infra", "jobs", "run", "notify", "--local")

    assert 0 == loads.exit_code
    assert 1 == answer.exit_code
    assert "NOT_SET_ANYWHERE" in answer.stdout


def test_a_parameter_of_a_manual_run_is_never_looked_up(folder: Path, program: Program) -> None:
    """Item 2: who may start a run may not read the environment by it."""
    answer = program("infra", "jobs", "run", "notify", "--local", "-p", "webhook=${env:UNRELATED_SECRET}")

    assert 1 == answer.exit_code
    assert CANARIES["UNRELATED_SECRET"] not in answer.stdout + answer.stderr + told(folder)
