"""How many statements the product's building blocks are, on the databases themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, RunId, Term, job_stream, run_stream, scheduled_run
from cronledger.ledger import instances
from cronledger.ledger.api import START, Item, Quiet, Write
from cronledger.ledger.database import Store
from cronledger.projections import fold
from tests.conftest import bring_to_head, opened
from tests.events import HERE, election
from tests.performance.statements import LOGGING, Heard, Logged, heard_by_sqlite, logged_by
from tests.postgres import OwnServer, own_server

MOST_STATEMENTS = 13
"""Of runs that begin and end together, on SQLite, however many they are."""
HOUR = timedelta(hours=1)
JOB = JobDefinition(name=JobName("nothing"), schedule="* * * * * *")
Asked = Callable[[Callable[[], object]], Heard]


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    server = own_server(bring_to_head, **LOGGING)
    try:
        yield server
    finally:
        server.end()


@pytest.fixture(params=["sqlite", "postgres"])
def measured(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, Asked]]:
    """Give a store with a leader, and what tells how many statements something was."""
    with ExitStack() as listening:
        heard: Heard
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path}/ledger.db"
            bring_to_head(url)
            heard = listening.enter_context(heard_by_sqlite())
        else:
            server: OwnServer = request.getfixturevalue("server")
            url = server.make_database()
            heard = logged_by(server, url)
        store = opened(url)

        def asked(question: Callable[[], object]) -> Heard:
            question()  # connections are made, and what is looked up once is looked up
            heard.forget()
            question()
            return heard.read() if isinstance(heard, Logged) else heard

        try:
            store.ledger.submit([store.ledger.prepare(election(fence=0, expected=0))])
            yield store, asked
        finally:
            store.close()


def test_a_look_at_the_head_is_one_statement(measured: tuple[Store, Asked]) -> None:
    store, asked = measured
    heard = asked(store.ledger.head)

    assert 1 == len(heard.statements), heard.all
    assert 1 == len(heard.all)


def test_a_renewal_is_one_statement(measured: tuple[Store, Asked]) -> None:
    store, asked = measured
    heard = asked(lambda: store.ledger.renew(Term(1), HOUR))

    assert 1 == len(heard.statements), heard.all


def test_a_sign_of_life_is_one_statement(measured: tuple[Store, Asked]) -> None:
    store, asked = measured
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def beat() -> None:
        with store.writing() as connection:
            instances.beat(connection, HERE, now)

    heard = asked(beat)

    assert 1 == len(heard.statements), heard.all


def test_views_at_the_head_cost_two_statements_and_write_nothing(measured: tuple[Store, Asked]) -> None:
    store, asked = measured
    heard = asked(lambda: fold.catch_up(store))

    assert 2 == len(heard.statements), heard.all
    assert 0 == heard.commits


@pytest.mark.parametrize("runs", [1, 100])
def test_a_run_is_two_commits_however_many_run_at_once(measured: tuple[Store, Asked], runs: int) -> None:
    """A trigger with its claim, and the outcome; those of all runs that are due together share them."""
    store, asked = measured
    is_sqlite = store.kind == "sqlite"
    fire_at = datetime(2020, 1, 1, tzinfo=UTC)

    def perform() -> None:
        nonlocal fire_at
        names = []
        begun = []
        for _ in range(runs):
            fire_at += timedelta(seconds=1)
            names.append(scheduled_run(JOB.name, fire_at))
            begun.append(store.ledger.prepare(triggered(names[-1], fire_at)))
        store.ledger.submit(begun)
        store.ledger.submit([store.ledger.prepare(ended(name)) for name in names])

    heard = asked(perform)
    statements = len(heard.statements)

    assert (2 if is_sqlite else 0) == heard.commits
    assert is_sqlite or 2 == statements, heard.all
    assert statements <= MOST_STATEMENTS, heard.all


def triggered(name: RunId, fire_at: datetime) -> Item:
    trigger = run.trigger(JOB, name, e.Cause.SCHEDULE, e.Actor.engine("planner"), fire_at=fire_at)
    quiet = Quiet(JOB.name, 10**9)  # type: ignore[arg-type] # a position that is far ahead
    guard = Write(job_stream(JOB.name), (), expected=START, quiet_since=quiet)
    return Item((guard, Write(run_stream(name), (trigger, run.start_of(trigger)))), fence=Term(1))


def ended(name: RunId) -> Item:
    event = e.Event(body=e.RunSucceeded(), actor=e.Actor.engine("dispatcher"), job=JOB.name, run_id=name)
    return Item((Write(run_stream(name), (event,), expected=2),))
