"""Triggering in an application's own transaction: committed means one run, rolled back means none."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from cronledger import Scheduler, job
from cronledger.domain.ids import RunId
from cronledger.errors import LedgerUnreachable, SchemaOutdated, UnknownJob, UsageError
from cronledger.ledger import inbox
from cronledger.ledger.database import Store
from cronledger.ledger.schema import INBOX
from tests.conftest import lines_of, opened
from tests.waiting import eventually


@job(extension="shop")
def ship() -> None:
    """Send what was ordered."""


def shop(url: str) -> Scheduler:
    return Scheduler(database_url=url, jobs=[ship])


def asked(scheduler: Scheduler, connection: object, **more: Any) -> RunId:
    return asyncio.run(scheduler.trigger("ship", {"order": 7}, connection=connection, **more))


def rows(url: str) -> list[Any]:
    store = opened(url)
    with store.reading() as connection:
        found = inbox.waiting(connection, 10)
    store.close()
    return found


def application(url: str) -> Engine:
    """Return the application's own engine for the database that also holds the ledger."""
    return create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)


@pytest.fixture
def engine(sql_url: str) -> Iterator[Engine]:
    """Return the application's own engine, with a table of its own."""
    engine = application(sql_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER)"))
    yield engine
    engine.dispose()


# --- writing --------------------------------------------------------------------------------------------


def test_a_request_is_seen_once_it_is_committed(store: Store, ledger_url: str) -> None:
    with store.writing() as connection:
        run_id = asked(shop(ledger_url), connection, reason="paid")
    (found,) = rows(ledger_url)

    assert store.ledger.head().has_requests
    assert (run_id, "ship", {"order": 7}, "application", "paid") == (
        found.run_id, found.job, found.parameters, found.actor, found.reason,
    )  # fmt: skip


def test_a_request_that_is_rolled_back_leaves_nothing(store: Store, ledger_url: str) -> None:
    def fail() -> None:
        with store.writing() as connection:
            asked(shop(ledger_url), connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert not store.ledger.head().has_requests


@pytest.mark.parametrize("parameters", ["nonsense", "[1]", "", '{"a": ' + "[" * 2000])
def test_parameters_that_somebody_else_has_written_badly_are_told_as_a_problem(
    store: Store, parameters: str
) -> None:
    row = {"id": "0" * 32, "written_at": 1, "job": "ship", "parameters": parameters, "actor": "x"}
    with store.writing() as connection:
        connection.execute(INBOX.insert(), row)
    with store.reading() as connection:
        (found,) = inbox.waiting(connection, 10)

    assert {} == found.parameters
    assert "the parameters are not a JSON object" in (found.problem or "")


def test_the_oldest_requests_come_first_and_no_more_than_asked_for(store: Store) -> None:
    row = {"written_at": 1, "job": "ship", "parameters": "{}", "actor": "x"}
    with store.writing() as connection:
        connection.execute(INBOX.insert(), [row | {"id": f"{number:032x}"} for number in (3, 1, 2)])
        oldest = inbox.waiting(connection, 2)
        inbox.remove(connection, [each.id for each in oldest])
        left = inbox.waiting(connection, 2)

    assert [f"{1:032x}", f"{2:032x}"] == [each.id for each in oldest]
    assert [f"{3:032x}"] == [each.id for each in left]


def over_a_connection(engine: Engine, ask: Callable[[object], RunId], *, commit: bool) -> None:
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO orders VALUES (7)"))
        ask(connection)
        connection.commit() if commit else connection.rollback()


def over_a_session(engine: Engine, ask: Callable[[object], RunId], *, commit: bool) -> None:
    with Session(engine) as session:
        session.execute(text("INSERT INTO orders VALUES (7)"))
        ask(session)
        session.commit() if commit else session.rollback()


def over_a_scoped_session(engine: Engine, ask: Callable[[object], RunId], *, commit: bool) -> None:
    """What Flask calls `db.session`."""
    session = scoped_session(sessionmaker(engine))
    session.execute(text("INSERT INTO orders VALUES (7)"))
    ask(session)
    session.commit() if commit else session.rollback()
    session.remove()


def over_the_driver(engine: Engine, ask: Callable[[object], RunId], *, commit: bool) -> None:
    """Whatever rows the application wants to get from its connection."""
    connection: Any
    if engine.dialect.name == "sqlite":
        connection = sqlite3.connect(str(engine.url.database))
        connection.row_factory = lambda _cursor, row: {"first": row[0]}
    else:
        connection = psycopg.connect(address_of(engine), row_factory=dict_row)
    connection.execute("INSERT INTO orders VALUES (7)")
    ask(connection)
    connection.commit() if commit else connection.rollback()
    connection.close()


def address_of(engine: Engine) -> str:
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


WAYS = pytest.mark.parametrize(
    "way", [over_a_connection, over_a_session, over_a_scoped_session, over_the_driver]
)


@WAYS
@pytest.mark.parametrize("commit", [True, False])
def test_the_request_shares_the_fate_of_the_application_s_own_rows(
    engine: Engine, sql_url: str, way: Callable[..., None], commit: bool
) -> None:
    scheduler = shop(sql_url)
    way(engine, lambda connection: asked(scheduler, connection), commit=commit)
    with engine.connect() as connection:
        orders = connection.execute(text("SELECT count(*) FROM orders")).scalar_one()

    assert (int(commit), int(commit)) == (orders, len(rows(sql_url)))


def test_the_same_key_names_the_same_run(engine: Engine, sql_url: str) -> None:
    scheduler = shop(sql_url)
    with engine.begin() as connection:
        names = {asked(scheduler, connection, key="order-7", actor="shop") for _ in range(2)}

    assert 1 == len(names)


@pytest.mark.parametrize("commit", [True, False])
def test_a_pipeline_of_psycopg_is_a_transaction_like_any_other(postgres_url: str, commit: bool) -> None:
    """The connection was said not to lead to the ledger: what a statement returns was not known yet."""
    with closing(psycopg.connect(postgres_url)) as connection:
        with connection.pipeline():
            asked(shop(postgres_url), connection)
        connection.commit() if commit else connection.rollback()

    assert int(commit) == len(rows(postgres_url))


@pytest.mark.parametrize("kind", [psycopg.RawCursor, psycopg.ClientCursor, psycopg.RawServerCursor])
def test_an_application_s_own_kind_of_cursor_does_not_matter(postgres_url: str, kind: Any) -> None:
    """A RawCursor takes no parameters by name: a bare TypeError."""
    with psycopg.connect(postgres_url) as connection:
        connection.cursor_factory = kind
        asked(shop(postgres_url), connection)

    assert 1 == len(rows(postgres_url))


def test_whatever_an_application_makes_of_text_its_connection_leads_to_the_ledger(sqlite_url: str) -> None:
    """With `text_factory = bytes` the right database was refused as another one."""
    with closing(sqlite3.connect(file_of(sqlite_url))) as connection, connection:
        connection.text_factory = bytes
        asked(shop(sqlite_url), connection)

    assert 1 == len(rows(sqlite_url))


def test_tables_of_the_application_s_own_do_not_hide_the_ledger_s(sqlite_url: str) -> None:
    """The request was committed to a temporary table of the same name, and the run never came."""
    with closing(sqlite3.connect(file_of(sqlite_url))) as connection, connection:
        for table in ("head", "inbox"):
            connection.execute(f"CREATE TEMP TABLE {table} AS SELECT * FROM main.{table}")
        asked(shop(sqlite_url), connection)

    assert 1 == len(rows(sqlite_url))


def file_of(url: str) -> str:
    return url.removeprefix("sqlite:///")


# --- refused --------------------------------------------------------------------------------------------


NOT_TEXT: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"job": "ship", "key": 7}, UsageError),
    ({"job": "ship", "actor": ["ann"]}, UsageError),
    ({"job": "ship", "reason": 404}, UsageError),
    ({"job": "ship", "params": ["order"]}, UsageError),
    ({"job": 5}, UnknownJob),
]


@pytest.mark.parametrize(("arguments", "problem"), NOT_TEXT)
def test_what_is_no_text_is_refused_without_a_connection_too(
    ledger_url: str, arguments: dict[str, Any], problem: type[Exception]
) -> None:
    """A reason that was none went into the ledger, and nobody could read it any more."""
    with pytest.raises(problem):
        asyncio.run(shop(ledger_url).trigger(**arguments))

    assert [] == lines_of(ledger_url)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"job": "shipp"}, UnknownJob),
        ({"job": "ship", "params": {"order": object()}}, UsageError),
        ({"job": "ship", "params": {"": 1}}, UsageError),
        ({"job": "ship", "key": "a\0b"}, UsageError),
        *NOT_TEXT,
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_written(
    engine: Engine, sql_url: str, arguments: dict[str, Any], problem: type[Exception]
) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO orders VALUES (7)"))
        with pytest.raises(problem):
            asyncio.run(shop(sql_url).trigger(**arguments, connection=connection))
        connection.execute(text("INSERT INTO orders VALUES (8)"))

    assert [] == rows(sql_url)


def test_a_connection_to_another_ledger_is_refused(
    sqlite_url: str, postgres_url: str, tmp_path: Path
) -> None:
    refused = []
    with sqlite3.connect(tmp_path / "other.db") as empty, application(postgres_url).connect() as other:
        for connection in (empty, other):
            with pytest.raises(UsageError, match="does not lead to the ledger sqlite:") as caught:
                asked(shop(sqlite_url), connection)
            refused.append(str(caught.value))
        still_usable = other.execute(text("SELECT 1")).scalar_one()
    empty.close()

    assert (2, 1) == (len(refused), still_usable)


def test_a_transaction_outlives_a_connection_that_leads_elsewhere(
    postgres_url: str, empty_postgres_url: str
) -> None:
    """A statement that fails would spoil it on PostgreSQL."""
    engine = application(empty_postgres_url)
    with engine.begin() as connection:
        with pytest.raises(UsageError, match="does not lead to the ledger"):
            asked(shop(postgres_url), connection)
        connection.execute(text("CREATE TABLE orders (id INTEGER)"))
    engine.dispose()


def test_a_copy_of_the_tables_is_not_the_ledger(sqlite_url: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    shop(other).open().close()
    with application(other).connect() as connection, pytest.raises(UsageError, match="does not lead"):
        asked(shop(sqlite_url), connection)


@pytest.mark.parametrize(
    ("mode", "problem", "says"),
    [
        ("WAL", SchemaOutdated, "has no cronledger schema"),
        ("DELETE", LedgerUnreachable, "cannot become a ledger while somebody has a transaction open in it"),
    ],
)
def test_a_ledger_that_nobody_has_made_yet_is_not_made_in_an_application_s_transaction(
    tmp_path: Path, mode: str, problem: type[Exception], says: str
) -> None:
    """It was said to be locked by another process for ten seconds, and the lock was the caller's own."""
    file = tmp_path / "shop.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE orders (id INTEGER)")
        connection.execute("INSERT INTO orders VALUES (7)")
        with pytest.raises(problem, match=says) as caught:
            asked(shop(f"sqlite:///{file}"), connection)
        connection.commit()

    assert "`cronledger db upgrade`" in str(getattr(caught.value, "hint", ""))


@pytest.mark.parametrize("thing", ["a text", 7, application])
def test_what_is_no_connection_is_refused(memory_url: str, thing: object) -> None:
    with pytest.raises(UsageError, match="is no connection that a run can be triggered over"):
        asked(shop(memory_url), thing)


# --- sequenced by a leader ------------------------------------------------------------------------------


def runs(url: str) -> dict[str, list[str]]:
    """Return what the ledger says of each manual run."""
    found: dict[str, list[str]] = {}
    for line in lines_of(url):
        if line["cause"] == "manual":
            found.setdefault(line["run_id"], []).append(line["type"])
    return found


def test_a_leader_makes_one_run_of_each_request_and_empties_the_inbox(ledger_url: str) -> None:
    async def program() -> list[RunId]:
        async with shop(ledger_url).running() as scheduler:
            wanted = [await one(scheduler, key) for key in ("a", "b", "b", None)]
            assert await asyncio.to_thread(eventually, have_ended)
            return wanted

    def have_ended() -> bool:
        ends = [events[-1] for events in runs(ledger_url).values()]
        return 3 == len(ends) and set(ends) <= {"run.succeeded", "run.cancelled"}

    async def one(scheduler: Scheduler, key: str | None) -> RunId:
        store = opened(ledger_url)
        with store.writing() as connection:
            run_id = await scheduler.trigger("ship", connection=connection, key=key)
        store.close()
        return run_id

    wanted = asyncio.run(program())
    found = runs(ledger_url)

    assert set(wanted) == set(found)
    assert [1, 1, 1] == [events.count("run.triggered") for events in found.values()]
    assert [] == rows(ledger_url)
