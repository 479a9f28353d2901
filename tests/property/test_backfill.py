"""Backfill proposes no fire time twice, and nothing again that it has begun."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cronledger.domain import events as e
from cronledger.domain.backfill import Facts, Only, Proposal, propose
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, Position, RunId, scheduled_run
from cronledger.domain.job import JobState
from cronledger.domain.run import Outcome, Phase, RunState

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
TIDY = JobName("tidy")
TIMES = [NOON + timedelta(minutes=minute) for minute in range(12)]
GOOD = {Outcome.SUCCEEDED, Outcome.PARTIAL}

outcomes = st.none() | st.sampled_from(Outcome)
"""Of a run that exists; None: it has not ended."""
histories = st.lists(st.tuples(st.sampled_from(TIMES), outcomes), max_size=20)
limits = st.sampled_from([None, *TIMES])


def state(planned_until: datetime | None) -> JobState:
    definition = JobDefinition(name=TIDY, schedule="0 * * * * *")
    return JobState(name=TIDY, definition=definition, planned_until=planned_until)


def run(run_id: RunId, fire_at: datetime, outcome: Outcome | None, position: int) -> RunState:
    return RunState(
        run_id=run_id,
        job=TIDY,
        cause=e.Cause.BACKFILL if "!" in run_id else e.Cause.SCHEDULE,
        position=Position(position),
        version=1,
        phase=Phase.ENDED if outcome else Phase.WAITING,
        outcome=outcome,
        triggered_at=fire_at,
        fire_at=fire_at,
    )


def past(history: list[tuple[datetime, Outcome | None]]) -> list[RunState]:
    """Return runs as they may stand in a ledger: the scheduled one first, then backfill by number."""
    runs: list[RunState] = []
    for fire_at, outcome in history:
        number = sum(each.fire_at == fire_at for each in runs)
        scheduled = scheduled_run(TIDY, fire_at)
        run_id = RunId(f"{scheduled}!backfill-{number}") if number else scheduled
        runs.append(run(run_id, fire_at, outcome, len(runs) + 1))
    return runs


def begun(proposals: tuple[Proposal, ...], outcome: Outcome | None) -> list[RunState]:
    return [run(each.run_id, each.fire_at, outcome, 1000 + n) for n, each in enumerate(proposals)]


@given(histories, limits, st.sampled_from(Only))
def test_no_fire_time_and_no_name_is_proposed_twice(history, planned_until, only) -> None:
    runs = past(history)
    proposed = propose(TIMES, Facts(state(planned_until), runs), only)
    times = [each.fire_at for each in proposed.runs]

    assert sorted(set(times)) == times
    assert set() == {each.run_id for each in proposed.runs} & {each.run_id for each in runs}
    assert len(TIMES) >= len(times) + proposed.unfinished + proposed.to_be_planned


@given(histories, limits, st.sampled_from(Only), st.none() | st.sampled_from(sorted(GOOD)))
def test_a_second_call_proposes_nothing(history, planned_until, only, outcome) -> None:
    runs = past(history)
    first = propose(TIMES, Facts(state(planned_until), runs), only)
    second = propose(TIMES, Facts(state(planned_until), [*runs, *begun(first.runs, outcome)]), only)

    assert () == second.runs


@given(histories, limits)
def test_missed_and_failed_have_nothing_in_common_and_all_has_both(history, planned_until) -> None:
    facts = Facts(state(planned_until), past(history))
    missed, failed, every = ({each.run_id for each in propose(TIMES, facts, only).runs} for only in Only)

    assert set() == missed & failed
    assert set() == (missed | failed) - every
