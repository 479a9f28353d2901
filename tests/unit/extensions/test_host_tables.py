"""A host that has tables of its own: they are left as they are, whatever its keys are made of."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import BigInteger, Column, Engine, MetaData, Table, Uuid, inspect, text
from sqlalchemy.exc import DBAPIError

from cronledger import Job
from cronledger.domain.run import Outcome, RunState
from cronledger.errors import UsageError
from cronledger.extensions.core.cleanup_anonymous_users import CleanupAnonymousUsers
from cronledger.extensions.core.cleanup_empty_contexts import CleanupEmptyContexts
from cronledger.extensions.core.cleanup_inactive_sessions import CleanupInactiveSessions
from cronledger.extensions.core.database_cleanup import DatabaseCleanup
from cronledger.extensions.core.log_cleanup import LogCleanup
from cronledger.extensions.tables import COLUMNS, SPARE, Names
from cronledger.extensions.web.content_analytics_aggregation import ContentAnalyticsAggregation
from cronledger.extensions.web.daily_activity_summary import DailyActivitySummary
from cronledger.extensions.web.daily_traffic_report import DailyTrafficReport
from cronledger.ledger.application import application_engine
from cronledger.migrations import application
from cronledger.testing import ManualClock, perform
from tests.unit.extensions.app_rows import LONG_AGO, add, how_many
from tests.unit.extensions.conftest import NOON

ANONYMOUS, SESSIONS = CleanupAnonymousUsers(), CleanupInactiveSessions()


def ran(job: Job, db: Engine) -> RunState:
    run = asyncio.run(perform(job, db=db, clock=ManualClock(NOON)))

    assert (Outcome.SUCCEEDED, None) == (run.outcome, run.error)
    return run


@pytest.fixture
def empty_db(empty_sql_url: str) -> Iterator[Engine]:
    """Return an engine for a database without tables."""
    engine = application_engine(empty_sql_url)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("key", ["bigint", "text"])
def test_tables_that_are_there_stay_as_they_are(empty_db: Engine, key: str) -> None:
    with empty_db.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE users (id {key} PRIMARY KEY)")

    application.upgrade(empty_db)

    seen = inspect(empty_db)
    assert ["id"] == [column["name"] for column in seen.get_columns("users")]
    assert [] == seen.get_indexes("users")
    assert [] == seen.get_foreign_keys("user_sessions"), "nobody knows what identifies a user there"
    assert ["user_sessions"] == [each["referred_table"] for each in seen.get_foreign_keys("user_contexts")]


def test_what_a_newer_version_has_created_stays_as_it_is(empty_db: Engine) -> None:
    application.upgrade(empty_db)
    with empty_db.begin() as connection:
        connection.exec_driver_sql("UPDATE cronledger_app_version SET version_num = 'app0999'")

    application.upgrade(empty_db)

    assert "app0999" == application.current(empty_db)


def create(db: Engine, name: str, *, without: Collection[str] = (), **kinds: Any) -> None:
    """Create a table as a host may have it: some columns are of other types than ours."""
    of_type = {each: kind for each, kind in COLUMNS[name].items() if each not in without}
    columns = [Column(each, kinds.get(each, kind)) for each, kind in of_type.items()]
    columns[0].primary_key = True
    Table(name, MetaData(), *columns).create(db)


@pytest.mark.parametrize(
    ("kind", "ids"), [(BigInteger(), [1, 2, 3]), (Uuid(), [UUID(int=1), UUID(int=2), UUID(int=3)])]
)
def test_keys_may_be_numbers_or_whatever_a_host_has(empty_db: Engine, kind: Any, ids: list[Any]) -> None:
    create(empty_db, "users", id=kind)
    create(empty_db, "user_sessions", session_id=kind, user_id=kind)
    away, there, known = (_bound(empty_db, each) for each in ids)
    add(empty_db, "users", id=away, roles=["anonymous"], created_at=LONG_AGO)
    add(empty_db, "users", id=there, roles=["anonymous"], created_at=LONG_AGO)
    add(empty_db, "users", id=known, roles=["user"], created_at=LONG_AGO)
    add(empty_db, "user_sessions", session_id=away, user_id=there, last_activity_at=LONG_AGO)

    first, second, third = [ran(job, empty_db) for job in (ANONYMOUS, SESSIONS, ANONYMOUS)]

    assert (1, 1, 1) == (first.items_processed, second.items_processed, third.items_processed)
    assert 1 == how_many(empty_db, "users")
    assert 1 == how_many(empty_db, "user_sessions")


@pytest.mark.parametrize("kind", [BigInteger(), Uuid()])
def test_tables_made_beside_a_host_refer_to_its_keys_by_their_type(empty_db: Engine, kind: Any) -> None:
    create(empty_db, "users", id=kind)
    application.upgrade(empty_db)

    assert 0 == ran(ANONYMOUS, empty_db).items_processed
    assert 0 == ran(DatabaseCleanup(), empty_db).items_processed


def test_a_table_that_has_another_name_is_not_created_and_not_referred_to(empty_db: Engine) -> None:
    create(empty_db, "users")
    with empty_db.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE users RENAME TO accounts")

    application.upgrade(empty_db, Names({"users": "accounts"}).others())

    seen = inspect(empty_db)
    assert not seen.has_table("users")
    assert [] == seen.get_foreign_keys("user_sessions")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"user": "accounts"},
            "application.tables: no built-in job knows a table 'user'; did you mean 'users'?",
        ),
        (
            {"users": {"columns": {"created": "at"}}},
            "application.tables.users.columns: no built-in job knows a column 'created'",
        ),
        (["users"], "application.tables is not a mapping"),
        ({"logs": {"nam": "journal"}}, "application.tables.logs: there is no key 'nam'"),
        ({"logs": {"name": None}}, "application.tables.logs.name is not a name"),
        ({"logs": 5}, "application.tables.logs is not a name"),
        ({"logs": ""}, "application.tables.logs is not a name"),
        ({"logs": {"columns": ["module"]}}, "application.tables.logs.columns is not a mapping"),
        ({"logs": {"columns": {"module": 5}}}, "application.tables.logs.columns.module is not a name"),
    ],
)
def test_names_that_no_job_knows_are_refused(said: Any, message: str) -> None:
    """A key such as `nam` was read past: the job cleaned the table under the built-in name."""
    with pytest.raises(UsageError, match=re.escape(message)):
        Names(said)


def test_no_column_is_asked_for_that_no_job_touches(empty_db: Engine) -> None:
    """A host's `logs` without `trace_id` could not be cleaned, though nothing reads it."""
    for name in COLUMNS:
        create(empty_db, name, without=SPARE.get(name, ()))
    add(empty_db, "users", roles=["anonymous"], created_at=LONG_AGO)

    jobs = [ANONYMOUS, SESSIONS, CleanupEmptyContexts(), DatabaseCleanup(), LogCleanup()]
    reports = [ContentAnalyticsAggregation(), DailyTrafficReport(), DailyActivitySummary()]
    assert [1, 0, 0, 0, 0, 0, 1, 1] == [ran(job, empty_db).items_processed for job in (*jobs, *reports)]


def test_one_table_may_serve_under_two_names(app_db: Engine, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("application: {tables: {mcp_tool_executions: governance_decisions}}")
    run = asyncio.run(perform(CleanupEmptyContexts(), db=app_db, config=config, clock=ManualClock(NOON)))

    assert (Outcome.SUCCEEDED, 0) == (run.outcome, run.items_processed)


def test_values_of_rows_are_in_no_error(app_db: Engine) -> None:
    with pytest.raises(DBAPIError) as refused, app_db.begin() as connection:
        connection.execute(text("INSERT INTO oauth_refresh_tokens (id) VALUES (:id)"), {"id": "secret-token"})

    assert "secret-token" not in str(refused.value).replace("(secret-token, null)", "")


def _bound(db: Engine, key: Any) -> Any:
    """Return a key as a table that was looked up takes it: SQLite has no type for a UUID."""
    return key.hex if isinstance(key, UUID) and db.dialect.name == "sqlite" else key
