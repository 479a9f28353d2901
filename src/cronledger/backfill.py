"""Backfill at work: what the ledger knows of a range of fire times, and the runs that make up for them.

The rule is in `cronledger.domain.backfill`. The runs are appended without asking the overlap policy, because
they are to wait for one another; the dispatcher performs them one after the other (beside one another only
under `overlap: allow`) and lets everything else go first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from cronledger.domain import backfill, run
from cronledger.domain import events as e
from cronledger.domain.backfill import FIRE_TIMES_AT_MOST, Facts, Only, Proposal, Proposed
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import InstanceId, RunId, job_stream, run_stream
from cronledger.domain.job import JobState
from cronledger.domain.schedule import schedule_for, unreadable
from cronledger.errors import ConfigError, Conflict, UsageError
from cronledger.ledger.api import Item, Write, require_current
from cronledger.ledger.database import Store
from cronledger.projections import job_status, run_history
from cronledger.projections.moments import moment
from cronledger.projections.replay import current

CHUNK = 250
_INSTANT = timedelta(microseconds=1)


class Range(msgspec.Struct, frozen=True):
    """Fire times of a job, as it is defined now, from one instant to before another."""

    definition: JobDefinition
    since: datetime
    until: datetime
    only: Only = Only.MISSED


def plan(store: Store, asked: Range) -> Proposed:
    """Decide which runs are to be triggered, and append nothing.

    Raises UsageError for a job without a schedule, an empty range, or more than 10,000 fire times;
    ConfigError for a schedule that cannot be read here.
    """
    times = _fire_times(asked, store.ledger.head().clock)
    name = asked.definition.name
    with current(store) as views, views.reading() as connection:
        state = job_status.one(connection, name) or JobState(name=name)
        runs = run_history.of_fire_times(connection, name, asked.since, asked.until)
    stream = store.ledger.read_stream(job_stream(name))
    skips = [told.body for told in stream if isinstance(told.body, e.FireTimesSkipped)]
    return backfill.propose(times, Facts(state, runs, skips), asked.only)


def trigger(
    store: Store,
    definition: JobDefinition,
    proposals: Sequence[Proposal],
    *,
    actor: str,
    parameters: dict[str, Any],
    reason: str | None = None,
    bound_to: InstanceId | None = None,
) -> list[RunId]:
    """Append the triggers and return the names of the runs; one that somebody else has triggered is left out.

    Raises LedgerUnreachable, or an `Outdated` if only a newer version may decide here.
    """
    require_current(store.ledger)
    operator = e.Actor.operator(actor)
    triggered: list[RunId] = []
    for start in range(0, len(proposals), CHUNK):
        chunk = proposals[start : start + CHUNK]
        items = []
        for each in chunk:
            event = run.trigger(
                definition, each.run_id, e.Cause.BACKFILL, operator,
                fire_at=each.fire_at, parameters=parameters, of=each.of, instance=bound_to, reason=reason,
            )  # fmt: skip
            items.append(Item((Write(run_stream(each.run_id), (event,)),)))
        answers = store.ledger.submit([store.ledger.prepare(item) for item in items])
        triggered += [
            each.run_id
            for each, answer in zip(chunk, answers, strict=True)
            if not isinstance(answer, Conflict)
        ]
    return triggered


def _fire_times(asked: Range, now: datetime) -> list[datetime]:
    definition = asked.definition
    schedule = schedule_for(definition)
    if schedule is None and (why := unreadable(definition)):
        raise ConfigError([f"the schedule of job '{definition.name}' cannot be read here: {why}"])
    if schedule is None:
        raise UsageError(
            f"job '{definition.name}' has no schedule, so there are no fire times to make up for",
            hint=f"run it by hand: cronledger infra jobs run {definition.name}",
        )
    if asked.since >= asked.until:
        raise UsageError(
            f"the range is empty: {moment(asked.since)} is not before {moment(asked.until)}",
            hint="--from is the earlier instant, --to the later one, itself not included",
        )
    last = min(asked.until - _INSTANT, now)
    times = list(schedule.fire_times(asked.since - _INSTANT, last, FIRE_TIMES_AT_MOST + 1))
    if len(times) > FIRE_TIMES_AT_MOST:
        raise UsageError(
            f"job '{definition.name}' has more than {FIRE_TIMES_AT_MOST} fire times in this range",
            hint=f"take shorter ranges, one after the other; the first may end at {moment(times[-1])}",
        )
    return times
