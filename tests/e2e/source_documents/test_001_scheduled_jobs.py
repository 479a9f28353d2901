"""Document 001, "Scheduled Jobs"."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cronledger.domain.definition import Startup
from cronledger.domain.schedule import schedule_of
from tests.checker import problems, triggered
from tests.e2e.source_documents.project import EXAMPLE, SCHEDULE, Project, example, project_of, resolved

PIPELINE = [
    "content_ingestion",
    "asset_copy",
    "content_prerender",
    "page_prerender",
    "sitemap",
    "llms_txt",
    "robots_txt",
    "rss_feed",
    "asset_organization",
]
ENTRIES = [
    ("cleanup_anonymous_users", "core", "0 0 3 * * *"),
    ("cleanup_empty_contexts", "core", "0 0 * * * *"),
    ("cleanup_inactive_sessions", "core", "0 0 * * * *"),
    ("database_cleanup", "core", "0 0 4 * * *"),
    ("publish_pipeline", "web", "0 */15 * * * *"),
    ("content_analytics_aggregation", "web", "0 */15 * * * *"),
    ("daily_traffic_report", "web", "0 0 7,19 * * *"),
    ("daily_activity_summary", "web", "0 0 18 * * *"),
]
CUSTOM = """
    - name: my_custom_job
      extension: my_extension
      job: my_custom_job
      schedule: "0 30 * * * *"
      enabled: true
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return the example with the document's complete configuration."""
    return example(tmp_path / "project")


def test_the_configuration_of_001_loads_unchanged_and_lists_its_eight_entries() -> None:
    definitions = [each for each in resolved("config.yaml").definitions if each.scheduled]

    assert ENTRIES == [(each.name, each.extension, each.schedule) for each in definitions]
    assert all(each.enabled and each.job == each.name for each in definitions)


def test_only_the_publish_pipeline_is_a_startup_job() -> None:
    at_start = [
        each.name for each in resolved("config.yaml").definitions if each.startup is not Startup.NEVER
    ]

    assert ["publish_pipeline"] == at_start


def test_the_configuration_check_finds_nothing_wrong(project: Project) -> None:
    done = project.call("cronledger config check")

    assert 0 == done.returncode, done.stderr


def test_up_on_a_new_ledger_publishes_the_site_and_leaves_a_sound_ledger(project: Project) -> None:
    done = project.call("cronledger up --for 5s")
    events = project.exported()
    (run,) = [event for event in events if event["type"] == "run.triggered" and event["cause"] == "startup"]
    detail = project.answer(f"cronledger runs show {run['run_id']}")

    assert 0 == done.returncode, done.stderr
    assert [] == problems(events)
    assert "publish_pipeline" == run["job"]
    assert "succeeded" == detail["run"]["outcome"]
    assert (9, 0) == (detail["run"]["items_processed"], detail["run"]["items_failed"])
    assert PIPELINE == [step["name"] for step in detail["steps"]]
    assert {"instance.started", "instance.stopped"} <= {event["type"] for event in events}
    for name in (
        "blog/first/index.html",
        "sitemap.xml",
        "llms.txt",
        "robots.txt",
        "feed.xml",
        "css/site.css",
        "js/site.js",
    ):
        assert (project.folder / "web/dist" / name).is_file(), name


def test_a_manual_run_leaves_the_next_fire_time_where_it_was(project: Project) -> None:
    began = datetime.now(UTC)
    before = project.answer("systemprompt infra jobs show publish_pipeline")["next_fire_at"]
    ran = project.answer("systemprompt infra jobs run publish_pipeline")
    after = project.answer("systemprompt infra jobs show publish_pipeline")["next_fire_at"]
    ended = datetime.now(UTC)
    schedule = schedule_of("0 */15 * * * *")
    assert schedule is not None
    first, second = schedule.fire_times(began, datetime.max.replace(tzinfo=UTC), 2)
    possible = [
        f"{fire_at:%Y-%m-%dT%H:%M:%SZ}" for fire_at in ([first] if ended < first else [first, second])
    ]

    assert 1 == ran["succeeded"]
    assert before in possible
    assert after in possible


def test_a_manual_run_beside_a_living_instance_is_performed_there_and_moves_no_fire_time(
    project: Project,
) -> None:
    written = 'schedule: "0 0 4 * * *" # Daily at 4:00 AM\n'
    project.edit(SCHEDULE, written, "schedule: '* * * * * *'\n      overlap: allow\n")
    with project.begin("cronledger up --for 60s") as up:
        while not project.answer("systemprompt infra jobs history --job database_cleanup")["runs"]:
            assert up.poll() is None, "the instance ends before its first fire time"
        (run,) = project.answer("systemprompt infra jobs run database_cleanup")["runs"]
        while len(triggered(project.exported(), "database_cleanup")) < 3:
            assert up.poll() is None, "the instance ends before its third fire time"
        up.terminate()
        _, complained = up.communicate(timeout=60)
    events = project.exported()
    performed = {event["instance"] for event in events if event["type"] == "run.started"}
    started = [event["instance"] for event in events if event["type"] == "instance.started"]

    assert (0, "succeeded") == (up.returncode, run["outcome"]), complained
    assert [] == problems(events), "every second is decided, once"
    assert [1, 1] == [len(started), len(performed)]


def test_a_failed_step_does_not_stop_the_pipeline_and_both_counts_are_reported(project: Project) -> None:
    """Error handling, step level: no site map, but a feed; eight steps succeeded, one failed."""
    (project.folder / "web/dist/sitemap.xml").mkdir(parents=True)
    ran = project.answer("systemprompt infra jobs run publish_pipeline", exit_code=1)
    (run,) = ran["runs"]
    detail = project.answer(f"cronledger runs show {run['run_id']}")
    outcomes = {step["name"]: step["outcome"] for step in detail["steps"]}
    (failed,) = [step for step in detail["steps"] if step["outcome"] == "failed"]

    assert "partial" == run["outcome"]
    assert (8, 1) == (run["items_processed"], run["items_failed"])
    assert "8 steps succeeded, 1 failed: sitemap" == run["message"]
    assert PIPELINE == list(outcomes)
    assert "sitemap" == failed["name"]
    assert "sitemap.xml" in failed["error"]
    assert (project.folder / "web/dist/feed.xml").is_file()


def test_a_failed_job_stays_in_history_with_its_error_after_a_later_success(project: Project) -> None:
    """Error handling, job level, and "for immediate recovery, trigger the job manually"."""
    (project.folder / "services/content/second.md").unlink()
    page = project.folder / "services/content/first.md"
    written = page.read_bytes()
    page.write_bytes(written.replace(b"The first page", b"The first \xff page"))
    failed = project.answer("systemprompt infra jobs run content_ingestion", exit_code=1)
    page.write_bytes(written)
    recovered = project.answer("systemprompt infra jobs run content_ingestion")
    rows = project.answer("systemprompt infra jobs history --job content_ingestion")["runs"]
    logged = project.call("systemprompt infra logs view --level error --since 1h")

    assert (0, 1) == (failed["succeeded"], failed["failed"])
    assert (1, 0) == (recovered["succeeded"], recovered["failed"])
    assert ["succeeded", "failed"] == [row["outcome"] for row in rows]
    assert [1, 1] == [row["attempt"] for row in rows]
    assert "UTF-8" in rows[1]["error"]
    assert "content_ingestion" in logged.stdout
    assert "UTF-8" in logged.stdout


def test_the_command_reference_lists_shows_and_switches_jobs(project: Project) -> None:
    listed = project.answer("systemprompt infra jobs list")
    shown = project.answer("systemprompt infra jobs show daily_traffic_report")
    disabled = project.call("systemprompt infra jobs disable daily_traffic_report")
    off = project.answer("systemprompt infra jobs show daily_traffic_report")
    enabled = project.call("systemprompt infra jobs enable daily_traffic_report")
    on = project.answer("systemprompt infra jobs show daily_traffic_report")
    schedules = {job["name"]: job["schedule"] for job in listed["jobs"] if job["scheduled"]}

    assert {name: schedule for name, _, schedule in ENTRIES} == schedules
    assert len(listed["jobs"]) == listed["total"]
    assert ("daily_traffic_report", "web") == (shown["name"], shown["definition"]["extension"])
    assert (0, 0) == (disabled.returncode, enabled.returncode)
    assert (True, False, True) == (shown["enabled"], off["enabled"], on["enabled"])
    assert off["next_fire_at"] is None


def test_a_custom_job_is_submitted_registered_in_the_configuration_and_run(tmp_path: Path) -> None:
    project = project_of(
        tmp_path / "project",
        extensions="[my_extension]",
        entries=CUSTOM,
        application="{database_url: 'sqlite:///app.db'}",
    )
    shown = project.answer("systemprompt infra jobs show my_custom_job")
    (run,) = project.answer("systemprompt infra jobs run my_custom_job")["runs"]

    assert "Brief description of what this job does" == shown["definition"]["description"]
    assert "0 30 * * * *" == shown["definition"]["schedule"], (
        "the schedule in the YAML overrides the one in code"
    )
    assert ("succeeded", 42, 0) == (run["outcome"], run["items_processed"], run["items_failed"])


def test_a_custom_job_without_a_database_fails_with_the_documents_words(tmp_path: Path) -> None:
    project = project_of(tmp_path / "project", extensions="[my_extension]", entries=CUSTOM)
    (run,) = project.answer("systemprompt infra jobs run my_custom_job", exit_code=1)["runs"]

    assert "failed" == run["outcome"]
    assert "Database not available" in run["error"]


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("config-of-000.yaml", "bf95da82dc0f84ed384a15780ea8afd1c7f4ddaf36cdb5d9243bf9f69f81eade"),
        ("config.yaml", "115ab7861fb1e0f65b4dd211dd4e699db371131a94790a30e2591a9cd7659c72"),
    ],
)
def test_the_example_carries_the_documents_configuration_byte_for_byte(name: str, digest: str) -> None:
    """Whoever edits these files edits the documents."""
    written = (EXAMPLE / "services/scheduler" / name).read_bytes()

    assert digest == hashlib.sha256(written).hexdigest()
