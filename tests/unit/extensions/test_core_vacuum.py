"""What removed rows took is given back: pages of the file, room in tables and indexes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from cronledger.domain.run import Outcome
from cronledger.extensions.core.database_cleanup import DatabaseCleanup
from cronledger.extensions.core.vacuum import LEAST_ROWS, SLICE_PAGES
from cronledger.ledger.application import application_engine
from cronledger.projections.step_state import StepRow
from cronledger.testing import ManualClock, Performed, perform_with_steps
from tests.unit.extensions.app_rows import LONG_AGO, add_all, how_many
from tests.unit.extensions.conftest import NOON

LINE = "x" * 1000
MANY = 6 * LEAST_ROWS
"""Takes more pages of 4 KiB than are given back at once."""


def cleaned(db: Engine, **params: str) -> Performed:
    done = asyncio.run(perform_with_steps(DatabaseCleanup(), db=db, params=params, clock=ManualClock(NOON)))

    assert (Outcome.SUCCEEDED, None) == (done.run.outcome, done.run.error)
    return done


def vacuumed(done: Performed) -> StepRow:
    return next(step for step in done.steps if step.name == "vacuum")


def log_lines(db: Engine, *, old: int, new: int = 0) -> None:
    ages = [LONG_AGO] * old + [NOON] * new
    add_all(db, "logs", [{"timestamp": age, "message": LINE, "level": "info", "module": "m"} for age in ages])


def pragma(db: Engine, name: str) -> int:
    with db.connect() as connection:
        return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())


def asked(db: Engine, word: str) -> list[str]:
    """Return a list that grows by the statements that begin with a word."""
    statements: list[str] = []

    @event.listens_for(db, "after_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(word):
            statements.append(statement)

    return statements


# --- SQLite ---------------------------------------------------------------------------------------------


@pytest.fixture
def sqlite_db(sqlite_app_url: str) -> Any:
    db = application_engine(sqlite_app_url)
    yield db
    db.dispose()


def test_pages_of_removed_rows_are_given_back_to_the_file_system(sqlite_db: Engine) -> None:
    log_lines(sqlite_db, old=MANY)
    full = pragma(sqlite_db, "page_count")

    done = cleaned(sqlite_db)

    assert full - pragma(sqlite_db, "page_count") > SLICE_PAGES
    assert 0 == pragma(sqlite_db, "freelist_count")
    said = str(vacuumed(done).message)
    assert str(done.run.message).endswith(f"; {said}")
    words, _, pages = said.removesuffix(" pages given back").rpartition(", ")
    assert "indexes of logs rebuilt, statistics brought up to date" == words
    assert int(pages) > SLICE_PAGES


def test_indexes_are_rebuilt_and_statistics_gathered(sqlite_db: Engine) -> None:
    log_lines(sqlite_db, old=LEAST_ROWS, new=LEAST_ROWS)
    reindexed, optimized = asked(sqlite_db, "REINDEX"), asked(sqlite_db, "PRAGMA optimize")

    cleaned(sqlite_db)

    assert (["REINDEX logs"], ["PRAGMA optimize"]) == (reindexed, optimized)


@pytest.mark.parametrize(
    ("old", "new"), [(LEAST_ROWS - 1, 0), (LEAST_ROWS, LEAST_ROWS + 1)], ids=["few went", "most stayed"]
)
def test_indexes_that_are_still_well_filled_are_left_alone(sqlite_db: Engine, old: int, new: int) -> None:
    log_lines(sqlite_db, old=old, new=new)
    reindexed = asked(sqlite_db, "REINDEX")

    done = cleaned(sqlite_db)

    assert [] == reindexed
    assert new == how_many(sqlite_db, "logs")
    assert "rebuilt" not in str(vacuumed(done).message)
    assert 0 == pragma(sqlite_db, "freelist_count")


def test_a_file_that_cannot_shrink_keeps_its_pages_and_that_is_said(sqlite_db: Engine) -> None:
    with sqlite_db.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = DELETE")
        connection.exec_driver_sql("PRAGMA auto_vacuum = NONE")
        connection.exec_driver_sql("VACUUM")
    log_lines(sqlite_db, old=100)

    done = cleaned(sqlite_db)

    kept = pragma(sqlite_db, "freelist_count")
    assert kept > 0
    assert str(vacuumed(done).message).endswith(
        f"{kept} free pages kept (the file was not created with auto_vacuum = INCREMENTAL)"
    )


# --- PostgreSQL -----------------------------------------------------------------------------------------


@pytest.fixture
def postgres_db(postgres_app_url: str) -> Any:
    db = application_engine(postgres_app_url)
    yield db
    db.dispose()


def number(db: Engine, statement: str) -> int:
    with db.connect() as connection:
        return int(connection.scalar(text(statement)) or 0)


def test_pages_of_removed_rows_are_given_back_by_postgresql(postgres_db: Engine) -> None:
    log_lines(postgres_db, old=MANY)
    full = number(postgres_db, "SELECT pg_relation_size('logs')")
    asked_for = asked(postgres_db, "VACUUM")

    done = cleaned(postgres_db)

    assert full >= MANY * len(LINE)
    assert 0 == number(postgres_db, "SELECT pg_relation_size('logs')")
    assert ["VACUUM (ANALYZE, INDEX_CLEANUP ON) logs"] == asked_for
    assert str(vacuumed(done).message).startswith("logs vacuumed and analyzed, ")
    assert int(str(vacuumed(done).message).split()[4]) >= full // 1024


def test_rows_that_went_leave_nothing_dead_behind(postgres_db: Engine) -> None:
    log_lines(postgres_db, old=LEAST_ROWS, new=LEAST_ROWS)

    cleaned(postgres_db)

    with postgres_db.begin() as connection:
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pgstattuple")
    assert 0 == number(postgres_db, "SELECT dead_tuple_count FROM pgstattuple('logs')")


def test_tables_that_have_lost_nothing_are_not_vacuumed(postgres_db: Engine) -> None:
    asked_for = asked(postgres_db, "VACUUM")

    done = cleaned(postgres_db)

    assert [] == asked_for
    assert "nothing to vacuum" == vacuumed(done).message


ROLE = "DO $$BEGIN CREATE ROLE cronledger_guest; EXCEPTION WHEN duplicate_object THEN NULL; END$$"


def test_a_vacuum_that_fails_leaves_the_run_partial_and_the_rows_removed(postgres_app_url: str) -> None:
    db = application_engine(f"{postgres_app_url}?options=-c%20lock_timeout%3D50ms")
    log_lines(db, old=1)
    with db.begin() as somebody:
        somebody.exec_driver_sql("LOCK TABLE logs IN SHARE UPDATE EXCLUSIVE MODE")
        done = asyncio.run(perform_with_steps(DatabaseCleanup(), db=db, clock=ManualClock(NOON)))

    assert (Outcome.PARTIAL, "1 step failed") == (done.run.outcome, done.run.error)
    assert "lock timeout" in str(vacuumed(done).error)
    assert 0 == how_many(db, "logs")
    db.dispose()


def test_tables_of_somebody_else_are_named_and_not_said_to_be_vacuumed(postgres_app_url: str) -> None:
    owner = application_engine(postgres_app_url)
    log_lines(owner, old=1)
    with owner.begin() as connection:
        connection.exec_driver_sql(ROLE)
        connection.exec_driver_sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO cronledger_guest")
    db = application_engine(f"{postgres_app_url}?options=-c%20role%3Dcronledger_guest")
    done = asyncio.run(perform_with_steps(DatabaseCleanup(), db=db, clock=ManualClock(NOON)))

    assert Outcome.PARTIAL == done.run.outcome
    assert "logs cannot be vacuumed: this role does not own it" in str(vacuumed(done).error)
    assert 0 == how_many(owner, "logs")
    db.dispose()
    owner.dispose()


# --- both -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value", "why"),
    [("vacuum", "false", "the parameter `vacuum` is false"), ("dry_run", "true", "this run only counts")],
)
def test_a_vacuum_that_is_left_out_is_a_step_with_its_reason(
    app_db: Engine, parameter: str, value: str, why: str
) -> None:
    log_lines(app_db, old=1)

    step = vacuumed(cleaned(app_db, **{parameter: value}))

    assert ("skipped", why) == (step.outcome, step.message)
