"""What jobs are told of the ledger's runs, on every database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from cronledger import Job, JobContext, JobResult, Scheduler
from cronledger.domain import events as e
from cronledger.domain.ids import RunId
from cronledger.errors import UsageError
from cronledger.jobs.calling import call
from cronledger.jobs.history import RunHistory, RunsSummary
from cronledger.ledger.database import Store
from cronledger.projections import fold, run_history
from cronledger.run_reports import LedgerRuns
from cronledger.testing import perform as perform_job
from tests.unit.projections.streams import JOBS, about, define, opened, perform, trigger

TIDY, SWEEP = JOBS
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def store(ledger_url: str) -> Iterator[Store]:
    store = opened(ledger_url)
    for name in JOBS:
        define(store.ledger, name)
    yield store
    store.close()


@pytest.fixture
def history(store: Store) -> RunHistory:
    return LedgerRuns(lambda function: function(store))


def ended_at(store: Store, run_id: RunId) -> datetime:
    fold.catch_up(store)
    with store.reading() as connection:
        run = run_history.one(connection, run_id)
    assert run is not None
    assert run.ended_at is not None
    return run.ended_at


def test_runs_are_counted_by_job_and_outcome(store: Store, history: RunHistory) -> None:
    first = perform(store.ledger, 1, e.RunSucceeded(items_processed=3, items_failed=1))
    perform(store.ledger, 2, e.RunSucceeded(items_processed=4))
    perform(store.ledger, 3, e.RunFailed(error="boom"))
    last = perform(store.ledger, 4, e.RunPartial(error="1 step failed"), name=SWEEP)
    told = history.between(ended_at(store, first), ended_at(store, last) + MOMENT)

    assert {"failed": 1, "partial": 1, "succeeded": 2} == told.outcomes
    assert {"failed": 1, "succeeded": 2} == told.of(TIDY).outcomes
    assert (7, 1) == (told.of(TIDY).items_processed, told.of(TIDY).items_failed)
    assert {} == told.of("unheard-of").outcomes


def test_items_are_summed_beyond_what_a_column_holds(store: Store, history: RunHistory) -> None:
    """SQLite answered with an integer overflow."""
    most, least = 2**63 - 1, -(2**63)
    counted = e.RunSucceeded(items_processed=most, items_failed=least)
    first, _, last = [perform(store.ledger, hour, counted) for hour in range(3)]
    told = history.between(ended_at(store, first), ended_at(store, last) + MOMENT)

    assert (3 * most, 3 * least) == (told.of(TIDY).items_processed, told.of(TIDY).items_failed)


def test_runs_are_found_by_the_code_that_they_are_of(store: Store, history: RunHistory) -> None:
    define(store.ledger, TIDY, extension="house", job="sweep")
    first = perform(store.ledger, 1, e.RunSucceeded())
    last = perform(store.ledger, 2, e.RunFailed(error="boom"), name=SWEEP)
    told = history.between(ended_at(store, first), ended_at(store, last) + MOMENT)

    assert [("tidy", "house", "sweep")] == [
        (each.job, each.extension, each.code) for each in told.provided_by("house", "sweep")
    ]


def test_the_period_has_its_first_instant_and_not_its_last(store: Store, history: RunHistory) -> None:
    first = ended_at(store, perform(store.ledger, 1, e.RunSucceeded()))
    last = ended_at(store, perform(store.ledger, 2, e.RunSucceeded()))

    assert {"succeeded": 1} == history.between(first, last).outcomes
    assert {"succeeded": 1} == history.between(first + MOMENT, last + MOMENT).outcomes
    assert {} == history.between(first + MOMENT, last).outcomes


def test_a_run_counts_in_the_period_in_which_it_ended(store: Store, history: RunHistory) -> None:
    """It was triggered in the period before, and was still running when that was asked about."""
    run_id = trigger(store.ledger, 1)
    before = perform(store.ledger, 2, e.RunSucceeded(), name=SWEEP)
    border = ended_at(store, before) + MOMENT
    about(store.ledger, run_id, e.RunStarted(), e.RunFailed(error="late trouble"))
    told = history.between(border, ended_at(store, run_id) + MOMENT)

    assert {"failed": 1} == told.outcomes
    assert [("tidy", "late trouble")] == [(each.job, each.error) for each in told.failing]


def test_a_failing_job_is_told_with_its_newest_error(store: Store, history: RunHistory) -> None:
    first = perform(store.ledger, 1, e.RunFailed(error="first"))
    perform(store.ledger, 2, e.RunTimedOut(error="second"))
    perform(store.ledger, 3, e.RunSucceeded())
    last = perform(store.ledger, 4, e.RunSucceeded(), name=SWEEP)
    told = history.between(ended_at(store, first), ended_at(store, last) + MOMENT)

    assert [("tidy", 2, "second")] == [(each.job, each.failing, each.error) for each in told.failing]


def test_the_slowest_runs_come_first_and_are_five_at_most(store: Store, history: RunHistory) -> None:
    durations = [40, 900, 10, 300, 70, 60, 5]
    runs = [perform(store.ledger, hour, e.RunSucceeded(duration_ms=d)) for hour, d in enumerate(durations)]
    told = history.between(ended_at(store, runs[0]), ended_at(store, runs[-1]) + MOMENT)

    assert [900, 300, 70, 60, 40] == [run.duration_ms for run in told.slowest]
    assert runs[1] == told.slowest[0].run_id


def test_what_has_not_ended_is_told_oldest_first(store: Store, history: RunHistory) -> None:
    waiting, running = trigger(store.ledger, 1), trigger(store.ledger, 2, name=SWEEP)
    about(store.ledger, running, e.RunStarted())
    done = ended_at(store, perform(store.ledger, 3, e.RunSucceeded()))
    told = history.between(done, done)

    assert [(waiting, "waiting"), (running, "running")] == [
        (run.run_id, run.phase) for run in told.unfinished
    ]
    assert (2, {}) == (told.unfinished_total, told.outcomes)


def test_an_instant_without_a_zone_is_refused(history: RunHistory) -> None:
    with pytest.raises(UsageError, match="need a zone"):
        history.between(datetime(2026, 1, 1), datetime(2026, 1, 2))  # noqa: DTZ001


class Ask(Job):
    """Asks for the last day, once it has run before."""

    name = "ask"

    def __init__(self) -> None:
        self.told: list[RunsSummary] = []

    async def execute(self, ctx: JobContext) -> JobResult:
        until = ctx.now() + timedelta(seconds=1)
        between = ctx.service(RunHistory).between
        self.told.append(await call(between, until - timedelta(days=1), until, threads=ctx.threads))
        return JobResult.success().with_stats(5, 0)


def test_a_job_finds_the_runs_of_its_own_ledger(ledger_url: str) -> None:
    ask = Ask()
    scheduler = Scheduler(database_url=ledger_url, jobs=[ask])
    for _ in range(2):
        asyncio.run(scheduler.run_manually(["ask"], actor="test", local=True))

    assert [{}, {"succeeded": 1}] == [told.outcomes for told in ask.told]
    assert 5 == ask.told[1].of("ask").items_processed
    assert ["ask"] == [each.job for each in ask.told[1].provided_by("test_run_reports", "ask")]
    assert ["ask"] == [run.job for run in ask.told[0].unfinished]


def test_a_job_that_is_performed_alone_has_a_history_too() -> None:
    ask = Ask()
    asyncio.run(perform_job(ask))

    assert [1] == [told.unfinished_total for told in ask.told]
