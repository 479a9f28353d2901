"""The history of runs on every database: what is found, how many there are, and many rows at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from cronledger.domain import events as e
from cronledger.domain.ids import JobName, RunId, run_stream, scheduled_run
from cronledger.domain.run import Outcome, Phase, RunState
from cronledger.ledger.api import Write
from cronledger.ledger.database import Store
from cronledger.projections import fold, run_history
from cronledger.projections.tables import RUN_HISTORY
from tests.unit.projections.streams import ENGINE, JOBS, START, about, define, opened, perform, trigger

TIDY, SWEEP = JOBS
MOMENT = timedelta(microseconds=1)
MANY = 1300


@pytest.fixture
def store(ledger_url: str) -> Iterator[Store]:
    store = opened(ledger_url)
    yield store
    store.close()


class Overtaken:
    """A store on which somebody else folds between our looks at it, once."""

    def __init__(self, store: Store, *, at: int) -> None:
        self._store = store
        self._looks = -at
        self.ledger = store.ledger
        self.writing = store.writing

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        self._looks += 1
        if self._looks == 0:
            fold.catch_up(self._store, limit=2)
        with self._store.reading() as connection:
            yield connection


def a_week(store: Store) -> list[RunState]:
    """Record runs of two jobs with every outcome and cause; return them all, newest first."""
    for name in JOBS:
        define(store.ledger, name)
    endings = (e.RunSucceeded(), e.RunFailed(error="boom"), e.RunSucceeded(), e.RunTimedOut(), e.RunLost())
    for hour in range(20):
        cause = e.Cause.RETRY if hour % 7 == 3 else e.Cause.SCHEDULE
        perform(store.ledger, hour, endings[hour % 5], name=JOBS[hour % 2], cause=cause)
    trigger(store.ledger, 30)
    about(store.ledger, trigger(store.ledger, 31, name=SWEEP), e.RunStarted())
    fold.catch_up(store)
    with store.reading() as connection:
        return run_history.history(connection, limit=1000)[0]


def many_runs(store: Store) -> None:
    """Trigger more runs than a page has events, in one append."""
    writes = []
    for number in range(MANY):
        run_id = scheduled_run(TIDY, START + timedelta(minutes=number))
        event = e.Event(body=e.RunTriggered(), actor=ENGINE, job=TIDY, run_id=run_id, cause=e.Cause.BACKFILL)
        writes.append(Write(run_stream(run_id), (event,)))
    store.ledger.append(*writes)


# --- questions ------------------------------------------------------------------------------------------


def test_the_total_is_that_of_all_runs_that_match_however_few_are_returned(store: Store) -> None:
    runs = a_week(store)
    jobs = (None, TIDY, SWEEP, JobName("nobody"))
    outcomes = (None, *Outcome, Phase.WAITING, Phase.RUNNING)
    asked = [(job, outcome, cause) for job in jobs for outcome in outcomes for cause in (None, "retry")]
    with store.reading() as connection:
        told = [
            run_history.history(connection, job=job, outcome=outcome, cause=cause, limit=2)
            for job, outcome, cause in asked
        ]
    expected = []
    for job, outcome, cause in asked:
        found = [
            each
            for each in runs
            if job in (None, each.job)
            and outcome in (None, each.outcome, each.phase)
            and cause in (None, each.cause)
        ]
        expected.append((found[:2], len(found)))

    assert expected == told


@pytest.mark.parametrize("later", [-MOMENT, timedelta(0), MOMENT])
def test_since_and_until_part_the_runs_at_any_instant(store: Store, later: timedelta) -> None:
    runs = a_week(store)
    instants = [each.triggered_at + later for each in (runs[0], runs[9], runs[-1])]
    with store.reading() as connection:
        for at in instants:
            since = run_history.history(connection, since=at, limit=3)
            until = run_history.history(connection, until=at, limit=1000)
            after = [each for each in runs if each.triggered_at >= at]
            before = [each for each in runs if each.triggered_at < at]

            assert (after[:3], len(after)) == since
            assert (before, len(before)) == until


def test_the_newest_runs_are_those_of_history(store: Store) -> None:
    runs = a_week(store)
    since = runs[12].triggered_at
    with store.reading() as connection:
        failed = run_history.newest(connection, outcome=Outcome.FAILED, since=since)
        of_job = run_history.newest(connection, job=SWEEP, limit=4)

    assert [run for run in runs[:13] if run.outcome is Outcome.FAILED] == failed
    assert [run for run in runs if run.job == SWEEP][:4] == of_job


def test_runs_are_found_by_the_beginning_of_their_ids(store: Store) -> None:
    runs = a_week(store)
    tidy = sorted(run.run_id for run in runs if run.job == TIDY)
    with store.reading() as connection:
        some, total = run_history.begun_with(connection, "ti", limit=3)
        day, _ = run_history.begun_with(connection, "tidy@20260102", limit=3)
        nothing = run_history.begun_with(connection, "tidy@1999", limit=3)

    assert (tidy[:3], len(tidy)) == ([run.run_id for run in some], total)
    assert ["tidy@20260102T060000Z"] == [run.run_id for run in day]
    assert ([], 0) == nothing


# --- many rows ------------------------------------------------------------------------------------------


def test_more_events_than_a_page_has_are_folded_page_by_page(store: Store) -> None:
    define(store.ledger, TIDY)
    many_runs(store)
    then = fold.catch_up(store, limit=1150)
    at_last = fold.catch_up(store)

    assert (1150, MANY + 1) == (then, at_last)
    assert [] == fold.check(store)


def test_a_run_that_began_pages_ago_is_found_again(store: Store) -> None:
    first = trigger(store.ledger, name=SWEEP)
    fold.catch_up(store)
    many_runs(store)
    about(store.ledger, first, e.RunStarted(), e.RunSucceeded())
    fold.catch_up(store)
    with store.reading() as connection:
        run = run_history.one(connection, first)

    assert run is not None
    assert Outcome.SUCCEEDED is run.outcome
    assert [] == fold.check(store)


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_whoever_is_overtaken_between_two_looks_folds_nothing_twice(store: Store, at: int) -> None:
    perform(store.ledger, 1, e.RunSucceeded())
    fold.catch_up(store)
    perform(store.ledger, 2, e.RunSucceeded())
    third = trigger(store.ledger, 3)
    about(store.ledger, third, e.RunStarted(), e.StepStarted(name="load"), e.StepSucceeded(name="load"))
    overtaken: Any = Overtaken(store, at=at)
    position = fold.catch_up(overtaken)

    assert store.ledger.head().position == position
    assert [] == fold.check(store)


@pytest.mark.parametrize("count", [1, 3, 256, 700])
def test_any_number_of_rows_is_put_found_and_replaced_at_once(store: Store, count: int) -> None:
    trigger(store.ledger)
    fold.catch_up(store)
    with store.writing() as connection:
        (pattern,) = RUN_HISTORY.read(connection, RUN_HISTORY.select())
        runs = [
            msgspec.structs.replace(pattern, run_id=RunId(f"é'%s:x\\{number}"), reason='a "word"\n\t\\')
            for number in range(count)
        ]
        others = [msgspec.structs.replace(run, attempt=2, reason=None) for run in runs]
        keys = {RUN_HISTORY.key_of(run): run for run in runs}
        RUN_HISTORY.put(connection, runs)
        put = RUN_HISTORY.find(connection, [*keys, ("nobody",)])
        RUN_HISTORY.add(connection, others)
        added = RUN_HISTORY.find(connection, keys)
        RUN_HISTORY.put(connection, others)
        replaced = RUN_HISTORY.find(connection, keys)

    assert keys == put
    assert keys == added
    assert others == [replaced[key] for key in keys]
