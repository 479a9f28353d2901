"""Documents 002 and 004, "Job Extension": the same text twice; 002 adds the startup rule."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cronledger import Job, JobContext, JobResult, Scheduler, job
from cronledger.jobs.discovery import add
from cronledger.jobs.registry import Registry
from cronledger.testing import perform
from tests.e2e.source_documents.project import Project, project_of
from tests.e2e.source_documents.samples.job_extension import CleanupJob, MyExtension, SyncJob

ENTRIES = """
    - name: cleanup
      extension: my-extension
      job: cleanup
      enabled: false
    - extension: my-extension
      job: sync
"""
PROFILE = """\
scheduler:
  jobs:
    - extension: my-extension
      job: cleanup
      schedule: "0 */30 * * * *"  # Override to every 30 minutes
      enabled: true
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with the extension, and a database with one record that has expired."""
    project = project_of(
        tmp_path / "project",
        extensions="['job_extension:MyExtension']",
        entries=ENTRIES,
        application="{database_url: 'sqlite:///app.db'}",
    )
    with sqlite3.connect(project.folder / "app.db") as db:
        db.execute("CREATE TABLE temp_records (expires_at TEXT)")
        db.execute(
            "INSERT INTO temp_records VALUES (datetime('now', '-1 hour')), (datetime('now', '+1 hour'))"
        )
    db.close()
    return project


@pytest.mark.parametrize("provider", [MyExtension, MyExtension()], ids=["class", "object"])
def test_an_extension_adds_the_jobs_of_its_jobs_method(provider: Any) -> None:
    registry = Registry()
    add(registry, provider, "a test")
    (cleanup, sync) = registry.registered()

    assert ("my-extension", "cleanup", "0 0 * * * *") == (cleanup.extension, cleanup.name, cleanup.schedule)
    assert "Clean up expired records" == cleanup.description
    assert (CleanupJob, SyncJob) == (type(cleanup.job), type(sync.job))
    assert (False, True) == (cleanup.run_on_startup, sync.run_on_startup)


def test_the_command_line_runs_lists_and_tells_the_status_of_the_job(project: Project) -> None:
    (run,) = project.answer("systemprompt infra jobs run cleanup")["runs"]
    listed = {each["name"]: each for each in project.answer("systemprompt infra jobs list")["jobs"]}
    status = project.answer("systemprompt infra jobs status cleanup")
    (cleanup,) = status["jobs"]

    assert ("succeeded", "Deleted 1 records") == (run["outcome"], run["message"])
    assert ("my-extension", "succeeded") == (
        listed["cleanup"]["extension"],
        listed["cleanup"]["last_outcome"],
    )
    assert (False, True) == (listed["cleanup"]["enabled"], listed["sync"]["enabled"])
    assert (1, 1, 0) == (cleanup["triggered"], cleanup["succeeded"], cleanup["failed"])
    assert "succeeded" == cleanup["last_outcome"]
    assert status["position"] > 0


def test_a_profile_overrides_schedule_and_switch_and_show_names_the_origin(project: Project) -> None:
    before = project.answer("systemprompt infra jobs show cleanup")
    project.write("profile.yaml", PROFILE)
    after = project.answer("systemprompt infra jobs show cleanup")

    assert ("0 0 * * * *", False) == (before["definition"]["schedule"], before["enabled"])
    assert "code" == before["origin"]["schedule"]
    assert ("0 */30 * * * *", True) == (after["definition"]["schedule"], after["enabled"])
    assert "profile.yaml:5" == after["origin"]["schedule"]
    assert "profile.yaml:6" == after["origin"]["enabled"]
    assert after["next_fire_at"][14:] in ("00:00Z", "30:00Z")


def test_a_profile_that_names_an_unknown_job_is_an_error_with_candidates(project: Project) -> None:
    project.write("profile.yaml", PROFILE.replace("job: cleanup", "job: cleanups"))
    done = project.call("systemprompt infra jobs list")

    assert 5 == done.returncode
    assert "profile.yaml:3" in done.stderr or "profile.yaml:4" in done.stderr
    assert "cleanup" in done.stderr.replace("cleanups", "")


def test_the_startup_job_runs_once_at_start(project: Project) -> None:
    """002, "Startup Jobs": both conditions hold for `sync`; `cleanup` does not want it."""
    with project.begin("cronledger up --for 60s") as up:
        while not project.answer("systemprompt infra jobs history")["runs"]:
            assert up.poll() is None, "the instance ends before its startup run"
        up.terminate()
        _, complained = up.communicate(timeout=60)
    runs = project.answer("systemprompt infra jobs history")["runs"]
    rows = [row for row in runs if row["cause"] != "schedule"]  # an hour may begin meanwhile

    assert 0 == up.returncode, complained
    assert [("sync", "startup", "succeeded")] == [(row["job"], row["cause"], row["outcome"]) for row in rows]
    assert ["Processed 100 items"] == [row["message"] for row in rows]


class Clock:
    """Some other service of the application."""

    def strikes(self) -> int:
        return 12


@pytest.mark.anyio
async def test_the_context_gives_database_configuration_and_services(
    project: Project, memory_url: str
) -> None:
    seen: dict[str, Any] = {}

    @job(extension="my-extension")
    async def looks_round(ctx: JobContext) -> None:
        with ctx.db.connect() as connection:
            seen["answer"] = connection.execute(text("SELECT 6 * 7")).scalar_one()
        seen["config"] = dict(ctx.config)
        seen["strikes"] = ctx.service(Clock).strikes()
        seen["run"] = (ctx.run.job, ctx.run.attempt, ctx.run.cause.value)

    config = project.folder / "context.yaml"
    config.write_text(
        f"application: {{database_url: 'sqlite:///{project.folder}/app.db', greeting: hello}}\n"
    )
    scheduler = Scheduler(database_url=memory_url, config=config, jobs=[looks_round], services=[Clock()])
    (run,) = await scheduler.run_manually(["looks_round"], actor="test", local=True)

    assert run.error is None
    assert (42, 12) == (seen["answer"], seen["strikes"])
    assert {"greeting": "hello"} == seen["config"]
    assert ("looks_round", 1, "manual") == seen["run"]


@pytest.mark.anyio
async def test_a_service_that_nobody_provides_fails_the_run_with_its_name() -> None:
    @job
    def asks(ctx: JobContext) -> None:
        ctx.service(Clock)

    run = await perform(asks)

    assert run.outcome is not None
    assert "failed" == run.outcome.value
    assert "Clock" in str(run.error)


class Reports(Job):
    """Returns or raises what it was given."""

    name = "reports"

    def __init__(self, answer: JobResult | Exception) -> None:
        self.answer = answer

    async def execute(self, ctx: JobContext) -> JobResult:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


RESULTS = [
    (JobResult.success(), "succeeded", None, None),
    (JobResult.success().with_message("Processed 100 items"), "succeeded", "Processed 100 items", None),
    (RuntimeError("Database connection failed"), "failed", None, "RuntimeError: Database connection failed"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("answer", "outcome", "message", "error"), RESULTS, ids=lambda value: None)
async def test_a_result_or_an_error_becomes_the_outcome_of_the_run(
    answer: JobResult | Exception, outcome: str, message: str | None, error: str | None
) -> None:
    run = await perform(Reports(answer))
    assert run.outcome is not None

    assert (outcome, message, error) == (run.outcome.value, run.message, run.error)
    assert 1 == run.attempt, "nothing is tried again unless `retry` says so"


RETRIED = """
    - extension: my-extension
      job: cleanup
      retry: {max_attempts: 3, backoff_seconds: 0}
"""


def test_an_error_is_retried_where_the_configuration_says_so(tmp_path: Path) -> None:
    """JobResult: "will be retried based on configuration"; attempts of one run, one row of history."""
    project = project_of(tmp_path / "project", extensions="['job_extension:MyExtension']", entries=RETRIED)
    project.answer("systemprompt infra jobs run cleanup", exit_code=1)
    (row,) = project.answer("systemprompt infra jobs history")["runs"]

    assert ("failed", 3) == (row["outcome"], row["attempt"])
    assert "Database not available" in row["error"]
