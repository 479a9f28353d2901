"""The application's database from the command line: its tables, and two jobs that tidy them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect

from cronledger.clock import SystemClock
from cronledger.ledger.application import application_engine
from cronledger.migrations import application
from tests.cli_runner import Result, run_cli
from tests.unit.extensions.app_rows import add, add_all, keys, value

HEAD = application.HEAD
BY_NAME = {"cleanup-sessions": "cleanup_inactive_sessions", "log-cleanup": "log_cleanup"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def app_db(empty_sql_url: str, here: Path) -> Iterator[Engine]:
    """Return an application's database that a configuration names, once on every database."""
    (here / "services/config").mkdir(parents=True)
    path = here / "services/config/config.yaml"
    path.write_text(f'application: {{database_url: "{empty_sql_url}"}}\n')
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    engine = application_engine(empty_sql_url)
    yield engine
    engine.dispose()


def cli(*args: str, **env: str) -> Result:
    return run_cli(*args, env=env)


# --- app-db ---------------------------------------------------------------------------------------------


def test_the_tables_are_created_in_the_database_that_is_configured(app_db: Engine, here: Path) -> None:
    upgraded = cli("app-db", "upgrade", "--json")

    assert (0, {"previous": None, "current": HEAD, "head": HEAD}) == (upgraded.exit_code, upgraded.json)
    assert inspect(app_db).has_table("user_contexts")
    assert not (here / "cronledger-app.db").exists()


def test_a_second_upgrade_changes_nothing(app_db: Engine) -> None:
    cli("app-db", "upgrade")

    again = cli("app-db", "upgrade", "--json")

    assert {"previous": HEAD, "current": HEAD, "head": HEAD} == again.json
    assert cli("app-db", "upgrade").stdout.endswith(f" is at {HEAD} already\n")


def test_the_current_revision_is_none_before_and_head_after(app_db: Engine) -> None:
    app_db.connect().close()
    before = cli("app-db", "current", "--json")
    cli("app-db", "upgrade")
    after = cli("app-db", "current", "--json")

    assert ({"current": None, "head": HEAD}, {"current": HEAD, "head": HEAD}) == (before.json, after.json)
    assert f"{HEAD}\n" == cli("app-db", "current").stdout


def test_without_a_configured_database_it_is_a_file_beside_the_ledger(here: Path) -> None:
    upgraded = cli("app-db", "upgrade", CRONLEDGER_DATABASE_URL="sqlite:///data.db")

    assert (0, f"sqlite:///data-app.db is at {HEAD}, had none\n") == (upgraded.exit_code, upgraded.stdout)
    assert ["data-app.db"] == sorted(each.name for each in here.iterdir())


def test_a_file_that_is_made_is_private_wherever_it_is(here: Path) -> None:
    """Everybody could read it, though not the ledger beside it."""
    (here / "config.yaml").write_text('application: {database_url: "sqlite:///app.db"}')
    before = os.umask(0)
    cli("app-db", "upgrade")
    cli("--config", "config.yaml", "app-db", "upgrade")
    os.umask(before)

    assert {"app.db": 0o600, "cronledger-app.db": 0o600} == {
        each.name: stat.S_IMODE(each.stat().st_mode) for each in here.glob("*.db")
    }


def test_asking_for_the_revision_makes_no_file(here: Path) -> None:
    asked = cli("app-db", "current", "--json")

    assert (6, "application_database_unreachable") == (asked.exit_code, asked.error["code"])
    assert (
        "the application's database sqlite:///cronledger-app.db cannot be used: there is no such file"
        == asked.error["message"]
    )
    assert "run `cronledger app-db upgrade` to make one" == asked.error["hint"]
    assert [] == list(here.iterdir())


def test_a_file_may_be_named_by_a_uri(here: Path) -> None:
    """Its revision was not told: there was "no such file" as `file:app.db`."""
    (here / "config.yaml").write_text('application: {database_url: "sqlite:///file:app.db?uri=true"}')
    cli("--config", "config.yaml", "app-db", "upgrade")

    assert f"{HEAD}\n" == cli("--config", "config.yaml", "app-db", "current").stdout


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("garbage", "application.database_url is not the URL of a database that can be opened here"),
        ("nosuch://hunter2@db", "application.database_url is not the URL of a database"),
        (
            "mssql+pymssql://app:hunter2@db/app",
            "the driver of 'mssql+pymssql' is not installed here: pymssql",
        ),
        ("postgresql://app:p@hunter2@127.0.0.1:1/app", "write @ in a password as %40"),
    ],
)
def test_a_url_of_nothing_that_can_be_opened_is_an_error_of_the_configuration(
    here: Path, url: str, said: str
) -> None:
    """The exit code was that of a command used wrongly."""
    (here / "config.yaml").write_text(f'application: {{database_url: "{url}"}}')

    for words in (("app-db", "upgrade"), ("infra", "jobs", "run", "log_cleanup"), ("up", "--for", "1s")):
        asked = cli("--config", "config.yaml", *words)

        assert 5 == asked.exit_code
        assert asked.stderr.startswith("cronledger: error: application.database_url")
        assert said in asked.stderr
        assert "hunter2" not in asked.stderr + asked.stdout


def test_no_run_is_triggered_for_which_the_database_cannot_be_had(here: Path) -> None:
    """There was one, cancelled without a word."""
    (here / "config.yaml").write_text(
        """
        application: {database_url: "postgresql://app:${env:NO_SUCH_PASSWORD}@127.0.0.1:1/app"}
        scheduler: {jobs: [{name: log_cleanup, extension: core, schedule: "0 0 * * * *"}]}
        """
    )
    for words in (("run", "log_cleanup"), ("backfill", "log_cleanup", "--from", "3h")):
        asked = cli("--config", "config.yaml", "infra", "jobs", *words)

        assert 5 == asked.exit_code
        assert "NO_SUCH_PASSWORD" in asked.stderr

    assert [] == cli("--config", "config.yaml", "runs", "list", "--json").json["runs"]


def test_a_ledger_that_is_no_file_has_no_database_beside_it() -> None:
    asked = cli("app-db", "upgrade", "--json", CRONLEDGER_DATABASE_URL="memory://nothing-beside")

    assert (2, "usage") == (asked.exit_code, asked.error["code"])
    assert "there is no application database" in asked.error["message"]
    assert "application: {database_url" in asked.error["hint"]


def test_a_database_that_does_not_answer_is_one_sentence_without_its_password(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = here / "config.yaml"
    path.write_text('application: {database_url: "postgresql://app:${env:APP_PASSWORD}@127.0.0.1:1/app"}')
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    monkeypatch.setenv("APP_PASSWORD", "hunter2-hunter2")

    asked = cli("--config", str(path), "app-db", "upgrade")

    assert 6 == asked.exit_code
    assert "cannot be used" in asked.stderr
    assert "hunter2" not in asked.stderr + asked.stdout


def test_a_file_that_is_no_database_is_one_sentence(here: Path) -> None:
    (here / "cronledger-app.db").write_bytes(os.urandom(8192))

    asked = cli("app-db", "upgrade")

    assert (6, 1) == (asked.exit_code, asked.stderr.count("\n"))
    assert "file is not a database" in asked.stderr


# --- shortcuts ------------------------------------------------------------------------------------------


@pytest.fixture
def filled(app_db: Engine) -> Engine:
    """Return a database with an idle session, one that ended long ago, and log lines of 40 and of 2 days."""
    application.upgrade(app_db)
    now = SystemClock().now()
    days = [now - timedelta(days=age) for age in (40, 2)]
    add_all(
        app_db, "logs", [{"id": f"{age}", "timestamp": at} for age, at in zip((40, 2), days, strict=True)]
    )
    add_all(
        app_db,
        "user_sessions",
        [
            {"session_id": "idle", "last_activity_at": now - timedelta(hours=3), "ended_at": None},
            {"session_id": "gone", "last_activity_at": days[0], "ended_at": days[0]},
        ],
    )
    return app_db


def last_run(name: str) -> dict[str, object]:
    """Return the newest line of the history."""
    (run,) = cli("infra", "jobs", "history", "--job", name, "-n", "1", "--json").json["runs"]
    return dict(run)


def test_cleanup_sessions_closes_and_removes_and_is_a_manual_run(filled: Engine) -> None:
    done = cli("infra", "jobs", "cleanup-sessions", "--json")

    said = "1 idle session closed; 1 ended session removed"
    assert 0 == done.exit_code
    assert (1, 1, False, said) == tuple(
        done.json[field] for field in ("sessions_cleaned", "hours_threshold", "dry_run", "message")
    )
    assert ["idle"] == keys(filled, "user_sessions")
    assert value(filled, "user_sessions", "ended_at") is not None
    run = last_run("cleanup_inactive_sessions")
    assert ("manual", "succeeded", 1, said) == tuple(
        run[field] for field in ("cause", "outcome", "items_processed", "message")
    )
    assert done.json["run_id"] == run["run_id"]


def test_log_cleanup_removes_old_lines_and_is_a_manual_run(filled: Engine) -> None:
    done = cli("infra", "jobs", "log-cleanup", "--json")

    assert (0, 1, 30) == (done.exit_code, done.json["entries_deleted"], done.json["days_threshold"])
    assert ["2"] == keys(filled, "logs")
    run = last_run("log_cleanup")
    assert ("manual", 1, "1 old log line removed") == (run["cause"], run["items_processed"], run["message"])


def test_the_limits_may_be_given(filled: Engine) -> None:
    sessions = cli("infra", "jobs", "cleanup-sessions", "--hours", "5", "--json")
    logs = cli("jobs", "log-cleanup", "--days", "1", "--json")

    assert (0, 5) == (sessions.json["sessions_cleaned"], sessions.json["hours_threshold"])
    assert (2, 1) == (logs.json["entries_deleted"], logs.json["days_threshold"])
    assert [] == keys(filled, "logs")


@pytest.mark.parametrize("command", BY_NAME)
def test_a_dry_run_changes_nothing_and_is_known_as_such_in_the_ledger(filled: Engine, command: str) -> None:
    before = keys(filled, "logs"), keys(filled, "user_sessions")

    done = cli("infra", "jobs", command, "--dry-run", "--json")

    assert before == (keys(filled, "logs"), keys(filled, "user_sessions"))
    assert (0, True) == (done.exit_code, done.json["dry_run"])
    run = last_run(BY_NAME[command])
    assert (0, done.json["message"]) == (run["items_processed"], run["message"])
    assert str(run["message"]).startswith("dry run: 1 ")
    shown = cli("runs", "show", str(run["run_id"]), "--json").json["run"]
    assert {"dry_run": True} == shown["parameters"]


@pytest.mark.parametrize(("command", "option"), [("cleanup-sessions", "--hours"), ("log-cleanup", "--days")])
@pytest.mark.parametrize("limit", ["0", "-1", "9999999", "soon"])
def test_a_limit_that_cannot_be_meant_is_refused(command: str, option: str, limit: str) -> None:
    assert 2 == cli("infra", "jobs", command, option, limit).exit_code


def test_the_entry_of_the_job_says_what_is_not_given(filled: Engine, here: Path) -> None:
    path = here / "services/config/config.yaml"
    entry = "{name: tidy-sessions, job: cleanup_inactive_sessions, parameters: {inactive_hours: 5}}"
    path.write_text(f"{path.read_text()}scheduler: {{jobs: [{entry}]}}\n")

    done = cli("infra", "jobs", "cleanup-sessions", "--json")

    assert ("tidy-sessions", 0, 5) == tuple(
        done.json[field] for field in ("job_name", "sessions_cleaned", "hours_threshold")
    )


def test_a_run_that_fails_is_shown_and_the_exit_code_says_so(app_db: Engine) -> None:
    done = cli("infra", "jobs", "log-cleanup", "--json")

    assert (1, "failed") == (done.exit_code, done.json["outcome"])
    assert "no table 'logs': run `cronledger app-db upgrade`" in done.json["error"]


def test_without_any_configuration_the_shortcuts_work_on_a_database_of_their_own(here: Path) -> None:
    done = cli("infra", "jobs", "log-cleanup")

    assert 0 == done.exit_code
    assert (here / "cronledger-app.db").exists()
    database = application_engine("sqlite:///cronledger-app.db")
    line = add(database, "logs")
    assert 0 == cli("infra", "jobs", "log-cleanup").exit_code
    assert line not in keys(database, "logs")
    database.dispose()
