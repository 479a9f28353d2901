"""Whether a simulated world held what is promised: the checks of `tests/checker.py`, and what needs more.

T3  never early, by the ledger's clock at the very append     P1  every fold of the ledger agrees
T4  decisions in time, failovers within their bounds          D1  a drain ends in time
X   also for steps: begun once started, never once done       D2  no instance dies of an error
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from cronledger.engine.farewell import FAREWELL_SECONDS
from cronledger.projections import fold
from tests.checker import (
    CALM_SECONDS,
    ENDS,
    effect_problems,
    lateness_problems,
    manual_problems,
    prefix_problems,
    problems,
)
from tests.simulation.cluster import Cluster, refold
from tests.simulation.simulator import QUIET_SECONDS, History

DRAIN_SECONDS = 5.0 + 1.0 + CALM_SECONDS
"""What a drain may take when the ledger answers: the drain time that the instances are given, a second for
cancelled runs to be handed back, and one look of the loop."""
LOOKS_A_SECOND = 100
"""A loop has reason to look when something was appended or is due: in these worlds some thirty times."""
NOBODYS_FAULT = ("unprovided", "unknown_job")
"""Runs that end because no instance has their job, by the configuration that is current then."""
DEAF_DRAIN_SECONDS = FAREWELL_SECONDS
"""What it may take beyond that when the ledger does not answer: one deadline stands over all that is left."""


def judge(history: History) -> list[str]:
    """Return what was violated, most telling first; an empty list is a world that held."""
    lines = [msgspec.json.decode(line) for line in history.cluster.exported()]
    unfinished = [f"R2: {run_id} has not ended within {QUIET_SECONDS:.0f} s" for run_id in history.unfinished]
    return [
        *(f"D2: {death}" for death in history.cluster.deaths),
        *problems(lines, all_ended=False, decided_until=history.decided_until),
        *unfinished,
        *(f"R3: the request for {each.run_id} still waits" for each in history.cluster.inbox.values()),
        *(wrong for export in history.exports for wrong in prefix_problems(export, lines_of(history))),
        *effect_problems(lines, history.effects.lines),
        *_steps(lines, history.effects.steps),
        *_outcomes(lines),
        *manual_problems(lines, history.acknowledged),
        *_early(history.cluster, lines),
        *lateness_problems(
            _decisions(history.cluster, lines),
            [(trouble.since, trouble.until) for trouble in history.cluster.troubles],
        ),
        *history.boards,
        *_folds(history.cluster),
        *_drains(history),
        *_spins(history.cluster),
    ]


def lines_of(history: History) -> list[bytes]:
    return history.cluster.exported()


def _steps(lines: list[dict[str, Any]], effects: list[dict[str, Any]]) -> Iterator[str]:
    """X for steps: code runs after this attempt's start of the step is recorded, and never in an attempt that
    began when the step had succeeded already.

    An attempt that was given up because its instance fell silent may wake and go on beside its successor
    (G6); the successor's steps then prove nothing about it.
    """
    attempts: dict[tuple[str, int], int] = {}
    started: dict[tuple[str, int, str], int] = {}
    succeeded: dict[tuple[str, str], int] = {}
    for line in lines:
        run, attempt, position = line["run_id"], line["attempt"], line["position"]
        if line["type"] == "run.started":
            attempts[run, attempt] = position
        elif line["type"] == "step.started":
            started.setdefault((run, attempt, line["body"]["name"]), position)
        elif line["type"] == "step.succeeded":
            succeeded.setdefault((run, line["body"]["name"]), position)
    for effect in effects:
        run, attempt, step, now = (effect[key] for key in ("run_id", "attempt", "step", "position"))
        if started.get((run, attempt, step), now + 1) > now:
            yield f"X1: {step} of {run}, attempt {attempt}, had an effect before its start was recorded"
        if succeeded.get((run, step), now + 1) < attempts.get((run, attempt), 0):
            yield f"X3: {step} of {run} was performed again in attempt {attempt} after it had succeeded"


def _outcomes(lines: list[dict[str, Any]]) -> Iterator[str]:
    """X6: an outcome is what the job's code does, and no trouble of the cluster is taken for its failure."""
    may_end = {"failing": {"run.failed"}, "endless": {"run.timed_out"}}
    always = {"run.succeeded", "run.cancelled", "run.lost"}
    for line in lines:
        kind, reason = line["type"], (line["body"] or {}).get("reason")
        if (
            kind in ENDS
            and kind not in always | may_end.get(line["job"], set())
            and reason not in NOBODYS_FAULT
        ):
            yield f"X6: {line['run_id']} ended as {kind}: {line['body']}"
        if kind == "run.succeeded" and line["job"] in may_end:
            yield f"X6: {line['run_id']} succeeded"


def _early(cluster: Cluster, lines: list[dict[str, Any]]) -> Iterator[str]:
    for line, (_, clock) in zip(lines, cluster.appended_at, strict=True):
        if line["type"] == "run.triggered" and line["cause"] == "schedule":
            fire_at = datetime.fromisoformat(line["fire_at"])
            if clock < fire_at:
                yield f"T3: {line['run_id']} is triggered when the ledger's clock says {clock}"


def _decisions(cluster: Cluster, lines: list[dict[str, Any]]) -> Iterator[tuple[str, float, float]]:
    """Yield what was decided, when it came due and when it was recorded, in virtual seconds.

    A clock that was set back reaches a fire time twice; the last time before the decision counts, because
    until then the ledger would have called the trigger early. A pause is recorded when it ends, in no hurry.
    """
    for line, (recorded, _) in zip(lines, cluster.appended_at, strict=True):
        if line["type"] == "run.triggered" and line["cause"] == "schedule":
            yield line["run_id"], _due(cluster, line["fire_at"], recorded), recorded
        elif line["type"] == "job.fire_times_skipped" and line["body"]["reason"] != "paused":
            first_at = line["body"]["first_at"]
            yield f"{line['job']}'s skip at {first_at}", _due(cluster, first_at, recorded), recorded


def _due(cluster: Cluster, fire_at: str, recorded: float) -> float:
    wanted = (datetime.fromisoformat(fire_at) - cluster.start).total_seconds()
    steps = cluster.clock.steps
    last = bisect_left(steps, (recorded, float("-inf"))) or 1
    reached = recorded  # a skip may be early if the clock is set back before it is recorded
    for number in range(last):
        since, offset = steps[number]
        until = steps[number + 1][0] if number + 1 < last else recorded
        before = steps[number - 1][1] + since if number else float("-inf")
        if before < wanted <= since + offset:
            reached = since
        elif since + offset < wanted <= until + offset:
            reached = wanted - offset
    return reached


def _folds(cluster: Cluster) -> Iterator[str]:
    """P1: the fold that grew with the ledger, a fresh one, and the views agree."""
    known = cluster.folded()
    if (known.jobs, known.runs) != refold(cluster.worlds[0].ledger):
        yield "P1: the fold that grew with the ledger differs from a fresh one"
    if cluster.views is not None:
        fold.catch_up(cluster.views)
        yield from (f"P1: {difference}" for difference in fold.check(cluster.views))


def _spins(cluster: Cluster) -> Iterator[str]:
    for world in cluster.worlds:
        second, looks = world.looks.most_common(1)[0] if world.looks else (0, 0)
        if looks > LOOKS_A_SECOND:
            yield f"S1: {world.name} looked at the ledger {looks} times in second {second}"


def _drains(history: History) -> Iterator[str]:
    for drain in history.cluster.drains:
        world = drain.world
        if world.is_crashed:
            continue
        left = world.left_at if world.left_at is not None else history.lasted
        limit = DRAIN_SECONDS + _overlap(world.frozen, drain.asked_at, left)
        deaf = [(since, until) for since, until, whom in history.cluster.deaf if whom in (None, world)]
        if _overlap(deaf, drain.asked_at, left):
            limit += DEAF_DRAIN_SECONDS
        if left - drain.asked_at > limit:
            yield f"D1: {world.name} took {left - drain.asked_at:.1f} s to drain, not {limit:.1f} s"


def _overlap(spans: list[tuple[float, float]], since: float, until: float) -> float:
    return sum(max(0.0, min(until, end) - max(since, begin)) for begin, end in spans)
