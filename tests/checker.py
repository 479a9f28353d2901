"""What must hold of any ledger, checked from `ledger export` alone.

Shares no code with the engine: positions, names and times are read as text, and due fire times are counted
by croniter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from croniter import croniter

Line = dict[str, Any]
ENDS = {f"run.{outcome}" for outcome in ("succeeded", "partial", "failed", "timed_out", "cancelled", "lost")}
CHANGES = {
    "job.enabled",
    "job.disabled",
    "job.redefined",
    "job.retired",
    "job.paused",
    "job.resumed",
    "job.reset",
}


def problems(lines: Iterable[Line], *, all_ended: bool = True) -> list[str]:
    """Return everything that is wrong with an exported ledger; an empty list is a good one."""
    events = list(lines)
    return [
        *_order(events),
        *_runs(events, all_ended=all_ended),
        *_fire_times(events),
        *_terms(events),
    ]


def triggered(events: Iterable[Line], job: str | None = None) -> list[str]:
    """Return the fire times that were triggered by the schedule, in order of record."""
    return [
        e["fire_at"]
        for e in events
        if e["type"] == "run.triggered" and e["cause"] == "schedule" and job in (None, e["job"])
    ]


def _order(events: list[Line]) -> Iterator[str]:
    versions: dict[str, int] = defaultdict(int)
    ids: set[str] = set()
    before = ""
    for number, event in enumerate(events, start=1):
        if event["position"] != number:
            yield f"position {event['position']} stands where {number} should"
        if event["id"] in ids:
            yield f"id {event['id']} occurs twice"
        ids.add(event["id"])
        if event["recorded_at"] < before:
            yield f"position {number}: time goes back from {before} to {event['recorded_at']}"
        before = event["recorded_at"]
        versions[event["stream"]] += 1
        if event["version"] != versions[event["stream"]]:
            yield f"position {number}: {event['stream']} jumps to version {event['version']}"


def _runs(events: list[Line], *, all_ended: bool) -> Iterator[str]:
    ended: dict[str, str] = {}
    attempts: dict[str, int] = {}
    running: dict[str, str | None] = {}
    for event in events:
        run, kind = event["run_id"], event["type"]
        if run is None:
            continue
        if kind == "run.triggered":
            if run in attempts:
                yield f"{run} is triggered twice"
            attempts[run], running[run] = 0, None
            continue
        if run not in attempts:
            yield f"{run} has {kind} before its trigger"
            continue
        if run in ended and kind != "run.late_result":
            yield f"{run} has {kind} after {ended[run]}"
        if kind == "run.started":
            if running[run]:
                yield f"{run} is started on {event['instance']} while {running[run]} performs it"
            attempts[run] += 1
            running[run] = event["instance"]
            if event["attempt"] != attempts[run]:
                yield f"{run}: attempt {event['attempt']} is recorded as number {attempts[run]}"
        elif kind in ENDS:
            ended[run] = kind
            running[run] = None
        elif kind.startswith("attempt."):
            running[run] = None
    if all_ended:
        yield from (f"{run} never ended" for run in attempts if run not in ended)


def _fire_times(events: list[Line]) -> Iterator[str]:
    """Every fire time is one trigger or inside one skip, never both, never early, none left out."""
    decided: dict[str, dict[datetime, str]] = defaultdict(dict)
    definitions: dict[str, tuple[datetime, Line]] = {}
    changed: set[str] = set()
    for event in events:
        job, body = event["job"], event["body"] or {}
        if event["type"] == "job.registered":
            definitions[job] = (_at(event["recorded_at"]), body.get("definition") or {})
        elif event["type"] in CHANGES:
            changed.add(job)
        elif event["type"] == "run.triggered" and event["cause"] == "schedule":
            fire_at = _at(event["fire_at"])
            if fire_at in decided[job]:
                yield f"{job}: {fire_at} is triggered after it was {decided[job][fire_at]}"
            if _at(event["recorded_at"]) < fire_at:
                yield f"{job}: {fire_at} is triggered early, at {event['recorded_at']}"
            decided[job][fire_at] = "triggered"
        elif event["type"] == "job.fire_times_skipped":
            schedule = definitions[job][1].get("schedule", "")
            times = list(
                _between(schedule, _at(body["first_at"]) - timedelta(seconds=1), _at(body["last_at"]))
            )
            if len(times) != body["count"] and job not in changed:
                yield f"{job}: a skip of {body['count']} covers {len(times)} fire times"
            for fire_at in times:
                if fire_at in decided[job]:
                    yield f"{job}: {fire_at} is skipped after it was {decided[job][fire_at]}"
                decided[job][fire_at] = "skipped"
    for job, (since, definition) in definitions.items():
        if job in changed or not decided[job]:
            continue
        for fire_at in _between(definition.get("schedule", ""), since, max(decided[job])):
            if fire_at not in decided[job]:
                yield f"{job}: {fire_at} was neither triggered nor skipped"


def _terms(events: list[Line]) -> Iterator[str]:
    term = 0
    for event in events:
        if event["type"] == "leader.elected":
            if event["term"] != term + 1:
                yield f"position {event['position']}: term {event['term']} follows term {term}"
            term = event["term"]
        elif event["term"] is not None and event["term"] != term:
            yield f"position {event['position']}: {event['type']} claims term {event['term']} in term {term}"


def _between(schedule: str, after: datetime, until: datetime) -> Iterator[datetime]:
    if not schedule:
        return
    times = croniter(schedule, after, second_at_beginning=True)
    while (fire_at := times.get_next(datetime)) <= until:
        yield fire_at


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
