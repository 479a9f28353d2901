"""What must hold of any ledger, checked from `ledger export` alone and from what jobs wrote down elsewhere.

Shares no code with the engine: positions, names and times are read as text, and due fire times are found by
the slow oracle of `tests/property`. Every problem begins with the name of its check:

    L1 positions dense          T1a no fire time twice          R1 one trigger, before all else
    L2 ids unique               T1b none without a decision     R2 one end, and an end for everyone
    L3 time and versions        T1c not both                    R3 attempts counted and limited
    L4 an export is a prefix    T2 only what is due             R4 one attempt at a time
                                T3 never early                  R5 nothing after the end but late results
    F1 terms grow by one        T4 lateness bounded
    F2 the current term only    T5 in order                     X1-X5 effects, M1 manual runs: see below
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from tests.property.cron_oracle import Oracle

Line = dict[str, Any]
Effect = Mapping[str, Any]
ENDS = {f"run.{outcome}" for outcome in ("succeeded", "partial", "failed", "timed_out", "cancelled", "lost")}
AFTER_THE_END = {"run.late_result"}
IN_FLIGHT_BESIDE = {"skip": 0, "queue": 1}
"""How many other runs of the job may be in flight when a fire time is triggered, by overlap policy."""
CALM_SECONDS = 1.25
"""How late a decision may be when nothing is wrong: a leader looks at least once a second, and a wake-up may
be lost; the rest is for what one look takes."""


def problems(
    lines: Iterable[Line], *, all_ended: bool = True, decided_until: datetime | None = None
) -> list[str]:
    """Return everything that is wrong with an exported ledger; an empty list is a good one.

    Fire times up to `decided_until` need a decision; without it, those up to the last one decided.
    """
    events = list(lines)
    return [
        *_order(events),
        *_runs(events, all_ended=all_ended),
        *_attempts(events),
        *_fire_times(events, decided_until),
        *_overlaps(events),
        *_terms(events),
    ]


def triggered(events: Iterable[Line], job: str | None = None) -> list[str]:
    """Return the fire times that were triggered by the schedule, in order of record."""
    return [e["fire_at"] for e in events if _is_scheduled(e) and job in (None, e["job"])]


# --- L: the order ---------------------------------------------------------------------------------------


def _order(events: list[Line]) -> Iterator[str]:
    versions: dict[str, int] = defaultdict(int)
    ids: set[str] = set()
    before = ""
    for number, event in enumerate(events, start=1):
        if event["position"] != number:
            yield f"L1: position {event['position']} stands where {number} should"
        if event["id"] in ids:
            yield f"L2: id {event['id']} occurs twice"
        ids.add(event["id"])
        if event["recorded_at"] < before:
            yield f"L3: position {number}: time goes back from {before} to {event['recorded_at']}"
        before = event["recorded_at"]
        versions[event["stream"]] += 1
        if event["version"] != versions[event["stream"]]:
            yield f"L3: position {number}: {event['stream']} jumps to version {event['version']}"


def prefix_problems(earlier: Sequence[Any], final: Sequence[Any]) -> Iterator[str]:
    """L4: what was exported while the ledger grew is how the final export begins."""
    if len(earlier) > len(final):
        yield f"L4: {len(earlier)} events were exported once, and {len(final)} in the end"
    for number, (then, now) in enumerate(zip(earlier, final, strict=False), start=1):
        if then != now:
            yield f"L4: position {number} was exported once as {then!r}, and in the end as {now!r}"
            return


# --- R: the life of a run -------------------------------------------------------------------------------


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
                yield f"R1: {run} is triggered twice"
            attempts[run], running[run] = 0, None
            continue
        if run not in attempts:
            yield f"R1: {run} has {kind} before its trigger"
            continue
        if run in ended and kind not in AFTER_THE_END:
            check = "R2" if kind in ENDS else "R5"
            yield f"{check}: {run} has {kind} after {ended[run]}"
        if kind == "run.started":
            if running[run]:
                yield f"R4: {run} is started on {event['instance']} while {running[run]} performs it"
            attempts[run] += 1
            running[run] = event["instance"]
            if event["attempt"] != attempts[run]:
                yield f"R3: {run}: attempt {event['attempt']} is recorded as number {attempts[run]}"
        elif kind in ENDS:
            ended[run] = kind
            running[run] = None
        elif kind.startswith("attempt."):
            if running[run] is None:
                yield f"R4: {run} has {kind} while nobody performs it"
            running[run] = None
    if all_ended:
        yield from (f"R2: {run} never ended" for run in attempts if run not in ended)


def _attempts(events: list[Line]) -> Iterator[str]:
    """R3: a lost or failed attempt is repeated no more often than the job's definition says."""
    limits: dict[str, dict[str, int]] = defaultdict(lambda: {"attempt.lost": 0, "attempt.failed": 0})
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for event in events:
        definition = (event["body"] or {}).get("definition")
        if event["type"] in {"job.registered", "job.redefined"} and definition is not None:
            known = limits[event["job"]]
            lost = definition.get("recovery_attempts", 3) if definition.get("idempotent") else 0
            failed = (definition.get("retry") or {}).get("max_attempts", 1) - 1
            known["attempt.lost"] = max(known["attempt.lost"], lost)
            known["attempt.failed"] = max(known["attempt.failed"], failed)
        elif event["type"] in {"attempt.lost", "attempt.failed"}:
            key = (event["run_id"], event["type"])
            counts[key] += 1
            if counts[key] > limits[event["job"]][event["type"]]:
                yield f"R3: {event['run_id']} has {event['type']} for the {counts[key]}. time"


# --- T: fire times --------------------------------------------------------------------------------------


class _Job:
    """A job as its stream tells it: when which definition was in force."""

    def __init__(self) -> None:
        self.definition: Line = {}
        self.override: bool | None = None
        self.retired = False
        self.paused = False
        self.since: datetime | None = None
        self.decided: datetime | None = None
        self.planned: datetime | None = None
        """As `decided`, by the planner alone: a resume skips its pause, and leaves what came before to it."""
        self.windows: list[tuple[datetime, datetime, Line]] = []

    @property
    def is_active(self) -> bool:
        enabled = self.definition.get("enabled", True) if self.override is None else self.override
        scheduled = self.definition.get("scheduled", True) and self.definition.get("schedule", "") != ""
        return bool(self.since and enabled and scheduled and not self.retired)

    def take(self, event: Line) -> None:
        """Follow a change: what is due up to now, or was decided already, follows the definition before it.

        Only a skip can stand after its record, and only if the clock was set back just before.
        """
        at, body = _at(event["recorded_at"]), event["body"] or {}
        at = max(at, self.decided or at)
        self.close(at)
        match event["type"]:
            case "job.registered" | "job.redefined":
                self.definition, self.retired = body.get("definition") or {}, False
            case "job.retired":
                self.retired = True
            case "job.enabled" | "job.disabled":
                self.override = event["type"] == "job.enabled"
            case "job.reset":
                self.override = None
            case "job.paused" | "job.resumed":
                self.paused = event["type"] == "job.paused"
        self.since = at

    def close(self, at: datetime) -> None:
        """What has come due up to `at` follows the definition that held until then."""
        if self.is_active:
            assert self.since is not None
            self.windows.append((self.since, at, self.definition))

    def due(self) -> list[datetime]:
        found: list[datetime] = []
        for after, until, definition in self.windows:
            found += fire_times(definition, after, until)
        return found


JOB_CHANGES = {
    f"job.{change}"
    for change in ("registered", "redefined", "retired", "enabled", "disabled", "reset", "paused", "resumed")
}


def fire_times(definition: Line, after: datetime, until: datetime) -> list[datetime]:
    """Return the fire times of a definition later than one instant, up to another."""
    rule = definition.get("dst") or {}
    oracle = _oracle(
        definition.get("schedule", ""),
        definition.get("timezone", "UTC"),
        rule.get("gap", "shift"),
        rule.get("fold", "first"),
        definition.get("day_match") == "and",
    )
    return oracle.fires(after + timedelta(microseconds=1), until) if after < until else []


@lru_cache(maxsize=256)
def _oracle(schedule: str, zone: str, gap: str, fold: str, both_days: bool) -> Oracle:
    return Oracle(schedule, zone, gap, fold, both_days)


def _fire_times(events: list[Line], decided_until: datetime | None) -> Iterator[str]:
    """Every fire time is one trigger or inside one skip, never both, never early, none left out."""
    jobs: dict[str, _Job] = defaultdict(_Job)
    for event in events:
        if event["type"] in JOB_CHANGES:
            jobs[event["job"]].take(event)
        elif (until := _decides_until(event)) is not None:
            job = jobs[event["job"]]
            job.decided = max(until, job.decided or until)
            if _is_scheduled(event) or event["body"]["reason"] != "paused":
                job.planned = max(until, job.planned or until)
    for name, job in jobs.items():
        if not _is_readable(job):
            continue
        horizon = max(filter(None, (job.decided, decided_until)), default=None)
        if horizon is not None and not job.paused:
            job.close(horizon)
        mine = [event for event in events if event["job"] == name]
        yield from _decisions(name, mine, job.due(), decided_until or job.planned)


def _decisions(name: str, events: list[Line], due: list[datetime], until: datetime | None) -> Iterator[str]:
    decided: dict[datetime, str] = {}
    latest: datetime | None = None
    for event in events:
        if _is_scheduled(event):
            fire_at = _at(event["fire_at"])
            before = decided.get(fire_at)
            if before is not None:
                check = "T1a" if before == "triggered" else "T1c"
                yield f"{check}: {name}: {fire_at} is triggered after it was {before}"
            if due[(place := bisect_left(due, fire_at)) : place + 1] != [fire_at]:
                yield f"T2: {name}: {fire_at} is triggered and was not due"
            if _at(event["recorded_at"]) < fire_at:
                yield f"T3: {name}: {fire_at} is triggered early, at {event['recorded_at']}"
            if latest is not None and fire_at <= latest:
                yield f"T5: {name}: {fire_at} is triggered after {latest}"
            latest = fire_at
            decided[fire_at] = "triggered"
        elif event["type"] == "job.fire_times_skipped":
            body = event["body"] or {}
            first_at, last_at = _at(body["first_at"]), _at(body["last_at"])
            times = due[bisect_left(due, first_at) : bisect_right(due, last_at)]
            if len(times) != body["count"] or first_at not in times[:1] or last_at not in times[-1:]:
                yield (
                    f"T2: {name}: a skip of {body['count']} from {first_at} to {last_at} covers {len(times)}"
                )
            for fire_at in times:
                if fire_at in decided:
                    yield f"T1c: {name}: {fire_at} is skipped after it was {decided[fire_at]}"
                decided[fire_at] = "skipped"
    for fire_at in due[: bisect_right(due, until)] if until else ():
        if fire_at not in decided:
            yield f"T1b: {name}: {fire_at} was neither triggered nor skipped"


def _overlaps(events: list[Line]) -> Iterator[str]:
    """T2: a fire time is triggered only if its job's overlap policy lets it join; backfill does not count."""
    policies: dict[str, set[str]] = defaultdict(set)
    for event in events:
        definition = (event["body"] or {}).get("definition")
        if event["type"] in {"job.registered", "job.redefined"} and definition is not None:
            policies[event["job"]].add(definition.get("overlap", "skip"))
    going: dict[str, set[str]] = defaultdict(set)
    for event in events:
        if event["run_id"] is None:
            continue
        others = going[event["job"]]
        if _is_scheduled(event):
            for policy in policies[event["job"]] if len(policies[event["job"]]) == 1 else ():
                if len(others) > IN_FLIGHT_BESIDE.get(policy, len(others)):
                    yield f"T2: {event['run_id']} is triggered under '{policy}' beside {sorted(others)}"
        if event["type"] == "run.triggered" and "!backfill-" not in event["run_id"]:  # nor does its retry
            others.add(event["run_id"])
        elif event["type"] in ENDS:
            others.discard(event["run_id"])


def lateness_problems(
    decisions: Iterable[tuple[str, float, float]],
    excused: Iterable[tuple[float, float]],
    *,
    calm_seconds: float = CALM_SECONDS,
) -> Iterator[str]:
    """T4: each decision (of what, due when, recorded when) comes in time.

    In time is `calm_seconds` after it was due, or after the end of the excused times that lie in between: a
    failover within its bound is excused, and nothing else.
    """
    spans = _merged(excused)
    for what, due, recorded in decisions:
        expected = due
        for since, until in spans:
            if since <= expected + calm_seconds and until > expected:
                expected = until
        if recorded > expected + calm_seconds:
            late = recorded - due
            yield f"T4: {what} was due at {due:.3f} and decided at {recorded:.3f}, {late:.3f} s late"


def _merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for since, until in sorted(spans):
        if merged and since <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], until))
        else:
            merged.append((since, until))
    return merged


def _is_readable(job: _Job) -> bool:
    """Whether the oracle reads the job's schedules; plain rules ("every 90s") have tests of their own."""
    schedules = [job.definition.get("schedule", ""), *(window[2]["schedule"] for window in job.windows)]
    return all(schedule == "" or len(schedule.split()) == 6 for schedule in schedules)


def _is_scheduled(event: Line) -> bool:
    return bool(event["type"] == "run.triggered" and event["cause"] == "schedule")


def _decides_until(event: Line) -> datetime | None:
    if _is_scheduled(event):
        return _at(event["fire_at"])
    if event["type"] == "job.fire_times_skipped":
        return _at((event["body"] or {})["last_at"])
    return None


# --- F: leaders -----------------------------------------------------------------------------------------


def _terms(events: list[Line]) -> Iterator[str]:
    term, leader = 0, None
    for event in events:
        if event["type"] == "leader.elected":
            if event["term"] != term + 1:
                yield f"F1: position {event['position']}: term {event['term']} follows term {term}"
            term, leader = event["term"], event["instance"]
        elif event["term"] is not None and event["term"] != term:
            yield (
                f"F2: position {event['position']}: {event['type']} claims term {event['term']} "
                f"in term {term}"
            )
        elif event["term"] is not None and event["instance"] != leader:
            what = f"{event['type']} of {event['instance']}"
            yield f"F2: position {event['position']}: {what}, but {leader} leads"


# --- X, M: effects and promises -------------------------------------------------------------------------


def effect_problems(lines: Iterable[Line], effects: Iterable[Effect]) -> Iterator[str]:
    """Compare a ledger with what the jobs' own code wrote down outside it.

    An effect is {"run_id", "attempt", "phase": "start" | "end", "position"}, `position` being that of the
    ledger's head at that moment, as the effect's writer saw it. X1: no effect without a recorded start of
    this attempt. X2: the start was recorded before. X3: one effect per attempt. X4: one per job, fire time
    and attempt. X5: what is recorded as succeeded had really come to its end by then.
    """
    starts: dict[tuple[str, int], int] = {}
    fire_times_of: dict[str, tuple[str, str]] = {}
    succeeded: list[tuple[str, int, int]] = []
    for line in lines:
        if line["type"] == "run.started":
            starts[line["run_id"], line["attempt"]] = line["position"]
        elif line["type"] in {"run.succeeded", "run.partial"}:
            succeeded.append((line["run_id"], line["attempt"], line["position"]))
        elif _is_scheduled(line):
            fire_times_of[line["run_id"]] = (line["job"], line["fire_at"])
    began: dict[tuple[str, int], int] = defaultdict(int)
    fired: dict[tuple[str, str, int], int] = defaultdict(int)
    ended: dict[tuple[str, int], int] = {}
    for effect in effects:
        run, attempt, position = effect["run_id"], effect["attempt"], effect["position"]
        if effect["phase"] == "end":
            ended[run, attempt] = position
            continue
        began[run, attempt] += 1
        if run in fire_times_of:
            fired[*fire_times_of[run], attempt] += 1
        if (run, attempt) not in starts:
            yield f"X1: attempt {attempt} of {run} had an effect and was never started"
        elif starts[run, attempt] > position:
            yield (
                f"X2: attempt {attempt} of {run} had its effect at position {position}, "
                f"before its start at {starts[run, attempt]}"
            )
    yield from (f"X3: attempt {a} of {run} was performed {n} times" for (run, a), n in began.items() if n > 1)
    yield from (f"X4: {job} at {at} was performed {n} times" for (job, at, _), n in fired.items() if n > 1)
    for run, attempt, position in succeeded:
        if ended.get((run, attempt), position) >= position:
            yield f"X5: {run} is recorded as succeeded, and attempt {attempt} had not come to its end"


def manual_problems(lines: Iterable[Line], acknowledged: Iterable[str]) -> Iterator[str]:
    """M1: every manual run that somebody was promised is in the ledger."""
    there = {line["run_id"] for line in lines if line["type"] == "run.triggered"}
    yield from (f"M1: {run} was acknowledged and is not there" for run in acknowledged if run not in there)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
