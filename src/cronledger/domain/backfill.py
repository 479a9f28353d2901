"""Backfill: which fire times of the past get a run after all.

A fire time is *missed* if there is no run for it: it was skipped, or it was never decided because the job did
not exist or was disabled. It has *failed* if there are runs for it and all of them have ended, none as
succeeded or partial. While a run for it is unfinished it is left alone, and so is what the planner has still
to decide. So a second call proposes nothing that the first one has begun, unless that has failed since.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from cronledger.domain import events as e
from cronledger.domain.ids import RunId, backfill_run
from cronledger.domain.job import JobState
from cronledger.domain.run import Outcome, Phase, RunState

FIRE_TIMES_AT_MOST = 10_000
_GOOD = (Outcome.SUCCEEDED, Outcome.PARTIAL)


class Only(StrEnum):
    """Which fire times are meant."""

    MISSED = "missed"
    """Those without a run: skipped, or never decided."""
    FAILED = "failed"
    """Those whose runs have ended, none of them as succeeded or partial."""
    ALL = "all"
    """Both, and those that went well, except by an earlier backfill."""


class Facts(msgspec.Struct, frozen=True):
    """What the ledger says: how the job stands, its runs in the range, and its skips."""

    state: JobState
    runs: Sequence[RunState] = ()
    skips: Sequence[e.FireTimesSkipped] = ()


class Proposal(msgspec.Struct, frozen=True):
    """A run for a fire time of the past. `of` is the newest earlier run for it, if there is one."""

    run_id: RunId
    fire_at: datetime
    why: str
    of: RunId | None = None


class Proposed(msgspec.Struct, frozen=True):
    """The runs, oldest fire time first, and how many fire times were left alone, and to whom."""

    runs: tuple[Proposal, ...] = ()
    unfinished: int = 0
    to_be_planned: int = 0


def propose(fire_times: Iterable[datetime], facts: Facts, only: Only) -> Proposed:
    """Decide which of the fire times, ascending and not in the future, get a run."""
    by_fire_time: dict[datetime, list[RunState]] = {}
    for run in facts.runs:
        if run.fire_at is not None:
            by_fire_time.setdefault(run.fire_at, []).append(run)
    proposals: list[Proposal] = []
    unfinished = to_be_planned = 0
    for fire_at in fire_times:
        runs = by_fire_time.get(fire_at, [])
        if any(run.phase is not Phase.ENDED for run in runs):
            unfinished += 1
        elif not runs and _will_be_planned(facts.state, fire_at):
            to_be_planned += 1
        elif _is_meant(runs, only):
            proposals.append(_proposal(facts, fire_at, runs))
    return Proposed(tuple(proposals), unfinished, to_be_planned)


def _is_meant(runs: Sequence[RunState], only: Only) -> bool:
    """Whether a fire time whose runs have all ended is one of those that are asked for."""
    match only:
        case Only.MISSED:
            return not runs
        case Only.FAILED:
            return bool(runs) and not any(run.outcome in _GOOD for run in runs)
        case Only.ALL:
            return not any(run.outcome in _GOOD for run in runs if run.cause is e.Cause.BACKFILL)


def _will_be_planned(state: JobState, fire_at: datetime) -> bool:
    """Whether the planner has not come to a fire time yet; for a paused job it will at the resume."""
    if any(window.after < fire_at <= window.until for window in state.undecided):
        return True
    is_planned = msgspec.structs.replace(state, paused=False).is_active
    return is_planned and state.planned_until is not None and fire_at > state.planned_until


def _proposal(facts: Facts, fire_at: datetime, runs: Sequence[RunState]) -> Proposal:
    number = 1 + sum(run.cause is e.Cause.BACKFILL for run in runs)
    run_id = backfill_run(facts.state.name, fire_at, number)
    if not runs:
        return Proposal(run_id, fire_at, _why_missed(facts.skips, fire_at))
    newest = max(runs, key=lambda run: run.position)
    return Proposal(run_id, fire_at, str(newest.outcome), newest.run_id)


def _why_missed(skips: Sequence[e.FireTimesSkipped], fire_at: datetime) -> str:
    for skip in skips:
        if skip.first_at and skip.last_at and skip.first_at <= fire_at <= skip.last_at:
            return f"skipped: {skip.reason}"
    return "never decided"
