"""One job's trouble is its own: whatever code does, its run ends once, and everything else goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cronledger import Scheduler
from cronledger.ledger import instances
from cronledger.manual import Request, definition_of, trigger
from tests.checker import ENDS, problems, triggered
from tests.conftest import lines_of, opened
from tests.e2e.jobs.hostile import RAISED
from tests.e2e.jobs.nursery import ROOT, Child, Nursery
from tests.waiting import eventually_within

UP = ("--app", "tests.e2e.jobs.hostile", "up")
DRAIN_SECONDS = 2
LEASE_SECONDS = 10
QUICK = {"name": "quick", "extension": "hostile", "schedule": "* * * * * *"}


def configure(folder: Path, *jobs: dict[str, Any]) -> Scheduler:
    """Write a configuration; return a scheduler that reads it too."""
    listed = [{"extension": "hostile", "schedule": "", **each} for each in (*jobs, QUICK)]
    settings = {"scheduler": {"drain_seconds": DRAIN_SECONDS, "jobs": listed}}
    (folder / "config.yaml").write_bytes(msgspec.json.encode(settings))
    return Scheduler(config=folder / "config.yaml", app=["tests.e2e.jobs.hostile"])


def ask_for(scheduler: Scheduler, url: str, *names: str) -> None:
    """Trigger a run of each job."""
    store = opened(url)
    for name in names:
        request = Request(definition_of(scheduler.resolution, name), {}, "test")
        trigger(store, request, scheduler.clock, scheduler.entropy)
    store.close()


def ends(lines: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """Count how runs ended, by job."""
    return Counter((line["job"], line["type"]) for line in lines if line["type"] in ENDS)


def states(url: str) -> list[str]:
    """Return how the instances stand: one that is ready contends for leadership as well."""
    store = opened(url)
    with store.reading() as connection:
        found = [each.state for each in instances.known(connection)]
    store.close()
    return found


def dead_or(child: Child, holds: Callable[[], bool]) -> bool:
    """Wait until a process has died or something holds."""
    return eventually_within(40, lambda: child.status is not None or holds())


def stopped(child: Child, within: float) -> int | None:
    """Send SIGTERM; return the exit code."""
    child.signal(signal.SIGTERM)
    return child.wait(within)


def test_whatever_a_job_raises_ends_its_run_once(sqlite_url: str, tmp_path: Path, nursery: Nursery) -> None:
    """Fault 72."""
    configure(
        tmp_path,
        *(
            {"name": f"{name}_{place[6:]}", "job": place, "parameters": {"raises": name}}
            for name in RAISED
            for place in ("raise_async", "raise_in_a_thread")
        ),
    )
    child = nursery.start(tmp_path, sqlite_url, *UP)

    def hostile_ends() -> Counter[tuple[str, str]]:
        found = ends(lines_of(sqlite_url))
        return Counter({key: count for key, count in found.items() if key[0] != "quick"})

    all_ended = eventually_within(60, lambda: hostile_ends().total() == 2 * len(RAISED), pause_seconds=0.5)
    fired = len(triggered(lines_of(sqlite_url), "quick"))
    goes_on = eventually_within(20, lambda: len(triggered(lines_of(sqlite_url), "quick")) > fired + 1)
    exit_code = stopped(child, 20)
    lines = lines_of(sqlite_url)

    assert all_ended, child.log.read_text()
    assert goes_on, child.log.read_text()
    assert 0 == exit_code
    assert [] == problems(lines)
    assert {"run.failed"} == {kind for _, kind in hostile_ends()}


def test_a_job_that_meddles_with_its_task_costs_only_itself(
    sqlite_url: str, tmp_path: Path, nursery: Nursery
) -> None:
    meddlers = {
        "cancel_own_task": "run.succeeded",
        "cancel_own_task_and_wait": "run.failed",
        "leave_a_scope_open": "run.failed",
    }
    configure(tmp_path, *({"name": name} for name in meddlers))
    child = nursery.start(tmp_path, sqlite_url, *UP)

    def outcomes() -> dict[str, str]:
        return {name: kind for name, kind in ends(lines_of(sqlite_url)) if name in meddlers}

    all_ended = eventually_within(30, lambda: len(outcomes()) == len(meddlers))
    exit_code = stopped(child, 20)

    assert all_ended, child.log.read_text()
    assert meddlers == outcomes()
    assert 0 == exit_code
    assert [] == problems(lines_of(sqlite_url))


def test_code_that_does_not_stop_is_left_behind_and_the_drain_ends(
    sqlite_url: str, tmp_path: Path, nursery: Nursery
) -> None:
    """Faults 56, 68, 72: at the deadline of a run, and at that of the drain."""
    stubborn = ("thread_for_ever", "thread_of_its_own_for_ever", "deaf", "hang_in_finally")
    configure(
        tmp_path,
        *({"name": f"timed_{name}", "job": name, "timeout_seconds": 1} for name in stubborn),
        *({"name": name} for name in (*stubborn, "thread_that_drains")),
    )
    child = nursery.start(tmp_path, sqlite_url, *UP)
    timed_out = eventually_within(
        60, lambda: sum(kind == "run.timed_out" for _, kind in ends(lines_of(sqlite_url))) == len(stubborn)
    )
    fired = len(triggered(lines_of(sqlite_url), "quick"))
    goes_on = eventually_within(20, lambda: len(triggered(lines_of(sqlite_url), "quick")) > fired + 1)
    began = time.monotonic()
    exit_code = stopped(child, 30)
    took = time.monotonic() - began
    lines = lines_of(sqlite_url)
    left = [line for line in lines if line["type"] == "run.cancelled"]

    assert timed_out, child.log.read_text()
    assert goes_on, child.log.read_text()
    assert 0 == exit_code, child.log.read_text()
    assert took < DRAIN_SECONDS + 15
    assert [] == problems(lines, all_ended=False)
    assert sorted(stubborn) == sorted(line["job"] for line in left)
    assert {"drain"} == {line["body"]["reason"] for line in left}
    assert ["thread_that_drains"] == [line["job"] for line in lines if line["type"] == "attempt.interrupted"]
    assert "instance.stopped" == lines[-1]["type"]
    assert "threads or coroutines run code whose run has ended" in child.log.read_text()


def test_code_that_fails_when_it_is_told_to_stop_has_been_stopped_all_the_same(
    sqlite_url: str, tmp_path: Path, nursery: Nursery
) -> None:
    """Why it was told to is what counts: `retry` may be for time-outs, and a drained run is handed back."""
    timed = {"name": "timed", "job": "raise_in_finally", "timeout_seconds": 1}
    configure(tmp_path, timed, {"name": "raise_in_finally"})
    child = nursery.start(tmp_path, sqlite_url, *UP)
    timed_out = eventually_within(60, lambda: ends(lines_of(sqlite_url))["timed", "run.timed_out"] == 1)
    exit_code = stopped(child, 30)
    lines = [line for line in lines_of(sqlite_url) if line["job"] in ("timed", "raise_in_finally")]
    (late,) = [line["body"]["error"] for line in lines if line["type"] == "run.timed_out"]

    assert timed_out, child.log.read_text()
    assert 0 == exit_code, child.log.read_text()
    assert "took longer than timeout_seconds (1); then it failed: OSError: could not tidy up" == late
    assert ["raise_in_finally"] == [line["job"] for line in lines if line["type"] == "attempt.interrupted"]
    assert [] == [line for line in lines if line["type"] == "run.failed"]


def command(folder: Path, url: str, *words: str) -> list[str]:
    """Return the words of a command that has the jobs."""
    config = ("--config", str(folder / "config.yaml"), "--database-url", url)
    return [sys.executable, "-m", "cronledger", *config, *UP[:2], *words]


def performed(folder: Path, url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Let a command perform a run itself."""
    return subprocess.run(
        command(folder, url, *words, "--local"),
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_what_a_job_prints_is_no_part_of_an_answer(sqlite_url: str, tmp_path: Path) -> None:
    configure(tmp_path)
    done = performed(tmp_path, sqlite_url, "--json", "infra", "jobs", "run", "print_a_line")

    assert 0 == done.returncode, done.stderr
    assert 1 == json.loads(done.stdout)["succeeded"]
    assert {"one for the eye", "one past the interpreter"} <= set(done.stderr.splitlines())


@pytest.mark.parametrize(
    ("number", "begun_by"),
    [
        (signal.SIGTERM, []),
        (signal.SIGHUP, []),
        (signal.SIGTERM, ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]),
    ],
    ids=["SIGTERM", "SIGHUP", "SIGTERM where a shell has begun it in the background"],
)
def test_a_command_that_is_told_to_end_ends_the_runs_that_it_performs(
    sqlite_url: str, tmp_path: Path, number: signal.Signals, begun_by: list[str]
) -> None:
    """One that stayed behind kept its job from running until an instance came up."""
    configure(tmp_path)
    words = command(tmp_path, sqlite_url, "infra", "jobs", "run", "thread_that_drains", "--local")
    child = subprocess.Popen([*begun_by, *words], cwd=ROOT)
    has_begun = eventually_within(
        30, lambda: "run.started" in [line["type"] for line in lines_of(sqlite_url)]
    )
    child.send_signal(number)
    exit_code = child.wait(30)

    assert has_begun
    assert 130 == exit_code
    assert ["run.triggered", "run.started", "run.cancelled"] == [
        line["type"] for line in lines_of(sqlite_url) if line["run_id"]
    ]


def test_a_process_that_a_job_has_forked_ends_when_it_is_told_to(sqlite_url: str, tmp_path: Path) -> None:
    """It has our handlers of signals as well."""
    configure(tmp_path)
    done = performed(tmp_path, sqlite_url, "--json", "infra", "jobs", "run", "end_a_fork")

    assert 0 == done.returncode, done.stderr
    assert [str(-signal.SIGTERM)] == [run["message"] for run in json.loads(done.stdout)["runs"]]


def test_a_plain_function_that_never_ends_keeps_neither_its_instance_nor_a_command(
    sqlite_url: str, tmp_path: Path, nursery: Nursery
) -> None:
    """Where nothing else is left behind."""
    configure(tmp_path, {"name": "thread_for_ever", "timeout_seconds": 1})
    child = nursery.start(tmp_path, sqlite_url, *UP)
    timed_out = eventually_within(60, lambda: bool(ends(lines_of(sqlite_url))))
    exit_code = stopped(child, 30)

    assert timed_out, child.log.read_text()
    assert 0 == exit_code, child.log.read_text()

    done = performed(tmp_path, sqlite_url, "infra", "jobs", "run", "thread_for_ever")

    assert 1 == done.returncode, done.stderr
    assert "timed_out" in done.stdout


def test_a_job_that_kills_its_process_stops_after_its_recovery_attempts(
    sqlite_url: str, tmp_path: Path, nursery: Nursery
) -> None:
    """Faults 69, 70: idempotent and poisonous, and not idempotent."""
    poison = {"name": "poison", "job": "leave", "idempotent": True, "recovery_attempts": 2}
    scheduler = configure(tmp_path, poison, {"name": "crash"})
    ask_for(scheduler, sqlite_url, "poison", "crash")
    codes: list[int | None] = []
    for _ in range(6):
        child = nursery.start(tmp_path, sqlite_url, *UP)
        assert dead_or(child, lambda: ends(lines_of(sqlite_url))["poison", "run.lost"] > 0)
        if child.status is None:
            break
        codes.append(child.status)
    lives = eventually_within(20, lambda: ends(lines_of(sqlite_url))["quick", "run.succeeded"] >= 2)
    exit_code = stopped(child, 20)
    lines = lines_of(sqlite_url)
    types = Counter((line["job"], line["type"]) for line in lines)

    assert lives
    assert 0 == exit_code
    assert set(codes) <= {17, -signal.SIGSEGV}
    assert [] == problems(lines)
    assert 3 == types["poison", "run.started"]
    assert 2 == types["poison", "attempt.lost"]
    assert 1 == types["poison", "run.lost"]
    assert 1 == types["crash", "run.started"] == types["crash", "run.lost"]


@pytest.mark.parametrize("sink", ["a pipe that nobody reads", "a full disk", "closed"])
def test_an_instance_goes_on_when_nobody_takes_its_log(
    sink: str, sqlite_url: str, tmp_path: Path, nursery: Nursery
) -> None:
    """Fault 81."""
    log = tmp_path / "fifo"
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    scheduler = configure(tmp_path, {"name": "chatter"})
    if sink == "a full disk":
        log = Path("/dev/full")
    child = nursery.start(
        tmp_path, sqlite_url, *UP, log=log, environment={"CLOSE_STDERR": "1"} if sink == "closed" else {}
    )
    ask_for(scheduler, sqlite_url, "chatter")
    chatted = eventually_within(40, lambda: ends(lines_of(sqlite_url))["chatter", "run.succeeded"])
    fired = ends(lines_of(sqlite_url))["quick", "run.succeeded"]
    goes_on = eventually_within(20, lambda: ends(lines_of(sqlite_url))["quick", "run.succeeded"] > fired + 1)
    exit_code = stopped(child, 20)
    os.close(reader)

    assert chatted
    assert goes_on
    assert 0 == exit_code
    assert [] == problems(lines_of(sqlite_url))


def test_a_leader_under_load_that_is_told_to_stop_hands_over_at_once(
    sqlite_url: str, tmp_path: Path, nursery: Nursery
) -> None:
    """Fault 55."""
    configure(tmp_path, *({**QUICK, "name": f"quick_{number}", "job": "quick"} for number in range(30)))
    first = nursery.start(tmp_path, sqlite_url, "--instance", "first", *UP)
    assert eventually_within(20, lambda: triggered(lines_of(sqlite_url)))
    second = nursery.start(tmp_path, sqlite_url, "--instance", "second", *UP)
    assert eventually_within(20, lambda: ["ready", "ready"] == states(sqlite_url))
    exit_code = stopped(first, 20)
    fired = ends(lines_of(sqlite_url)).total()
    goes_on = eventually_within(20, lambda: ends(lines_of(sqlite_url)).total() > fired + 30)
    last_code = stopped(second, 20)
    lines = lines_of(sqlite_url)
    resigned = next(line for line in lines if line["type"] == "leader.resigned")
    successor = [line for line in lines if line["type"] == "leader.elected"][1]
    gap = msgspec.convert(successor["recorded_at"], datetime) - msgspec.convert(
        resigned["recorded_at"], datetime
    )

    assert (0, 0) == (exit_code, last_code)
    assert goes_on
    assert [] == problems(lines)
    assert gap.total_seconds() < 2


@pytest.mark.nightly
def test_a_leader_whose_interpreter_is_held_is_replaced_when_its_lease_ends(
    sql_url: str, tmp_path: Path, nursery: Nursery
) -> None:
    """Fault 67: not even the watchdog runs, so the lease or the idle session has to run out."""
    scheduler = configure(tmp_path, {"name": "hold_the_interpreter"})
    first = nursery.start(tmp_path, sql_url, "--instance", "first", *UP)
    assert eventually_within(20, lambda: triggered(lines_of(sql_url)))
    ask_for(scheduler, sql_url, "hold_the_interpreter")
    assert eventually_within(20, lambda: "hold_the_interpreter" in jobs_started(sql_url))
    second = nursery.start(tmp_path, sql_url, "--instance", "second", *UP)
    assert eventually_within(40, lambda: len(elected(sql_url)) > 1)
    fired = ends(lines_of(sql_url)).total()
    assert eventually_within(20, lambda: ends(lines_of(sql_url)).total() > fired + 1)
    assert eventually_within(60, lambda: "run.late_result" in {line["type"] for line in lines_of(sql_url)})
    codes = stopped(first, 60), stopped(second, 60)
    lines = lines_of(sql_url)

    assert (0, 0) == codes
    assert [] == problems(lines, all_ended=False)
    assert held_for(lines) < LEASE_SECONDS + 5


def elected(url: str) -> list[dict[str, Any]]:
    return [line for line in lines_of(url) if line["type"] == "leader.elected"]


def held_for(lines: list[dict[str, Any]]) -> float:
    """Return how long after the interpreter was taken somebody else led."""
    began = next(
        line for line in lines if line["type"] == "run.started" and line["job"] == "hold_the_interpreter"
    )
    successor = [line for line in lines if line["type"] == "leader.elected"][1]
    began_at, led_at = (msgspec.convert(line["recorded_at"], datetime) for line in (began, successor))
    return (led_at - began_at).total_seconds()


def jobs_started(url: str) -> set[str]:
    return {str(line["job"]) for line in lines_of(url) if line["type"] == "run.started"}
