"""Repeating a run on every database: what is taken over, what is done anew, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cronledger import Scheduler
from cronledger.domain.events import Actor, Cause, Event, RunTriggered
from cronledger.domain.ids import JobName, RunId, manual_run, run_stream
from cronledger.ledger.api import Write
from cronledger.ledger.database import Store
from tests import repeated_jobs
from tests.checker import problems
from tests.cli_runner import Result, run_cli
from tests.conftest import lines_of

Cli = Callable[..., Result]


@pytest.fixture
def cli(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Return the program on a fresh ledger, in an empty folder, with the code of a bakery."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    env = {"CRONLEDGER_DATABASE_URL": ledger_url, "CRONLEDGER_APP": repeated_jobs.APP}
    return lambda *args, **more: run_cli(*args, env=env | more.pop("env", {}), **more)


@pytest.fixture
def failed(cli: Cli) -> RunId:
    """Return a run that has failed in the last of its three steps."""
    repeated_jobs.begin("heat")
    (run,) = cli("jobs", "run", "bake", "-p", "flour=rye", "--json").json["runs"]
    repeated_jobs.begin()
    return RunId(run["run_id"])


def test_a_retry_is_a_new_run_that_does_what_is_left(cli: Cli, failed: RunId, ledger_url: str) -> None:
    result = cli("runs", "retry", failed, "--reason", "oven is back", "--json")
    (run,) = result.json["runs"]
    shown = cli("runs", "show", run["run_id"], "--json").json
    (ctx,) = repeated_jobs.seen

    assert (0, f"{failed}!retry-1", "succeeded") == (result.exit_code, run["run_id"], run["outcome"])
    assert ["heat"] == repeated_jobs.performed
    assert ["heat"] == [step["name"] for step in shown["steps"]]
    assert ("retry", failed, {"flour": "rye"}, "oven is back") == tuple(
        shown["run"][field] for field in ("cause", "of", "parameters", "reason")
    )
    assert run_stream(failed) == ctx.idempotency_key
    assert [] == problems(lines_of(ledger_url))


def test_each_retry_has_a_number_of_its_own_and_a_retry_can_be_repeated(cli: Cli, failed: RunId) -> None:
    """A retry of a retry repeated the steps that the first run had finished."""
    repeated_jobs.begin("heat")
    first = cli("runs", "retry", failed, "--json")
    second = cli("runs", "retry", failed, "--json")
    repeated_jobs.begin()
    third = cli("runs", "retry", f"{failed}!retry-1", "--json")

    assert [1, 1, 0] == [each.exit_code for each in (first, second, third)]
    assert [f"{failed}!retry-1", f"{failed}!retry-2", f"{failed}!retry-1!retry-1"] == [
        each.json["runs"][0]["run_id"] for each in (first, second, third)
    ]
    assert ["heat"] == repeated_jobs.performed
    assert run_stream(failed) == repeated_jobs.seen[0].idempotency_key


def test_a_retry_from_a_step_does_it_and_all_that_began_after_it_anew(cli: Cli, failed: RunId) -> None:
    repeated_jobs.begin("heat")
    cli("runs", "retry", failed, "--from-step", "knead")
    anew = list(repeated_jobs.performed)
    shown = cli("runs", "show", f"{failed}!retry-1", "--json").json["run"]
    repeated_jobs.begin()
    cli("runs", "retry", f"{failed}!retry-1")

    assert ("knead", failed) == (shown["from_step"], shown["of"])
    assert ["knead", "heat"] == anew
    assert ["heat"] == repeated_jobs.performed


def test_a_living_instance_performs_the_retry(cli: Cli, failed: RunId, ledger_url: str) -> None:
    """Also where the code is not at hand to whoever asks for it."""
    with Scheduler(database_url=ledger_url, jobs=[repeated_jobs.bake], instance="baker").background():
        result = cli("runs", "retry", failed, "--json", env={"CRONLEDGER_APP": ""})
        instance = cli("runs", "show", f"{failed}!retry-1", "--json").json["run"]["instance"]

    assert (0, 1) == (result.exit_code, result.json["succeeded"])
    assert instance.startswith("baker.")


def test_a_retry_need_not_be_waited_for(cli: Cli, failed: RunId, ledger_url: str) -> None:
    with Scheduler(database_url=ledger_url, jobs=[repeated_jobs.bake]).background():
        result = cli("runs", "retry", failed, "--no-wait", "--json")

    assert (0, f"{failed}!retry-1") == (result.exit_code, result.json["runs"][0]["run_id"])


REFUSED = [
    (["--from-step", "eat"], 3, "its steps are: mix, knead, heat"),
    (["--timeout", "soon"], 2, "'soon' is not a duration"),
]


@pytest.mark.parametrize(("args", "code", "says"), REFUSED, ids=str)
def test_what_cannot_be_repeated_is_refused_and_leaves_nothing(
    cli: Cli, failed: RunId, args: list[str], code: int, says: str
) -> None:
    before = cli("ledger", "stats", "--json").json["events"]
    result = cli("runs", "retry", failed, *args)

    assert (code, True) == (result.exit_code, says in result.stderr)
    assert before == cli("ledger", "stats", "--json").json["events"]


def test_a_run_whose_job_nobody_provides_is_not_repeated(cli: Cli, failed: RunId) -> None:
    result = cli("runs", "retry", failed, env={"CRONLEDGER_APP": ""})

    assert 3 == result.exit_code
    assert "no living instance provides it" in result.stderr


def test_a_run_that_has_not_ended_is_not_repeated_and_stands_in_the_way(
    cli: Cli, failed: RunId, store: Store
) -> None:
    other = manual_run(JobName("bake"), "0001")
    begun = Event(
        body=RunTriggered(),
        actor=Actor.operator("ann"),
        job=JobName("bake"),
        run_id=other,
        cause=Cause.MANUAL,
    )
    store.ledger.append(Write(run_stream(other), (begun,)))
    unfinished, in_the_way = cli("runs", "retry", other), cli("runs", "retry", failed)

    assert (4, 4) == (unfinished.exit_code, in_the_way.exit_code)
    assert "has not ended: it is waiting" in unfinished.stderr
    assert "is already running as bake!0001" in in_the_way.stderr


# --- comparing ------------------------------------------------------------------------------------------


def test_two_runs_are_compared_field_by_field_and_step_by_step(cli: Cli, failed: RunId) -> None:
    cli("runs", "retry", failed)
    document = cli("runs", "diff", failed, f"{failed}!retry-1", "--json").json
    found = {each["field"]: (each["left"], each["right"]) for each in document["differences"]}

    assert (failed, f"{failed}!retry-1", False) == tuple(
        document[field] for field in ("left", "right", "same")
    )
    assert ("manual", "retry") == found["cause"]
    assert ("failed", "succeeded") == found["outcome"]
    assert ("StepFailed: step 'heat' failed: OSError: heat is broken", None) == found["error"]
    assert ("failed", "succeeded") == found["steps.heat.outcome"]
    assert ("succeeded", None) == found["steps.mix.outcome"]
    assert "parameters.flour" not in found


def test_parameters_are_compared_by_name(cli: Cli, failed: RunId) -> None:
    (run,) = cli("jobs", "run", "bake", "-p", "flour=wheat", "--json").json["runs"]
    result = cli("runs", "diff", failed, run["run_id"])

    assert "parameters.flour\trye\twheat" in result.stdout.splitlines()


def test_a_run_does_not_differ_from_itself(cli: Cli, failed: RunId) -> None:
    result = cli("runs", "diff", failed, failed, terminal=True)

    assert (0, "The runs do not differ.\n") == (result.exit_code, result.stdout)
    assert True is cli("runs", "diff", failed, failed, "--json").json["same"]


def test_runs_are_compared_as_they_stood_at_a_moment(cli: Cli, failed: RunId) -> None:
    result = cli("runs", "diff", failed, f"{failed}!retry-1", "--as-of", "position:1")

    assert 3 == result.exit_code
