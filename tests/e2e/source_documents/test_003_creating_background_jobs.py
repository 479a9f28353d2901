"""Document 003, "Creating Background Jobs": steps 1 to 8, the complete example, and the common patterns."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cronledger import Job, JobContext, JobResult, Scheduler
from cronledger.domain.definition import Startup
from cronledger.domain.run import Outcome
from cronledger.jobs.discovery import add
from cronledger.jobs.registry import Registered, Registry
from cronledger.testing import perform
from tests.e2e.source_documents.project import Project, project_of
from tests.e2e.source_documents.samples.web import jobs as web_jobs
from tests.e2e.source_documents.samples.web.extension import WebExtension
from tests.e2e.source_documents.samples.web.jobs import CleanupJob

ENTRIES = """
    - name: cleanup_old_records
      extension: web
      job: cleanup_old_records
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with the package of jobs, and a database with log lines of different age."""
    project = project_of(
        tmp_path / "project",
        extensions="[web.jobs, web.extension]",
        entries=ENTRIES,
        application="{database_url: 'sqlite:///app.db', content: content}",
    )
    with sqlite3.connect(project.folder / "app.db") as db:
        db.execute("CREATE TABLE logs (created_at TEXT, message TEXT)")
        for age in ("-45 days", "-31 days", "-29 days", "-1 hour"):
            db.execute("INSERT INTO logs VALUES (datetime('now', ?), ?)", (age, age))
    db.close()
    return project


def messages(project: Project) -> list[str]:
    with sqlite3.connect(project.folder / "app.db") as db:
        rows = [message for (message,) in db.execute("SELECT message FROM logs")]
    db.close()
    return rows


def registered(job: Job) -> Registered:
    registry = Registry()
    registry.add(job, "web")
    (found,) = registry.registered()
    return found


def test_a_job_is_a_class_with_a_name_a_description_a_schedule_and_execute() -> None:
    """Steps 1 to 3."""
    job = registered(CleanupJob())

    assert ("web", "cleanup_old_records") == (job.extension, job.name)
    assert "Deletes records older than 30 days" == job.description
    assert "0 0 3 * * *" == job.schedule
    assert not job.run_on_startup, "the default of run_on_startup"


def test_a_submitted_job_is_found_in_the_package_that_exports_it() -> None:
    """Steps 6 and 7: `submit_job` at module level, and the export from `jobs`."""
    registry = Registry()
    add(registry, web_jobs, "web.jobs")

    assert [("web", "cleanup_old_records")] == [(job.extension, job.name) for job in registry.registered()]


def test_a_submitted_job_and_the_jobs_of_an_extension_share_one_registry() -> None:
    registry = Registry()
    add(registry, web_jobs, "web.jobs")
    add(registry, WebExtension, "web.extension")

    assert [
        "cleanup_old_records",
        "content_ingestion",
        "publish",
    ] == [job.name for job in registry.registered()]
    assert {"web"} == {job.extension for job in registry.registered()}


class StartsWithTheScheduler(Job):
    """Step 3b: wants to run at start."""

    name = "starts_with_the_scheduler"
    extension = "web"
    schedule = "0 0 3 * * *"

    def run_on_startup(self) -> bool:
        return True

    async def execute(self, ctx: JobContext) -> JobResult:
        return JobResult.success()


@pytest.mark.parametrize(
    ("listing", "startup"),
    [
        ("- {extension: web, job: starts_with_the_scheduler, enabled: true}", Startup.CLUSTER),
        ("- {extension: web, job: starts_with_the_scheduler, enabled: false}", Startup.NEVER),
        ("", Startup.NEVER),
    ],
    ids=["listed and enabled", "listed and disabled", "not listed"],
)
def test_startup_needs_the_code_and_an_enabled_entry(tmp_path: Path, listing: str, startup: Startup) -> None:
    """Step 3b."""
    config = tmp_path / "config.yaml"
    config.write_text(f"scheduler:\n  jobs:\n    {listing}\n", encoding="utf-8")
    scheduler = Scheduler(config=config, jobs=[StartsWithTheScheduler()])
    found = {each.job: each for each in scheduler.resolution.definitions}
    definition = found["starts_with_the_scheduler"]

    assert startup is definition.startup


class Reports(Job):
    """Step 5: a result with statistics."""

    name = "reports"

    async def execute(self, ctx: JobContext) -> JobResult:
        processed = 42
        errors = 0
        return (
            JobResult.success()
            .with_stats(processed, errors)
            .with_duration(1234)
            .with_message(f"Processed {processed} items")
        )


@pytest.mark.anyio
async def test_statistics_duration_and_message_of_a_result_are_recorded() -> None:
    run = await perform(Reports())

    assert (42, 0) == (run.items_processed, run.items_failed)
    assert 1234 == run.duration_ms
    assert "Processed 42 items" == run.message


def test_the_builders_of_a_result_may_be_chained_in_any_order() -> None:
    one = JobResult.success().with_stats(3, 1).with_message("three").with_duration(5)
    other = JobResult.success().with_duration(5).with_message("three").with_stats(3, 1)

    assert one == other


def test_the_complete_example_deletes_log_lines_of_more_than_30_days(project: Project) -> None:
    """Step 8: list, run, history."""
    listed = {job["name"]: job for job in project.answer("systemprompt infra jobs list")["jobs"]}
    (run,) = project.answer("systemprompt infra jobs run cleanup_old_records")["runs"]
    again = project.answer("systemprompt infra jobs run cleanup_old_records")
    history = project.answer("systemprompt infra jobs history --job cleanup_old_records --limit 10")
    last = project.answer("systemprompt infra jobs history --job cleanup_old_records --limit 1")

    assert "0 0 3 * * *" == listed["cleanup_old_records"]["schedule"]
    assert "Deletes records older than 30 days" == listed["cleanup_old_records"]["description"]
    assert ("succeeded", "Deleted 2 old records") == (run["outcome"], run["message"])
    assert (2, 0) == (run["items_processed"], run["items_failed"])
    assert ["-29 days", "-1 hour"] == messages(project)
    assert ["Deleted 0 old records", "Deleted 2 old records"] == [row["message"] for row in history["runs"]]
    assert ["Deleted 0 old records"] == [row["message"] for row in last["runs"]]
    assert (1, 2) == (again["total"], last["total"])


def test_a_job_with_an_empty_schedule_only_runs_by_hand(project: Project) -> None:
    """Common Patterns, "On-Demand Only Jobs" and "Pipeline Jobs": sub-jobs in sequence."""
    project.write("content/first.md", "# One\n")
    entry = "    - extension: web\n      job: publish\n"
    project.write("services/scheduler/config.yaml", f"scheduler:\n  enabled: true\n  jobs:\n{entry}")
    shown = project.answer("systemprompt infra jobs show publish")
    (run,) = project.answer("systemprompt infra jobs run publish")["runs"]

    assert ("", None) == (shown["definition"]["schedule"], shown["next_fire_at"])
    assert "succeeded" == run["outcome"]
    assert (project.folder / "content/first.html").is_file()


class Trace(list[str]):
    """What has been done, in order."""


def recording(name: str, error: Exception | None = None) -> Job:
    class Recording(Job):
        async def execute(self, ctx: JobContext) -> JobResult:
            ctx.service(Trace).append(name)
            if error is not None:
                raise error
            return JobResult.success()

    return Recording()


class PipelineJob(Job):
    """Common Patterns, "Pipeline Jobs": the jobs it runs in sequence are ordinary jobs."""

    name = "pipeline"

    def __init__(self, *jobs: Job) -> None:
        self.jobs = jobs

    async def execute(self, ctx: JobContext) -> JobResult:
        for job in self.jobs:
            await job.execute(ctx)
        return JobResult.success()


@pytest.mark.anyio
async def test_a_job_may_run_other_jobs_in_sequence() -> None:
    trace = Trace()
    run = await perform(PipelineJob(*map(recording, ("ingest", "copy", "prerender"))), services=[trace])

    assert Outcome.SUCCEEDED is run.outcome
    assert ["ingest", "copy", "prerender"] == trace


@pytest.mark.anyio
async def test_a_job_that_runs_other_jobs_ends_with_the_first_error() -> None:
    trace = Trace()
    jobs = [recording("ingest"), recording("copy", ValueError("no assets")), recording("prerender")]
    run = await perform(PipelineJob(*jobs), services=[trace])

    assert Outcome.FAILED is run.outcome
    assert "ValueError: no assets" == run.error
    assert ["ingest", "copy"] == trace


class ReturnsFailure(Job):
    """Error Handling: a recoverable error is a result."""

    name = "returns_failure"

    async def execute(self, ctx: JobContext) -> JobResult:
        if ctx.db_or_none is None:
            return JobResult.failure("Database not available")
        return JobResult.success()


class RaisesError(Job):
    """Error Handling: an unrecoverable error is raised."""

    name = "raises_error"

    async def execute(self, ctx: JobContext) -> JobResult:
        try:
            fetch_required_data()
        except ConnectionError as error:
            raise RuntimeError("Failed to fetch required data") from error
        return JobResult.success()


def fetch_required_data() -> None:
    raise ConnectionError("refused")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("job", "error"),
    [
        (ReturnsFailure(), "Database not available"),
        (RaisesError(), "RuntimeError: Failed to fetch required data"),
        (CleanupJob(), "DatabaseNotAvailable: Database not available"),
    ],
    ids=["returned", "raised", "no database"],
)
async def test_a_returned_failure_and_a_raised_error_both_fail_the_run_with_their_text(
    job: Job, error: str
) -> None:
    run = await perform(job)

    assert Outcome.FAILED is run.outcome
    assert error == run.error
