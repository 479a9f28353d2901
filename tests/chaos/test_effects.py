"""The checks themselves: each finds what it is there for, and nothing in a good run."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.chaos.effects import Disturbance, Evidence, verdict

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
Line = dict[str, Any]


def moment(seconds: float) -> str:
    at = NOON + timedelta(seconds=seconds)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def good() -> Evidence:
    """Return what a leader leaves behind that has fired one job three times."""
    lines: list[Line] = []

    def add(kind: str, stream: str, at: float, **more: Any) -> int:
        version = 1 + sum(line["stream"] == stream for line in lines)
        plain = {"job": None, "run_id": None, "attempt": None, "fire_at": None, "cause": None, "term": None}
        position = len(lines) + 1
        lines.append(
            plain
            | {"position": position, "id": str(position), "stream": stream, "version": version, "type": kind}
            | {"recorded_at": moment(at), "instance": "a.7.b", "body": {}}
            | more
        )
        return position

    add("leader.elected", "leader", 0.0, term=1)
    body = {"definition": {"schedule": "* * * * * *", "idempotent": True}}
    add("job.registered", "job-j", 0.1, job="j", term=1, body=body)
    effects: list[Line] = []
    for second in (1, 2, 3):
        run = f"j@{second}"
        about = {"job": "j", "run_id": run, "fire_at": moment(second), "cause": "schedule"}
        add("run.triggered", f"run-{run}", second + 0.01, term=1, **about)
        fence = add("run.started", f"run-{run}", second + 0.01, attempt=1, **about)
        add("step.started", f"run-{run}", second + 0.02, attempt=1, **about, body={"name": "s"})
        for number, (what, step) in enumerate(
            [("start", None), ("step start", "s"), ("step end", "s"), ("end", None)]
        ):
            at = NOON.timestamp() + second + 0.02 + number / 1000
            mine = {"job": "j", "run_id": run, "attempt": 1, "fence": fence, "pid": 7, "boottime": at}
            effects.append(mine | {"what": what, "step": step})
        add("step.succeeded", f"run-{run}", second + 0.03, attempt=1, **about, body={"name": "s"})
        add("run.succeeded", f"run-{run}", second + 0.04, attempt=1, **about)
    final = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return Evidence(
        lines=lines,
        effects=effects,
        exports=[final[:200]],
        final=final,
        acknowledged=["j@1"],
        calm_position=99,
    )


def broken(evidence: Evidence) -> set[str]:
    return {name for name, found in verdict(evidence).items() if found}


def test_a_good_run_breaks_nothing() -> None:
    assert set() == broken(good())


def of(lines: list[Line], kind: str) -> Line:
    return next(line for line in lines if line["type"] == kind)


BREAKS: dict[str, Callable[[Evidence], object]] = {
    "L4": lambda run: setattr(run, "exports", [b"something else"]),
    "T5": lambda run: run.lines[7].update(fire_at=moment(0)),
    "R2": lambda run: run.lines.pop(),
    "R3": lambda run: run.lines.append(of(run.lines, "run.started") | {"attempt": 2}),
    "R5": lambda run: run.lines.append(
        of(run.lines, "run.started") | {"type": "run.late_result", "attempt": 2}
    ),
    "F2": lambda run: run.lines[2].update(instance="c.8.d"),
    "X1": lambda run: run.effects[0].update(fence=1),
    "X2": lambda run: run.effects[0].update(boottime=NOON.timestamp()),
    "X3": lambda run: run.effects.append(run.effects[0]),
    "X4": lambda run: run.effects.append(run.effects[0]),
    "X5": lambda run: run.effects.pop(3),
    "X steps": lambda run: run.effects.append(run.effects[1] | {"attempt": 2}),
    "M1": lambda run: setattr(run, "acknowledged", ["j@9"]),
    "D1": lambda run: setattr(run, "drains", ["it did not end"]),
}


@pytest.mark.parametrize("check", BREAKS)
def test_each_check_finds_what_it_is_there_for(check: str) -> None:
    run = good()
    BREAKS[check](run)

    assert check in broken(run)


def late() -> Evidence:
    run = good()
    for line in run.lines[7:]:
        line["recorded_at"] = moment(9.0)
    return run


def test_lateness_without_a_fault_is_a_violation() -> None:
    assert "T4" in broken(late())


def test_lateness_near_a_fault_is_excused_for_as_long_as_the_fault_may_last() -> None:
    run = late()
    run.disturbances = [Disturbance(NOON.timestamp() + 1, NOON.timestamp() + 7, "a fault")]
    short = late()
    short.disturbances = [Disturbance(NOON.timestamp() + 1, NOON.timestamp() + 4, "a fault")]

    assert "T4" not in broken(run)
    assert "T4" in broken(short)


def test_a_job_fires_only_while_it_is_switched_on() -> None:
    run = good()
    switch = of(run.lines, "job.registered") | {"type": "job.disabled", "recorded_at": moment(1.5)}
    run.lines.insert(7, switch)

    assert "T1b switched" in broken(run)
