"""What must hold of fire times where definitions change, checked from `ledger export` alone.

A fire time is due if the definition that held then says so: the one recorded last before it, with whatever
operators had decided by then. Due fire times are counted by croniter, in UTC.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
from croniter import croniter

Line = dict[str, Any]
SECOND = timedelta(seconds=1)


class Rule(msgspec.Struct, frozen=True):
    """What is due of a job from some instant on, that instant not included."""

    since: datetime
    schedule: str


def misdecided(lines: Iterable[Line]) -> list[str]:
    """Return every fire time that was decided twice, wrongly or not at all before a later one."""
    events = list(lines)
    return [problem for job in _jobs(events) for problem in _of_job(job, events)]


def fired_while_disabled(lines: Iterable[Line]) -> list[str]:
    """Return every trigger of a fire time that lies after a disable that stands before it in the ledger."""
    return _fired_between(lines, "job.disabled", ("job.enabled", "job.reset"))


def fired_while_paused(lines: Iterable[Line]) -> list[str]:
    """Return every trigger of a fire time that lies between a pause and its end."""
    return _fired_between(lines, "job.paused", ("job.resumed",))


def _fired_between(lines: Iterable[Line], begins: str, ends: tuple[str, ...]) -> list[str]:
    stopped: dict[str, str] = {}
    found = []
    for line in lines:
        job = line["job"]
        if line["type"] == begins:
            stopped[job] = line["recorded_at"]
        elif line["type"] in ends:
            stopped.pop(job, None)
        elif _is_scheduled(line) and job in stopped and _at(line["fire_at"]) > _at(stopped[job]):
            found.append(f"{line['run_id']} at position {line['position']}, {begins} at {stopped[job]}")
    return found


def count(lines: Iterable[Line], *types: str) -> int:
    """Return how many events of some types there are."""
    return sum(line["type"] in types for line in lines)


def _jobs(events: list[Line]) -> list[str]:
    return sorted({event["job"] for event in events if event["type"] == "job.registered"})


def _of_job(job: str, events: list[Line]) -> Iterator[str]:
    mine = [event for event in events if event["job"] == job]
    rules = list(_rules(mine))
    fired: dict[datetime, int] = defaultdict(int)
    skips = []
    for event in mine:
        if _is_scheduled(event):
            fired[_at(event["fire_at"])] += 1
        elif event["type"] == "job.fire_times_skipped":
            body = event["body"]
            skips.append((_at(body["first_at"]), _at(body["last_at"]), body["count"]))
    last = max([*fired, *(until for _, until, _ in skips)], default=None)
    if last is None:
        return
    due = [at for rule, until in _until(rules, last) for at in _between(rule.schedule, rule.since, until)]
    yield from (f"{job}: {at} fired and was not due" for at in sorted(fired.keys() - set(due)))
    for first, until, number in skips:
        covered = sum(first <= at <= until for at in due)
        if covered != number:
            yield f"{job}: a skip of {number} from {first} to {until} covers {covered} that were due"
    for at in due:
        times = fired[at] + sum(first <= at <= until for first, until, _ in skips)
        if times != 1:
            yield f"{job}: {at} was decided {times} times"


def _rules(mine: list[Line]) -> Iterator[Rule]:
    """Yield what was due from when on, as the events of a job tell."""
    schedule, files, override, retired = "", True, None, True
    for event in mine:
        match event["type"]:
            case "job.registered" | "job.redefined":
                definition = event["body"]["definition"]
                schedule, files = definition.get("schedule", ""), definition.get("enabled", True)
                retired = False
            case "job.retired":
                retired = True
            case "job.enabled" | "job.disabled":
                override = event["type"] == "job.enabled"
            case "job.reset":
                override = None
            case _:
                continue
        enabled = files if override is None else override
        yield Rule(_at(event["recorded_at"]), schedule if enabled and not retired else "")


def _until(rules: list[Rule], last: datetime) -> Iterator[tuple[Rule, datetime]]:
    ends = [rule.since for rule in rules[1:]] + [last]
    yield from ((rule, min(until, last)) for rule, until in zip(rules, ends, strict=True))


def _between(schedule: str, after: datetime, until: datetime) -> Iterator[datetime]:
    if not schedule:
        return
    times = croniter(schedule, after, second_at_beginning=True)
    while (fire_at := times.get_next(datetime)) <= until:
        yield fire_at


def _is_scheduled(line: Line) -> bool:
    return bool(line["type"] == "run.triggered" and line["cause"] == "schedule")


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
