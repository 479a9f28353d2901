"""What must hold of a run of several processes: its export, the exports on the way, and the jobs' own log.

The names are those of the fault matrix: L4 prefixes, T1b of a job that was switched, T4 lateness, T5 order,
R2 ends, R3 attempts, R5 late results, F2 whose terms, X1 to X5 effects, M1 manual runs. What needs the export
alone and no knowledge of faults stands in `tests.checker`. No code is shared with the engine.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from croniter import croniter

from tests.checker import ENDS, problems

Line = dict[str, Any]
CLOCK_SLACK = 0.05
"""How far two readings of the same machine's clocks may be apart."""


class Disturbance(msgspec.Struct, frozen=True):
    """A time in which a fault may have delayed what was due, in seconds since 1970."""

    begin: float
    end: float
    what: str


class Evidence(msgspec.Struct, kw_only=True):
    """Everything that a run has left behind."""

    lines: list[Line]
    effects: list[Line]
    exports: Sequence[bytes] = ()
    final: bytes = b""
    acknowledged: Sequence[str] = ()
    disturbances: Sequence[Disturbance] = ()
    calm_position: int = 0
    """Runs triggered up to here have had time to end."""
    drains: Sequence[str] = ()
    """What was wrong with the way instances ended when they were asked to."""
    boot_at: float = 0.0
    """When the machine's boot clock stood at zero."""
    slack: float = 3.0
    """How late is on time where no fault is near: one second of waiting, and what a busy machine adds."""


def verdict(evidence: Evidence) -> dict[str, list[str]]:
    """Return, for each check by name, what is wrong; all empty is a good run."""
    lines, effects = evidence.lines, evidence.effects
    return {
        "L1-L3 T1-T3 R1 R4 F1": problems(lines, all_ended=False),
        "L4": list(_prefixes(evidence.exports, evidence.final)),
        "T1b switched": list(_switched(lines)),
        "T4": list(_late(lines, evidence.disturbances, evidence.slack)),
        "T5": list(_order(lines)),
        "R2": list(_unended(lines, evidence.calm_position)),
        "R3": list(_attempts(lines)),
        "R5": list(_late_results(lines)),
        "F2": list(_terms(lines)),
        "X1": list(_without_start(lines, effects)),
        "X2": list(_before_start(lines, effects, evidence.boot_at)),
        "X3": list(_twice_in_one_attempt(effects)),
        "X4": list(_twice(lines, effects)),
        "X5": list(_without_effect(lines, effects)),
        "X steps": list(_steps(lines, effects)),
        "M1": [
            f"{each} was acknowledged and is not there" for each in _missing(lines, evidence.acknowledged)
        ],
        "D1": list(evidence.drains),
    }


def lateness(lines: Iterable[Line]) -> list[float]:
    """Return by how many seconds each scheduled run started after its fire time, ascending."""
    return sorted(
        _seconds(line["recorded_at"]) - _seconds(line["fire_at"])
        for line in lines
        if line["type"] == "run.triggered" and line["cause"] == "schedule"
    )


# --- the ledger -----------------------------------------------------------------------------------------


def _prefixes(exports: Sequence[bytes], final: bytes) -> Iterator[str]:
    for number, export in enumerate(exports, start=1):
        if not final.startswith(export):
            yield f"export {number} of {len(export)} bytes is no prefix of the final one"


def _terms(lines: Iterable[Line]) -> Iterator[str]:
    leaders: dict[int, str] = {}
    for line in lines:
        if line["type"] == "leader.elected":
            leaders[line["term"]] = line["instance"]
        elif line["term"] is not None and leaders.get(line["term"]) != line["instance"]:
            yield f"position {line['position']}: {line['instance']} speaks in term {line['term']} of another"


# --- fire times -----------------------------------------------------------------------------------------


def _late(lines: Iterable[Line], disturbances: Sequence[Disturbance], slack: float) -> Iterator[str]:
    """Complain of a decision that waited longer than the slack while nothing was wrong."""
    for line in lines:
        if line["type"] == "run.triggered" and line["cause"] == "schedule":
            due = _seconds(line["fire_at"])
        elif line["type"] == "job.fire_times_skipped":
            due = _seconds(line["body"]["first_at"])
        else:
            continue
        at = _seconds(line["recorded_at"])
        if at - due > slack and (idle := _undisturbed(due, at, disturbances)) > slack:
            where = f"position {line['position']}: {line['job']}"
            yield f"{where} waited {idle:.2f} s of {at - due:.2f} s without a fault"


def _undisturbed(begin: float, end: float, disturbances: Sequence[Disturbance]) -> float:
    """Return for how long of a time nothing was wrong."""
    left, at = 0.0, begin
    for each in sorted(disturbances, key=lambda each: each.begin):
        if each.end <= at or each.begin >= end:
            continue
        left += max(0.0, each.begin - at)
        at = max(at, each.end)
    return left + max(0.0, end - at)


def _order(lines: Iterable[Line]) -> Iterator[str]:
    latest: dict[str, str] = {}
    for line in lines:
        if line["type"] == "run.triggered" and line["cause"] == "schedule":
            job, fire_at = line["job"], line["fire_at"]
            if fire_at < latest.get(job, ""):
                yield f"position {line['position']}: {job} of {fire_at} comes after {latest[job]}"
            latest[job] = fire_at


def _switched(lines: Sequence[Line]) -> Iterator[str]:
    """A job that is switched off and on fires exactly while it is on."""
    schedules: dict[str, str] = {}
    windows: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    since: dict[str, datetime | None] = {}
    fired: dict[str, set[datetime]] = defaultdict(set)
    decided: dict[str, set[datetime]] = defaultdict(set)
    switched: set[str] = set()
    for line in lines:
        job, kind, at = line["job"], line["type"], _at(line["recorded_at"])
        if kind == "job.registered":
            schedules[job], since[job] = (line["body"].get("definition") or {}).get("schedule") or "", at
        elif kind in ("job.disabled", "job.enabled"):
            switched.add(job)
            begun = since[job]
            if begun is not None:
                windows[job].append((begun, at))
            since[job] = at if kind == "job.enabled" else None
        elif kind == "run.triggered" and line["cause"] == "schedule":
            fired[job].add(_at(line["fire_at"]))
        elif kind == "job.fire_times_skipped":
            first, last = _at(line["body"]["first_at"]), _at(line["body"]["last_at"])
            decided[job] |= set(_between(schedules[job], first - timedelta(seconds=1), last))
    for job in switched:
        if not schedules[job]:
            continue
        until = max(fired[job] | decided[job], default=_at(lines[0]["recorded_at"]))
        begun = since[job]
        if begun is not None:
            windows[job].append((begun, until))
        due = {each for window in windows[job] for each in _between(schedules[job], *window)}
        known = fired[job] | decided[job]
        yield from (f"{job}: {each} was neither triggered nor skipped" for each in sorted(due - known))
        yield from (f"{job}: {each} fired while it was switched off" for each in sorted(fired[job] - due))


# --- runs -----------------------------------------------------------------------------------------------


def _unended(lines: Sequence[Line], position: int) -> Iterator[str]:
    ended = {line["run_id"] for line in lines if line["type"] in ENDS}
    for line in lines:
        if line["type"] == "run.triggered" and line["position"] <= position and line["run_id"] not in ended:
            yield f"{line['run_id']} was triggered at position {line['position']} and never ended"


def _attempts(lines: Iterable[Line]) -> Iterator[str]:
    """One attempt without retries; an idempotent job gets three more for those that were lost."""
    idempotent: dict[str, bool] = {}
    starts: Counter[str] = Counter()
    losses: Counter[str] = Counter()
    interrupts: Counter[str] = Counter()
    for line in lines:
        run, kind = line["run_id"], line["type"]
        if kind in ("job.registered", "job.redefined"):
            idempotent[line["job"]] = bool(line["body"]["definition"].get("idempotent"))
        losses[run] += kind == "attempt.lost"
        interrupts[run] += kind == "attempt.interrupted"
        if kind == "run.started":
            starts[run] += 1
            if starts[run] > 1 and not idempotent.get(line["job"], False):
                yield f"{run} is not idempotent and is started again at position {line['position']}"
            if starts[run] != 1 + losses[run] + interrupts[run]:
                yield f"{run} has {starts[run]} starts, {losses[run]} losses, {interrupts[run]} interruptions"
    yield from (f"{run} was lost {number} times" for run, number in losses.items() if run and number > 3)


def _late_results(lines: Iterable[Line]) -> Iterator[str]:
    """A late result comes from an attempt that was started and given up, and is no second end."""
    over: set[tuple[str, int]] = set()
    running: dict[str, int] = {}
    for line in lines:
        run, kind = line["run_id"], line["type"]
        if kind == "run.started":
            running[run] = line["attempt"]
        elif kind in ENDS or kind.startswith("attempt."):
            if run in running:
                over.add((run, running.pop(run)))
        elif kind == "run.late_result" and (run, line["attempt"]) not in over:
            yield f"position {line['position']}: a late result of an attempt that was not over"


def _missing(lines: Iterable[Line], acknowledged: Sequence[str]) -> list[str]:
    there = {line["run_id"] for line in lines if line["type"] == "run.triggered"}
    return [each for each in acknowledged if each not in there]


# --- effects --------------------------------------------------------------------------------------------


def _starts(lines: Iterable[Line]) -> dict[tuple[str, int], Line]:
    return {(line["run_id"], line["attempt"]): line for line in lines if line["type"] == "run.started"}


def _without_start(lines: Iterable[Line], effects: Iterable[Line]) -> Iterator[str]:
    """Every effect belongs to a recorded start, by the process that recorded it, with its fence."""
    starts = _starts(lines)
    for effect in effects:
        start = starts.get((effect["run_id"], effect["attempt"]))
        if start is None:
            yield f"{_named(effect)} has no recorded start"
        elif start["position"] != effect["fence"]:
            yield f"{_named(effect)} holds fence {effect['fence']}, but was started at {start['position']}"
        elif int(start["instance"].split(".")[-2]) != effect["pid"]:
            yield f"{_named(effect)} happened in process {effect['pid']}, but {start['instance']} started it"


def _before_start(lines: Iterable[Line], effects: Iterable[Line], boot_at: float) -> Iterator[str]:
    starts = _starts(lines)
    for effect in effects:
        start = starts.get((effect["run_id"], effect["attempt"]))
        if start and boot_at + effect["boottime"] + CLOCK_SLACK < _seconds(start["recorded_at"]):
            yield f"{_named(effect)} happened before its start was recorded, at {start['recorded_at']}"


def _twice_in_one_attempt(effects: Iterable[Line]) -> Iterator[str]:
    seen = Counter((each["what"], each["step"], each["run_id"], each["attempt"]) for each in effects)
    yield from (f"{what} {step or ''} of {run}, attempt {attempt}: {number} times"
                for (what, step, run, attempt), number in seen.items() if number > 1)  # fmt: skip


def _twice(lines: Iterable[Line], effects: Iterable[Line]) -> Iterator[str]:
    """One effect for each job, fire time and attempt, whatever the runs are called."""
    times = {line["run_id"]: (line["job"], line["fire_at"]) for line in lines
             if line["type"] == "run.triggered" and line["cause"] == "schedule"}  # fmt: skip
    seen = Counter(
        (*times[each["run_id"]], each["attempt"])
        for each in effects
        if each["what"] == "start" and each["run_id"] in times
    )
    yield from (f"{job} of {at}, attempt {attempt}: {number} effects"
                for (job, at, attempt), number in seen.items() if number > 1)  # fmt: skip


def _without_effect(lines: Iterable[Line], effects: Iterable[Line]) -> Iterator[str]:
    done = {(each["run_id"], each["attempt"]) for each in effects if each["what"] == "end"}
    for line in lines:
        if line["type"] == "run.succeeded" and (line["run_id"], line["attempt"]) not in done:
            yield f"{line['run_id']} succeeded in attempt {line['attempt']}, whose effect never ended"


def _steps(lines: Iterable[Line], effects: Iterable[Line]) -> Iterator[str]:
    """A step is recorded before it acts, recorded as succeeded only after it has, and then not repeated."""
    begun: set[tuple[str, int, str]] = set()
    done: dict[tuple[str, str], int] = {}
    for line in lines:
        if line["type"] == "step.started":
            begun.add((line["run_id"], line["attempt"], line["body"]["name"]))
        elif line["type"] == "step.succeeded":
            done.setdefault((line["run_id"], line["body"]["name"]), line["attempt"])
    ended: set[tuple[str, str]] = set()
    for effect in effects:
        run, attempt, step = effect["run_id"], effect["attempt"], effect["step"]
        if effect["what"] == "step end":
            ended.add((run, step))
        if effect["what"] != "step start":
            continue
        if (run, attempt, step) not in begun:
            yield f"{_named(effect)}: the step is not recorded"
        if done.get((run, step), attempt) < attempt:
            yield f"{_named(effect)}: the step had succeeded before"
    yield from (f"step {step} of {run} succeeded, but its effect never ended"
                for run, step in done if (run, step) not in ended)  # fmt: skip


def _named(effect: Line) -> str:
    step = f" {effect['step']}" if effect["step"] else ""
    return f"{effect['what']}{step} of {effect['run_id']}, attempt {effect['attempt']}"


def _between(schedule: str, after: datetime, until: datetime) -> Iterator[datetime]:
    if not schedule:
        return
    times = croniter(schedule, after, second_at_beginning=True)
    while (fire_at := times.get_next(datetime)) <= until:
        yield fire_at


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _seconds(text: str) -> float:
    return _at(text).timestamp()
