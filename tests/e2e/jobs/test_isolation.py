"""Jobs with a process of their own: the same results, and an end that nobody can refuse."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cronledger import Scheduler
from cronledger.cancelling import request as ask_to_stop
from cronledger.domain.events import Actor
from cronledger.domain.ids import RunId
from cronledger.domain.run import RunState
from cronledger.ledger.logs import Wanted
from cronledger.manual import Request, definition_of, trigger
from cronledger.projections import log_lines
from tests.checker import ENDS, problems
from tests.conftest import lines_of, opened
from tests.e2e.jobs.nursery import Child, Nursery
from tests.waiting import eventually, eventually_within

APP = "tests.e2e.jobs.apart"
UP = ("--app", APP, "up")
DRAIN_SECONDS = 1
SECRET = "s3cret-hook"


def configured(folder: Path, url: str, *jobs: dict[str, Any]) -> Scheduler:
    """Write a configuration and return a scheduler that reads it."""
    listed = [{"extension": "apart", "schedule": "", **each} for each in jobs]
    settings = {
        "application": {
            "database_url": f"sqlite:///{folder / 'app.db'}",
            "sender": "me",
            "hook": "${env:HOOK}",
            "unset": "${env:NOT_SET_ANYWHERE}",
        },
        "scheduler": {"drain_seconds": DRAIN_SECONDS, "jobs": listed},
    }
    (folder / "config.yaml").write_bytes(msgspec.json.encode(settings))
    return Scheduler(database_url=url, config=folder / "config.yaml", app=[APP])


def performed(scheduler: Scheduler, name: str, **parameters: str) -> RunState:
    """Perform a job here, in a process of its own."""
    (run,) = asyncio.run(
        scheduler.run_manually([name], parameters=parameters, actor="test", local=True, timeout=30)
    )
    return run


def asked_for(scheduler: Scheduler, url: str, name: str, **parameters: str) -> RunId:
    """Trigger a run that an instance shall perform."""
    store = opened(url)
    request = Request(definition_of(scheduler.resolution, name), dict(parameters), "test")
    run_id = trigger(store, request, scheduler.clock, scheduler.entropy)
    store.close()
    return run_id


def ended(url: str, job: str) -> list[dict[str, Any]]:
    return [line for line in lines_of(url) if line["type"] in ENDS and line["job"] == job]


def pids(folder: Path) -> list[int]:
    """Return the processes that a job has noted, as soon as it has."""
    path = folder / "pids"
    assert eventually_within(30, lambda: path.exists() and path.read_text())
    return [int(word) for word in path.read_text().split()]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped by somebody else does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def are_gone(started: list[int]) -> bool:
    """Whether processes have ended, or do soon: one that was killed has to get its turn for that."""
    return eventually(lambda: not any(map(is_alive, started)))


def come_up(nursery: Nursery, folder: Path, url: str) -> Child:
    child = nursery.start(folder, url, *UP)
    assert eventually_within(30, lambda: [e for e in lines_of(url) if e["type"] == "leader.elected"])
    return child


def test_a_job_has_all_that_others_have(
    sql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", SECRET)
    scheduler = configured(tmp_path, sql_url, {"name": "everything", "enforce": False})
    run = performed(scheduler, "everything", days="7", folder=str(tmp_path))
    facts = msgspec.json.decode((tmp_path / "facts.json").read_bytes())
    started_with = facts.pop("environment") + facts.pop("words")
    store = opened(sql_url)
    lines = [
        (line.level, line.step, line.message.partition("\n")[0])
        for line in log_lines.oldest_first(store, Wanted(run_id=run.run_id))
        if line.logger == "cronledger.jobs.everything"
    ]
    store.close()
    steps = [
        (line["type"], line["body"]["name"]) for line in lines_of(sql_url) if line["type"].startswith("step.")
    ]

    assert ("succeeded", "done", 6, 1) == (run.outcome, run.message, run.items_processed, run.items_failed)
    assert facts.pop("pid") != os.getpid()
    assert {
        "id": run.run_id,
        "cause": "manual",
        "days": 7,
        "enforce": False,
        "key": f"run-{run.run_id}",
        "cancelled": False,
        "sender": "me",
        "hook": SECRET,
        "variable": SECRET,
    } == facts
    assert SECRET not in started_with
    assert run.run_id in started_with
    assert [
        ("step.started", "add"),
        ("step.succeeded", "add"),
        ("step.started", "block"),
        ("step.succeeded", "block"),
        ("step.skipped", "third"),
    ] == steps
    assert [("INFO", "block", "in a block, with ***"), ("ERROR", None, "caught")] == lines


@pytest.mark.parametrize(
    ("name", "outcome", "words"),
    [
        ("configured", "succeeded", "a word"),
        ("lines", "succeeded", "2 steps succeeded, 0 failed"),
        ("database", "succeeded", "42"),
        ("fails", "failed", "LookupError: nothing there"),
        ("bad_steps", "partial", "3 steps failed"),
        ("same_name", "failed", "DuplicateStep: this run already has a step 'one'"),
        ("service", "failed", "NotIsolated: service tests.e2e.jobs.apart.Limits is not there"),
        ("crash", "failed", "the process of the run was ended by SIGSEGV (signal 11)"),
        ("leave", "failed", "the process of the run ended by itself with exit code 17"),
        ("garbage", "failed", "the process of the run sent what cannot be read"),
    ],
)
def test_a_run_says_how_it_came_out(
    name: str, outcome: str, words: str, sqlite_url: str, tmp_path: Path
) -> None:
    run = performed(configured(tmp_path, sqlite_url), name)

    assert outcome == run.outcome
    assert (run.error or run.message or "").startswith(words)


def test_its_steps_tell_what_was_raised_as_those_of_other_runs_do(sqlite_url: str, tmp_path: Path) -> None:
    performed(configured(tmp_path, sqlite_url), "bad_steps")
    errors = [line["body"]["error"] for line in lines_of(sqlite_url) if line["type"] == "step.failed"]

    assert ["OSError: in the call", "OSError: in the block", "unserialisable"] == [
        errors[0],
        errors[1],
        errors[2].partition(":")[0],
    ]


def test_an_attempt_that_dies_is_tried_again_and_finds_its_steps(sql_url: str, tmp_path: Path) -> None:
    retry = {"max_attempts": 2, "backoff_seconds": 0.01, "jitter": False}
    run = performed(configured(tmp_path, sql_url, {"name": "twice", "retry": retry}), "twice")

    assert ("succeeded", "again", 2) == (run.outcome, run.message, run.attempt)


def test_an_entry_may_ask_for_a_process(sqlite_url: str, tmp_path: Path) -> None:
    scheduler = configured(
        tmp_path,
        sqlite_url,
        {"name": "apart", "job": "ordinary", "isolation": "process"},
        {"name": "here", "job": "ordinary"},
        {"name": "back", "job": "configured", "isolation": "thread"},
    )
    apart, here = (performed(scheduler, name) for name in ("apart", "here"))
    isolation = {each.name: each.isolation.value for each in scheduler.resolution.definitions}

    assert str(os.getpid()) == here.message
    assert str(os.getpid()) != apart.message
    assert ("process", "thread", "thread") == (isolation["apart"], isolation["here"], isolation["back"])  # type: ignore[index]
    assert "code" == scheduler.resolution.origins["crash"]["isolation"]  # type: ignore[index]


def test_code_that_holds_its_interpreter_blocks_nobody(
    sql_url: str, tmp_path: Path, nursery: Nursery
) -> None:
    """The leader goes on leading while C code of a job runs, and kills it when its time is up."""
    scheduler = configured(
        tmp_path,
        sql_url,
        {"name": "hold_the_interpreter", "timeout_seconds": 8},
        {"name": "quick", "schedule": "* * * * * *"},
    )
    child = come_up(nursery, tmp_path, sql_url)
    asked_for(scheduler, sql_url, "hold_the_interpreter")
    has_ended = eventually_within(40, lambda: ended(sql_url, "hold_the_interpreter"))
    child.signal(signal.SIGTERM)
    code = child.wait(20)
    lines = lines_of(sql_url)
    began, over = (
        next(msgspec.convert(each["recorded_at"], datetime) for each in lines if _is(each, kind))
        for kind in ("run.started", "run.timed_out")
    )
    meanwhile = [
        each
        for each in lines
        if each["type"] == "run.succeeded" and began < msgspec.convert(each["recorded_at"], datetime) < over
    ]

    assert has_ended, child.log.read_text()
    assert 0 == code
    assert [] == problems(lines, all_ended=False)
    assert len(meanwhile) >= 5
    assert 1 == len([each for each in lines if each["type"] == "leader.elected"])
    assert [] == [each for each in lines if each["type"] == "engine.loop_blocked"]
    assert "threads or coroutines run code" not in child.log.read_text()


def _is(line: dict[str, Any], kind: str) -> bool:
    return line["type"] == kind and line["job"] == "hold_the_interpreter"


def test_a_cancelled_run_leaves_nothing_behind(sqlite_url: str, tmp_path: Path, nursery: Nursery) -> None:
    scheduler = configured(tmp_path, sqlite_url)
    come_up(nursery, tmp_path, sqlite_url)
    run_id = asked_for(scheduler, sqlite_url, "with_a_child", folder=str(tmp_path))
    started = pids(tmp_path)
    lived = [is_alive(pid) for pid in started]
    store = opened(sqlite_url)
    ask_to_stop(store, run_id, Actor.operator("test"), "enough")
    store.close()
    has_ended = eventually_within(20, lambda: ended(sqlite_url, "with_a_child"))

    assert [True, True] == lived
    assert has_ended
    assert "run.cancelled" == ended(sqlite_url, "with_a_child")[0]["type"]
    assert are_gone(started)


def test_code_that_looks_may_tidy_up(sqlite_url: str, tmp_path: Path, nursery: Nursery) -> None:
    scheduler = configured(tmp_path, sqlite_url)
    come_up(nursery, tmp_path, sqlite_url)
    run_id = asked_for(scheduler, sqlite_url, "tidies_up", folder=str(tmp_path))
    (started,) = pids(tmp_path)
    os.kill(started, signal.SIGTERM)  # as a service manager does to all processes of an instance that drains
    stopped_early = eventually_within(1, (tmp_path / "tidied").exists)
    store = opened(sqlite_url)
    ask_to_stop(store, run_id, Actor.operator("test"), "enough")
    store.close()
    has_ended = eventually_within(20, lambda: ended(sqlite_url, "tidies_up"))

    assert has_ended
    assert not stopped_early
    assert (tmp_path / "tidied").exists()
    assert are_gone([started])


def test_what_a_job_has_left_goes_with_its_run(sqlite_url: str, tmp_path: Path) -> None:
    run = performed(configured(tmp_path, sqlite_url), "leaves_a_thread", folder=str(tmp_path))

    assert "succeeded" == run.outcome
    assert are_gone(pids(tmp_path))


def test_a_drain_kills_what_does_not_stop(sqlite_url: str, tmp_path: Path, nursery: Nursery) -> None:
    scheduler = configured(tmp_path, sqlite_url)
    child = come_up(nursery, tmp_path, sqlite_url)
    asked_for(scheduler, sqlite_url, "deaf")
    asked_for(scheduler, sqlite_url, "with_a_child", folder=str(tmp_path))
    started = pids(tmp_path)
    child.signal(signal.SIGTERM)
    code = child.wait(DRAIN_SECONDS + 15)
    lines = lines_of(sqlite_url)

    assert 0 == code, child.log.read_text()
    assert are_gone(started)
    assert ["run.cancelled"] == [each["type"] for each in lines if each["type"] in ENDS]
    assert ["with_a_child"] == [each["job"] for each in lines if each["type"] == "attempt.interrupted"]
    assert "instance.stopped" == lines[-1]["type"]


def test_a_process_does_not_outlive_its_instance(sqlite_url: str, tmp_path: Path, nursery: Nursery) -> None:
    scheduler = configured(tmp_path, sqlite_url)
    child = come_up(nursery, tmp_path, sqlite_url)
    asked_for(scheduler, sqlite_url, "with_a_child", folder=str(tmp_path))
    started, program = pids(tmp_path)
    lived = is_alive(started)
    child.signal(signal.SIGKILL)

    assert lived
    assert are_gone([started])
    with suppress(ProcessLookupError):  # it is gone as well if the closed socket was noticed first
        os.kill(program, signal.SIGKILL)
