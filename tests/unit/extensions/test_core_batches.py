"""How the jobs of `core` go through many rows: a batch at a time, and under the names that a host has."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from cronledger import Job, JobContext
from cronledger.domain.events import Cause
from cronledger.domain.ids import RunId
from cronledger.domain.run import Outcome, RunState
from cronledger.errors import UsageError
from cronledger.extensions.core.cleaning import BATCH_ROWS, remove
from cronledger.extensions.core.cleanup_anonymous_users import CleanupAnonymousUsers
from cronledger.extensions.core.cleanup_empty_contexts import CleanupEmptyContexts
from cronledger.extensions.core.cleanup_inactive_sessions import CleanupInactiveSessions
from cronledger.extensions.core.database_cleanup import DatabaseCleanup
from cronledger.extensions.core.log_cleanup import Limits, LogCleanup, old_lines
from cronledger.extensions.core.provided import core
from cronledger.extensions.tables import COLUMNS, tables
from cronledger.jobs.api import RunInfo
from cronledger.ledger.application import application_engine
from cronledger.testing import ManualClock, perform
from tests.unit.extensions.app_rows import INSTANT, LONG_AGO, add, add_all, how_many, keys
from tests.unit.extensions.conftest import NOON

CLEANUPS = [CleanupAnonymousUsers(), CleanupEmptyContexts(), CleanupInactiveSessions(), DatabaseCleanup()]
EMPTIED = ("users", "user_contexts", "user_sessions", "logs")
MANY = 2 * BATCH_ROWS + BATCH_ROWS // 2


def ran(
    job: Job, db: Engine, *, config: Path | None = None, params: dict[str, str] | None = None
) -> RunState:
    return asyncio.run(perform(job, db=db, params=params, config=config, clock=ManualClock(NOON)))


def changes(db: Engine) -> list[int]:
    """Return a list that grows by the rows of each statement that removes or changes some."""
    changed: list[int] = []

    @event.listens_for(db, "after_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("DELETE", "UPDATE")):
            changed.append(cursor.rowcount)

    return changed


def context(db: Engine, **given: Any) -> JobContext:
    """Return what a run of `log_cleanup` is given."""
    run = RunInfo(
        id=RunId("log_cleanup@here"), job="log_cleanup", attempt=1, fire_at=None, cause=Cause.MANUAL, fence=1
    )
    no_steps: Any = None
    return JobContext(run, steps=no_steps, params=Limits(), db=db, now=lambda: NOON, **given)


# --- batches --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [INSTANT, timedelta(0)], ids=["one after the other", "all at once"])
def test_no_transaction_removes_more_rows_than_a_batch(app_db: Engine, apart: timedelta) -> None:
    add_all(app_db, "logs", [{"timestamp": LONG_AGO + number * apart} for number in range(MANY)])
    kept = add(app_db, "logs", timestamp=NOON)
    removed = changes(app_db)

    run = ran(LogCleanup(), app_db)

    assert [BATCH_ROWS, BATCH_ROWS, BATCH_ROWS // 2] == removed
    assert [kept] == keys(app_db, "logs")
    assert MANY == run.items_processed


def test_no_transaction_closes_more_sessions_than_a_batch(app_db: Engine) -> None:
    add_all(app_db, "user_sessions", [{"last_activity_at": LONG_AGO}] * MANY)
    closed = changes(app_db)

    run = ran(CleanupInactiveSessions(), app_db)

    assert [BATCH_ROWS, BATCH_ROWS, BATCH_ROWS // 2] == closed
    assert MANY == run.items_processed


def test_orphans_go_in_batches_past_the_lines_that_stay(app_db: Engine) -> None:
    users = ["user-0", "user-1", "user-2"]
    add_all(app_db, "users", [{"id": user} for user in users])
    owners = ["gone-0", *users, "zoe-is-gone"]
    rows = [{"timestamp": NOON, "user_id": owners[number % len(owners)]} for number in range(MANY)]
    add_all(app_db, "logs", rows)

    run = ran(DatabaseCleanup(), app_db, params={"vacuum": "false"})

    assert MANY * 3 // 5 == how_many(app_db, "logs")
    assert MANY * 2 // 5 == run.items_processed


def test_users_that_are_protected_do_not_hold_up_those_behind_them(app_db: Engine) -> None:
    users = add_all(app_db, "users", [{"roles": ["anonymous"], "created_at": LONG_AGO}] * MANY)
    protected = sorted(users[: BATCH_ROWS + 1])
    add_all(app_db, "user_sessions", [{"user_id": user} for user in protected])

    run = ran(CleanupAnonymousUsers(), app_db)

    assert protected == keys(app_db, "users")
    assert MANY - len(protected) == run.items_processed


def test_a_run_that_is_stopped_keeps_what_it_has_done(app_db: Engine) -> None:
    add_all(app_db, "logs", [{"timestamp": LONG_AGO}] * MANY)
    told: list[float] = []
    ctx = context(
        app_db,
        is_cancelled=lambda: how_many(app_db, "logs") < MANY,
        progress=lambda done, _total, _message: told.append(done),
    )
    rows = old_lines(ctx, tables(ctx, "logs").logs, 30)

    result = remove(ctx, rows)

    assert BATCH_ROWS == result.items_processed
    assert MANY - BATCH_ROWS == how_many(app_db, "logs")
    assert [BATCH_ROWS] == told


def test_a_run_after_one_that_was_stopped_does_the_rest(app_db: Engine) -> None:
    add_all(app_db, "logs", [{"timestamp": LONG_AGO}] * MANY)
    ctx = context(app_db, is_cancelled=lambda: how_many(app_db, "logs") < MANY)
    remove(ctx, old_lines(ctx, tables(ctx, "logs").logs, 30))

    run = ran(LogCleanup(), app_db)

    assert 0 == how_many(app_db, "logs")
    assert MANY - BATCH_ROWS == run.items_processed


def test_a_message_that_comes_while_a_batch_is_looked_up_protects_its_context(app_db: Engine) -> None:
    owner = add(app_db, "users")
    contexts = add_all(app_db, "user_contexts", [{"user_id": owner, "created_at": LONG_AGO}] * 2)
    others = application_engine(app_db.url.render_as_string(hide_password=False))

    @event.listens_for(app_db, "after_cursor_execute")
    def speak(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT") and "LIMIT" in statement:
            add(others, "task_messages", context_id=contexts[0])

    run = ran(CleanupEmptyContexts(), app_db)

    assert contexts[:1] == keys(app_db, "user_contexts")
    assert 1 == run.items_processed
    others.dispose()


def test_a_row_that_somebody_holds_is_left_to_the_next_run(postgres_app_url: str) -> None:
    db = application_engine(postgres_app_url)
    held, _ = add_all(db, "logs", [{"timestamp": LONG_AGO}] * 2)
    with db.begin() as somebody:
        somebody.execute(text("SELECT id FROM logs WHERE id = :id FOR UPDATE"), {"id": held})
        first = ran(LogCleanup(), db)
        left = keys(db, "logs")
    second = ran(LogCleanup(), db)

    assert [held] == left
    assert (1, 1) == (first.items_processed, second.items_processed)
    assert [] == keys(db, "logs")
    db.dispose()


def test_a_session_that_is_being_opened_protects_its_user(postgres_app_url: str) -> None:
    db = application_engine(postgres_app_url)
    user = add(db, "users", roles=["anonymous"], created_at=LONG_AGO)
    with db.begin() as somebody:
        somebody.execute(
            text(
                "INSERT INTO user_sessions (session_id, user_id, started_at, last_activity_at) "
                "VALUES ('s', :user, :now, :now)"
            ),
            {"user": user, "now": NOON},
        )
        run = ran(CleanupAnonymousUsers(), db)

    assert 0 == run.items_processed
    assert [user] == keys(db, "users")
    db.dispose()


# --- names ----------------------------------------------------------------------------------------------


def renamed(db: Engine, folder: Path) -> Path:
    """Give every table and column of a database another name, and return a configuration that says so."""
    lines = ["application:", "  tables:"]
    with db.begin() as connection:
        for name, columns in COLUMNS.items():
            lines += [f"    {name}:", f'      name: "The {name}"', "      columns:"]
            for column in columns:
                connection.exec_driver_sql(f'ALTER TABLE {name} RENAME COLUMN "{column}" TO "My {column}"')
                lines.append(f'        {column}: "My {column}"')
            connection.exec_driver_sql(f'ALTER TABLE {name} RENAME TO "The {name}"')
    return configured(folder, *lines)


def configured(folder: Path, *lines: str) -> Path:
    path = folder / "config.yaml"
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    return path


def test_a_host_may_call_every_table_and_column_what_it_likes(app_db: Engine, tmp_path: Path) -> None:
    add(app_db, "users", roles=["anonymous"], created_at=LONG_AGO)
    owner = add(app_db, "users")
    add(app_db, "user_contexts", user_id=owner, created_at=LONG_AGO)
    add_all(app_db, "user_sessions", [{"last_activity_at": LONG_AGO}, {"ended_at": LONG_AGO}])
    add_all(app_db, "logs", [{"timestamp": LONG_AGO}, {"timestamp": NOON, "user_id": "gone"}])
    config = renamed(app_db, tmp_path)

    runs = [ran(job, app_db, config=config) for job in CLEANUPS]

    assert {(Outcome.SUCCEEDED, None)} == {(run.outcome, run.error) for run in runs}
    left = {name: how_many(app_db, f'"The {name}"') for name in EMPTIED}
    assert {"users": 1, "user_contexts": 0, "user_sessions": 1, "logs": 0} == left


def test_a_table_may_stand_in_another_schema(postgres_app_url: str, tmp_path: Path) -> None:
    db = application_engine(postgres_app_url)
    add_all(db, "logs", [{"timestamp": LONG_AGO}, {"timestamp": NOON}])
    with db.begin() as connection:
        for statement in (
            "CREATE SCHEMA journal",
            "ALTER TABLE logs SET SCHEMA journal",
            "ALTER TABLE journal.logs RENAME TO entries",
        ):
            connection.exec_driver_sql(statement)

    config = configured(tmp_path, "application: {tables: {logs: journal.entries}}")
    run = ran(DatabaseCleanup(), db, config=config)

    assert (Outcome.SUCCEEDED, 1, None) == (run.outcome, run.items_processed, run.error)
    assert "journal.entries vacuumed and analyzed" in str(run.message)
    db.dispose()


def test_a_table_that_is_not_there_is_named(app_db: Engine, tmp_path: Path) -> None:
    """Of a table that has another name here, `app-db upgrade` was advised, which does not make it."""
    called = configured(tmp_path, "application: {tables: {logs: journal}}")

    by_another_name = ran(LogCleanup(), app_db, config=called)
    with app_db.begin() as connection:
        connection.exec_driver_sql("DROP TABLE logs")
    by_its_own = ran(LogCleanup(), app_db)

    assert (Outcome.FAILED, Outcome.FAILED) == (by_another_name.outcome, by_its_own.outcome)
    assert (
        "TableMissing: the application's database has no table 'journal': application.tables says that it "
        "calls 'logs' so"
    ) == by_another_name.error
    assert (
        "TableMissing: the application's database has no table 'logs': run `cronledger app-db upgrade`, "
        "or say under application.tables what it calls 'logs'"
    ) == by_its_own.error


def test_a_column_that_is_not_there_is_named(app_db: Engine) -> None:
    with app_db.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE oauth_auth_codes DROP COLUMN used_at")
    line = add(app_db, "logs", timestamp=LONG_AGO)

    run = ran(DatabaseCleanup(), app_db)

    assert (
        "TableMissing: table 'oauth_auth_codes' of the application's database has no column 'used_at': add "
        "it, or say under application.tables.oauth_auth_codes.columns what it is called"
    ) == run.error
    assert [line] == keys(app_db, "logs"), "nothing is done before everything is known to be there"


def test_without_a_database_a_job_says_so() -> None:
    run = asyncio.run(perform(LogCleanup(), clock=ManualClock(NOON)))

    assert (Outcome.FAILED, "DatabaseNotAvailable: Database not available") == (run.outcome, run.error)


# --- parameters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["0", "-1", "36501", "soon", "1.5"])
def test_days_that_cannot_be_meant_are_refused(app_db: Engine, value: str) -> None:
    with pytest.raises(UsageError, match="parameter 'days' of job 'log_cleanup' cannot be"):
        ran(LogCleanup(), app_db, params={"days": value})


def test_a_parameter_that_does_not_exist_is_refused(app_db: Engine) -> None:
    with pytest.raises(UsageError, match="no parameter 'hours'"):
        ran(LogCleanup(), app_db, params={"hours": "3"})


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("cleanup_anonymous_users", "0 0 * * * *"),
        ("cleanup_empty_contexts", "0 0 */2 * * *"),
        ("cleanup_inactive_sessions", "0 */10 * * * *"),
        ("database_cleanup", "0 0 3 * * *"),
        ("log_cleanup", ""),
    ],
)
def test_a_job_has_a_schedule_of_its_own(name: str, schedule: str) -> None:
    (job,) = (each for each in core.jobs() if each.name == name)

    assert (schedule, True) == (job.schedule, job.idempotent)


def test_rows_that_others_refer_to_are_kept_and_counted_and_the_rest_goes(app_db: Engine) -> None:
    for number in range(5):
        add(app_db, "users", id=f"guest-{number}", roles=["anonymous"], created_at=LONG_AGO)
    with app_db.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE orders (owner TEXT REFERENCES users (id) ON DELETE RESTRICT)"
        )
        connection.exec_driver_sql("INSERT INTO orders VALUES ('guest-2')")
    run = asyncio.run(perform(CleanupAnonymousUsers(), db=app_db, clock=ManualClock(NOON)))

    assert ("4 anonymous users removed, 1 kept because other rows refer to them", 4, 1) == (
        run.message,
        run.items_processed,
        run.items_failed,
    )
