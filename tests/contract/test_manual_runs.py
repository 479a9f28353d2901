"""Manual runs: parameters that fit before anything is triggered, and what a terminal shows."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from cronledger import JobContext, JobResult, Scheduler, job
from cronledger.cli.live import WIPE, draw, told
from cronledger.domain.ids import RunId
from cronledger.errors import Overlap, UsageError
from tests.cli_runner import Cli, Result, run_cli, tidy
from tests.conftest import lines_of, opened

CONFIG = """
scheduler:
  jobs:
    - {name: prune, extension: tests, schedule: "0 0 3 * * *", parameters: {room: attic}}
    - {name: stepped, extension: tests, schedule: "", overlap: queue}
"""


class Limits(msgspec.Struct):
    """Typed parameters."""

    room: str
    days: int = 30


@job(extension="tests", params=Limits)
def prune(ctx: JobContext) -> JobResult:
    """Say what arrived."""
    return JobResult.success().with_message(f"{ctx.params.room} {ctx.params.days!r}")


@job(extension="tests")
async def stepped(ctx: JobContext) -> None:
    """Have two steps, one of which does no harm by failing."""
    await ctx.step("fetch", lambda: 1)
    await ctx.step("store", _full, on_error="continue")


def _full() -> None:
    raise OSError("disk full")


Program = Callable[..., Result]


@pytest.fixture
def program(sql_url: str, tmp_path: Path) -> Program:
    """Give the command line."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    words = ("--database-url", sql_url, "--config", str(path), "--app", "tests.contract.test_manual_runs")
    return lambda *more, terminal=False: run_cli(*words, *more, terminal=terminal)


def test_a_parameter_arrives_as_its_type(program: Program, sql_url: str) -> None:
    result = program("jobs", "run", "prune", "-p", "days=7", "--json")
    (triggered,) = [line for line in lines_of(sql_url) if line["type"] == "run.triggered"]

    assert "attic 7" == result.json["runs"][0]["message"]
    assert {"days": 7} == triggered["body"]["parameters"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "prune", "-p", "days=seven"), "parameter 'days' of job 'prune' cannot be 'seven'"),
        (("run", "prune", "-p", "dais=7"), "job 'prune' has no parameter 'dais'"),
        (("run", "stepped", "prune", "-p", "dais=7"), "job 'prune' has no parameter 'dais'"),
        (
            ("backfill", "prune", "--from", "2026-01-01", "--to", "2026-01-02", "-p", "days=x"),
            "cannot be 'x': expected `int`, got `str`",
        ),
    ],
)
def test_nothing_is_triggered_with_what_does_not_fit(
    words: tuple[str, ...], message: str, program: Program, sql_url: str
) -> None:
    result = program("jobs", *words, "--json")

    assert (2, "usage") == (result.exit_code, result.error["code"])
    assert message in result.error["message"]
    assert "declared: room: str, days: int = 30" in result.error["hint"]
    assert [] == [line for line in lines_of(sql_url) if line["type"] == "run.triggered"]


def test_a_program_is_told_as_well(sql_url: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    scheduler = Scheduler(database_url=sql_url, config=tmp_path / "config.yaml", jobs=[prune, stepped])

    with pytest.raises(UsageError, match="has no parameter 'dais'"):
        asyncio.run(scheduler.trigger("prune", {"dais": 7}))
    with pytest.raises(UsageError, match="expected `int`, got `float`"):
        asyncio.run(scheduler.trigger("prune", {"days": 1.5}))
    asyncio.run(scheduler.trigger("prune", {"days": 7}))

    assert 1 == len([line for line in lines_of(sql_url) if line["type"] == "run.triggered"])


def test_a_job_that_queues_is_not_told_to_queue(sql_url: str, tmp_path: Path) -> None:
    """The refusal advised the policy that the job had already."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    scheduler = Scheduler(database_url=sql_url, config=tmp_path / "config.yaml", jobs=[prune, stepped])
    first, second = (asyncio.run(scheduler.trigger("stepped")) for _ in range(2))
    asyncio.run(scheduler.trigger("prune"))

    with pytest.raises(Overlap) as queued:
        asyncio.run(scheduler.trigger("stepped"))
    with pytest.raises(Overlap) as skipped:
        asyncio.run(scheduler.trigger("prune"))

    assert f"job 'stepped' is already running as {first}, and {second} waits" == queued.value.message
    assert ("stepped", first) == (queued.value.job, queued.value.in_the_way)
    assert (
        "wait for one to end, or set `overlap: allow` with `max_concurrent: 1` to let any number wait"
    ) == queued.value.hint
    assert "set `overlap: queue` or `overlap: allow`" in str(skipped.value.hint)


def test_a_living_instance_performs_what_has_no_code_here(cli: Cli, ledger_url: str) -> None:
    """The job was unknown, though `jobs list` showed it."""
    bare = {"CRONLEDGER_APP": ""}
    with Scheduler(database_url=ledger_url, jobs=[tidy], instance="house").background():
        named = cli("jobs", "run", "house:tidy", "-p", "room=attic", "--json", env=bare)
        tagged = cli("jobs", "run", "--tag", "nightly", "--json", env=bare)
        local = cli("jobs", "run", "tidy", "--local", "--json", env=bare)
    alone = cli("jobs", "run", "tidy", "--json", env=bare)

    assert (0, ["tidied attic"]) == (named.exit_code, [run["message"] for run in named.json["runs"]])
    assert (0, ["tidied all"]) == (tagged.exit_code, [run["message"] for run in tagged.json["runs"]])
    assert (3, "--local needs its code: name it with --app") == (local.exit_code, local.error["hint"])
    assert (3, "no living instance provides it: name its code with --app") == (
        alone.exit_code, alone.error["hint"],
    )  # fmt: skip


def test_a_terminal_shows_runs_and_steps_while_they_go_on(program: Program, sql_url: str) -> None:
    shown = program("jobs", "run", "stepped", terminal=True)
    piped = program("jobs", "run", "stepped")
    run_id = RunId(piped.stdout.splitlines()[1].split("\t")[0])
    store = opened(sql_url)
    stream = io.StringIO()
    draw(stream, store, [run_id] * 100)
    lines = [re.sub(r"\d+ s$", "N s", line) for line in told(store, [run_id])]
    store.close()

    assert shown.stderr.startswith(f"{WIPE}\n")
    assert shown.stderr.endswith(WIPE)
    assert "stepped!" in shown.stderr
    assert "OUTCOME" in shown.stdout
    assert WIPE not in piped.stderr
    assert [f"partial    {run_id}  N s", "  succeeded  fetch  N s", "  failed     store  N s"] == lines
    assert stream.getvalue().endswith("\n…\x1b[21A\r")
