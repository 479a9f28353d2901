"""Which rows the jobs of `core` remove: just those that their rules single out, on both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from cronledger import Job
from cronledger.domain.run import Outcome, RunState
from cronledger.extensions.core.cleanup_anonymous_users import CleanupAnonymousUsers
from cronledger.extensions.core.cleanup_empty_contexts import TRACES, CleanupEmptyContexts
from cronledger.extensions.core.cleanup_inactive_sessions import CleanupInactiveSessions
from cronledger.extensions.core.database_cleanup import CREDENTIALS, DatabaseCleanup
from cronledger.extensions.core.log_cleanup import LogCleanup
from cronledger.ledger.application import application_engine
from cronledger.testing import ManualClock, perform
from tests.unit.extensions.app_rows import INSTANT, LONG_AGO, add, keys, value
from tests.unit.extensions.conftest import NOON

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ANONYMOUS = {"roles": ["anonymous"], "created_at": LONG_AGO}
CREDENTIAL_COLUMNS = [(name, column) for name, (column, _) in CREDENTIALS.items()]


def ran(job: Job, db: Engine, *, config: Path | None = None, **params: Any) -> RunState:
    """Run a job at noon to its good end."""
    given = {name: str(each) for name, each in params.items()}
    run = asyncio.run(perform(job, db=db, params=given, config=config, clock=ManualClock(NOON)))

    assert (Outcome.SUCCEEDED, None) == (run.outcome, run.error)
    return run


def entry(folder: Path, job: Job, *fields: str) -> Path:
    """Write a configuration with one entry."""
    path = folder / "config.yaml"
    lines = ["scheduler:", "  jobs:", f"    - {{extension: core, job: {job.name}, {', '.join(fields)}}}"]
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    return path


# --- anonymous users ------------------------------------------------------------------------------------


def test_an_anonymous_user_is_kept_for_thirty_days_to_the_microsecond(app_db: Engine) -> None:
    at_the_cutoff = add(app_db, "users", roles=["anonymous"], created_at=NOON - 30 * DAY)
    add(app_db, "users", roles=["anonymous"], created_at=NOON - 30 * DAY - INSTANT)

    run = ran(CleanupAnonymousUsers(), app_db)

    assert [at_the_cutoff] == keys(app_db, "users")
    assert (1, 0, "1 anonymous user removed") == (run.items_processed, run.items_failed, run.message)


def test_the_days_of_anonymous_users_are_a_parameter(app_db: Engine) -> None:
    kept = add(app_db, "users", roles=["anonymous"], created_at=NOON - 2 * DAY)
    add(app_db, "users", roles=["anonymous"], created_at=NOON - 2 * DAY - INSTANT)

    ran(CleanupAnonymousUsers(), app_db, retention_days=2)

    assert [kept] == keys(app_db, "users")


@pytest.mark.parametrize(
    ("roles", "left"),
    [
        (["anonymous"], 0),
        (["user", "anonymous"], 0),
        ([], 1),
        (["user"], 1),
        (["anonymous-no-more", "not anonymous"], 1),
        ([["anonymous"]], 1),
    ],
)
def test_who_is_anonymous_is_said_by_a_whole_role(app_db: Engine, roles: list[Any], left: int) -> None:
    add(app_db, "users", roles=roles, created_at=LONG_AGO)

    ran(CleanupAnonymousUsers(), app_db)

    assert left == len(keys(app_db, "users"))


def test_an_open_session_protects_its_anonymous_user(app_db: Engine) -> None:
    protected = add(app_db, "users", **ANONYMOUS)
    add(app_db, "user_sessions", user_id=protected, ended_at=LONG_AGO)
    add(app_db, "user_sessions", user_id=protected)
    gone = add(app_db, "users", **ANONYMOUS)
    session = add(app_db, "user_sessions", user_id=gone, ended_at=LONG_AGO)
    context = add(app_db, "user_contexts", user_id=gone)

    run = ran(CleanupAnonymousUsers(), app_db)

    assert [protected] == keys(app_db, "users")
    assert session in keys(app_db, "user_sessions")
    assert context not in keys(app_db, "user_contexts"), "what belongs to a user goes as the schema says"
    assert 1 == run.items_processed


@pytest.mark.parametrize(
    ("column", "anonymous", "known"),
    [
        ("jsonb", '["anonymous"]', '["user"]'),
        ("text[]", "{user,anonymous}", "{user}"),
    ],
)
def test_roles_may_be_a_jsonb_or_an_array_on_postgresql(
    postgres_app_url: str, column: str, anonymous: str, known: str
) -> None:
    db = application_engine(postgres_app_url)
    with db.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE users DROP COLUMN roles")
        connection.exec_driver_sql(f"ALTER TABLE users ADD COLUMN roles {column}")
        for name, roles in (("a", anonymous), ("k", known), ("n", None)):
            connection.exec_driver_sql(
                "INSERT INTO users (id, name, email, roles, created_at) VALUES (%s, %s, %s, %s, %s)",
                (name, name, name, roles, LONG_AGO),
            )

    ran(CleanupAnonymousUsers(), db)

    assert ["k", "n"] == keys(db, "users")
    db.dispose()


@pytest.mark.parametrize("roles", ["anonymous", "", '["anonymous', None])
def test_roles_that_are_no_json_make_nobody_anonymous_on_sqlite(
    sqlite_app_url: str, roles: str | None
) -> None:
    db = application_engine(sqlite_app_url)
    with db.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE users DROP COLUMN roles")
        connection.exec_driver_sql("ALTER TABLE users ADD COLUMN roles TEXT")
        connection.exec_driver_sql(
            "INSERT INTO users (id, name, email, roles, created_at) VALUES ('u', 'u', 'u', ?, ?)",
            (roles, "2020-01-01 00:00:00.000000"),
        )

    ran(CleanupAnonymousUsers(), db)

    assert ["u"] == keys(db, "users")
    db.dispose()


# --- empty contexts -------------------------------------------------------------------------------------


def test_an_empty_context_is_kept_for_a_day_to_the_microsecond(app_db: Engine) -> None:
    owner = add(app_db, "users")
    at_the_cutoff = add(app_db, "user_contexts", user_id=owner, created_at=NOON - DAY)
    add(app_db, "user_contexts", user_id=owner, created_at=NOON - DAY - INSTANT)

    run = ran(CleanupEmptyContexts(), app_db)

    assert [at_the_cutoff] == keys(app_db, "user_contexts")
    assert (1, "1 empty context removed") == (run.items_processed, run.message)


def test_the_hours_of_empty_contexts_are_a_parameter(app_db: Engine) -> None:
    owner = add(app_db, "users")
    kept = add(app_db, "user_contexts", user_id=owner, created_at=NOON - HOUR)
    add(app_db, "user_contexts", user_id=owner, created_at=NOON - HOUR - INSTANT)

    ran(CleanupEmptyContexts(), app_db, retention_hours=1)

    assert [kept] == keys(app_db, "user_contexts")


@pytest.mark.parametrize("trace", TRACES)
def test_a_trace_of_use_protects_a_context(app_db: Engine, trace: str) -> None:
    owner = add(app_db, "users")
    used = add(app_db, "user_contexts", user_id=owner, created_at=LONG_AGO)
    add(app_db, "user_contexts", user_id=owner, created_at=LONG_AGO)
    add(app_db, trace, context_id=used)

    ran(CleanupEmptyContexts(), app_db)

    assert [used] == keys(app_db, "user_contexts")


@pytest.mark.parametrize(
    ("kind", "has_session", "left"),
    [("cli_session", True, 1), ("cli_session", False, 0), ("user", True, 0), ("user", False, 0)],
)
def test_the_session_of_a_command_line_protects_its_context(
    app_db: Engine, kind: str, has_session: bool, left: int
) -> None:
    owner = add(app_db, "users")
    session = add(app_db, "user_sessions", user_id=owner) if has_session else None
    add(app_db, "user_contexts", user_id=owner, session_id=session, kind=kind, created_at=LONG_AGO)

    ran(CleanupEmptyContexts(), app_db)

    assert left == len(keys(app_db, "user_contexts"))


# --- sessions -------------------------------------------------------------------------------------------


def test_a_session_may_be_idle_for_an_hour_to_the_microsecond(app_db: Engine) -> None:
    add(app_db, "user_sessions", last_activity_at=NOON - HOUR)

    run = ran(CleanupInactiveSessions(), app_db)

    assert value(app_db, "user_sessions", "ended_at") is None
    assert (0, "0 idle sessions closed; 0 ended sessions removed") == (run.items_processed, run.message)


def test_an_idle_session_ends_now_and_stays(app_db: Engine) -> None:
    add(app_db, "user_sessions", last_activity_at=NOON - HOUR - INSTANT)

    run = ran(CleanupInactiveSessions(), app_db)

    assert NOON == value(app_db, "user_sessions", "ended_at")
    assert (1, "1 idle session closed; 0 ended sessions removed") == (run.items_processed, run.message)


def test_the_idle_hours_are_a_parameter(app_db: Engine) -> None:
    add(app_db, "user_sessions", last_activity_at=NOON - 2 * HOUR)

    ran(CleanupInactiveSessions(), app_db, inactive_hours=2)

    assert value(app_db, "user_sessions", "ended_at") is None


def test_a_session_that_has_ended_keeps_its_end(app_db: Engine) -> None:
    add(app_db, "user_sessions", last_activity_at=LONG_AGO, ended_at=NOON - DAY)

    run = ran(CleanupInactiveSessions(), app_db)

    assert NOON - DAY == value(app_db, "user_sessions", "ended_at")
    assert 0 == run.items_processed


def test_a_session_is_kept_for_thirty_days_after_its_end_to_the_microsecond(app_db: Engine) -> None:
    at_the_cutoff = add(app_db, "user_sessions", ended_at=NOON - 30 * DAY)
    add(app_db, "user_sessions", ended_at=NOON - 30 * DAY - INSTANT)

    run = ran(CleanupInactiveSessions(), app_db)

    assert [at_the_cutoff] == keys(app_db, "user_sessions")
    assert (0, "0 idle sessions closed; 1 ended session removed") == (run.items_processed, run.message)


def test_the_days_after_the_end_are_a_parameter(app_db: Engine) -> None:
    kept = add(app_db, "user_sessions", ended_at=NOON - 2 * DAY)
    add(app_db, "user_sessions", ended_at=NOON - 2 * DAY - INSTANT)

    ran(CleanupInactiveSessions(), app_db, purge_after_days=2)

    assert [kept] == keys(app_db, "user_sessions")


# --- logs and credentials -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "parameter"), [(LogCleanup(), "days"), (DatabaseCleanup(), "log_retention_days")]
)
def test_a_log_line_is_kept_for_thirty_days_to_the_microsecond(
    app_db: Engine, job: Job, parameter: str
) -> None:
    recent = add(app_db, "logs", timestamp=NOON - 2 * DAY)
    before = add(app_db, "logs", timestamp=NOON - 2 * DAY - INSTANT)
    at_the_cutoff = add(app_db, "logs", timestamp=NOON - 30 * DAY)
    add(app_db, "logs", timestamp=NOON - 30 * DAY - INSTANT)

    run = ran(job, app_db)

    assert sorted([recent, before, at_the_cutoff]) == keys(app_db, "logs")
    assert 1 == run.items_processed

    ran(job, app_db, **{parameter: 2})

    assert [recent] == keys(app_db, "logs")


def test_log_lines_of_nobody_and_of_known_users_stay_and_orphaned_ones_go(app_db: Engine) -> None:
    of_nobody = add(app_db, "logs", timestamp=NOON)
    of_a_user = add(app_db, "logs", timestamp=NOON, user_id=add(app_db, "users"))
    add(app_db, "logs", timestamp=NOON, user_id="gone")

    run = ran(DatabaseCleanup(), app_db)

    assert sorted([of_nobody, of_a_user]) == keys(app_db, "logs")
    assert run.message is not None
    assert "1 orphaned log line removed" in run.message
    assert 1 == run.items_processed


@pytest.mark.parametrize(("table", "column"), CREDENTIAL_COLUMNS)
def test_a_credential_is_kept_until_it_has_expired(app_db: Engine, table: str, column: str) -> None:
    at_the_end = add(app_db, table, **{column: NOON})
    add(app_db, table, **{column: NOON - INSTANT})

    run = ran(DatabaseCleanup(), app_db)

    assert [at_the_end] == keys(app_db, table)
    assert 1 == run.items_processed


def test_a_used_authorization_code_goes_before_it_expires(app_db: Engine) -> None:
    fresh = add(app_db, "oauth_auth_codes", expires_at=NOON + HOUR)
    add(app_db, "oauth_auth_codes", expires_at=NOON + HOUR, used_at=NOON)

    ran(DatabaseCleanup(), app_db)

    assert [fresh] == keys(app_db, "oauth_auth_codes")


# --- nothing is changed ---------------------------------------------------------------------------------


def everything(db: Engine) -> None:
    """Add a row for every rule."""
    owner = add(db, "users")
    add(db, "users", **ANONYMOUS)
    add(db, "user_contexts", user_id=owner, created_at=LONG_AGO)
    add(db, "user_sessions", last_activity_at=LONG_AGO)
    add(db, "user_sessions", ended_at=LONG_AGO)
    add(db, "logs", timestamp=LONG_AGO)
    add(db, "logs", timestamp=NOON, user_id="gone")
    for table, column in CREDENTIAL_COLUMNS:
        add(db, table, **{column: LONG_AGO})


def rows_of(db: Engine) -> dict[str, list[str]]:
    names = ("users", "user_contexts", "user_sessions", "logs", *CREDENTIALS)
    return {name: keys(db, name) for name in names}


JOBS = (
    (CleanupAnonymousUsers(), "1 anonymous user would be removed"),
    (CleanupEmptyContexts(), "1 empty context would be removed"),
    (
        CleanupInactiveSessions(),
        "1 idle session would be closed; 1 ended session would be removed",
    ),
    (LogCleanup(), "1 old log line would be removed"),
)
COUNTED_LINES = "1 old log line would be removed; 1 orphaned log line would be removed"


@pytest.mark.parametrize(("job", "said"), [*JOBS, (DatabaseCleanup(), COUNTED_LINES)])
def test_a_dry_run_counts_and_changes_nothing(app_db: Engine, job: Job, said: str) -> None:
    everything(app_db)
    before = rows_of(app_db)

    run = ran(job, app_db, dry_run=True)

    assert before == rows_of(app_db)
    assert run.message is not None
    assert run.message.startswith(f"dry run: {said}")
    assert 0 == run.items_processed


@pytest.mark.parametrize(("job", "said"), JOBS)
def test_without_enforce_a_job_counts_and_changes_nothing(
    app_db: Engine, tmp_path: Path, job: Job, said: str
) -> None:
    everything(app_db)
    before = rows_of(app_db)

    run = ran(job, app_db, config=entry(tmp_path, job, "enforce: false"))

    assert before == rows_of(app_db)
    assert (f"enforce is off: {said}", 0) == (run.message, run.items_processed)


def test_without_enforce_log_lines_are_counted_and_expired_credentials_go(
    app_db: Engine, tmp_path: Path
) -> None:
    everything(app_db)
    before = rows_of(app_db)

    run = ran(DatabaseCleanup(), app_db, config=entry(tmp_path, DatabaseCleanup(), "enforce: false"))

    assert before | {name: [] for name in CREDENTIALS} == rows_of(app_db)
    assert run.message is not None
    assert run.message.startswith(f"enforce is off: {COUNTED_LINES}; 1 expired refresh token removed")
    assert len(CREDENTIALS) == run.items_processed
