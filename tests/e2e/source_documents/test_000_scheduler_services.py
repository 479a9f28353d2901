"""Document 000, "Scheduler Services"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.source_documents.project import Project, example, resolved

ENTRIES = [
    ("cleanup_anonymous_users", "core", "cleanup_anonymous_users", "0 0 3 * * *"),
    ("cleanup_empty_contexts", "core", "cleanup_empty_contexts", "0 0 * * * *"),
    ("publish_content", "core", "publish_content", "0 */30 * * * *"),
    ("content_ingestion", "blog", "content_ingestion", "0 0 * * * *"),
]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return the example, with the document's configuration in place of the longer one."""
    project = example(tmp_path / "project")
    root = project.folder / "services/config"
    (root / "config-of-000.yaml").replace(root / "config.yaml")
    return project


def listed(project: Project) -> dict[str, dict[str, Any]]:
    answer = project.answer("systemprompt infra jobs list")
    return {job["name"]: job for job in answer["jobs"]}


def test_the_configuration_of_000_loads_unchanged_and_lists_its_four_entries() -> None:
    definitions = resolved("config-of-000.yaml").definitions
    entries = [(each.name, each.extension, each.job, each.schedule) for each in definitions if each.scheduled]

    assert ENTRIES == entries
    assert all(definition.enabled for definition in definitions if definition.scheduled)


def test_a_job_of_an_extension_is_found_by_extension_and_function_name(project: Project) -> None:
    project.edit(
        "services/scheduler/config-of-000.yaml", "      job: content_ingestion", "      job: ingestion"
    )
    done = project.call("systemprompt infra jobs list")

    assert 5 == done.returncode
    assert "extension 'blog' has no job 'ingestion' (it has content_ingestion)" in done.stderr


def test_jobs_list_names_all_jobs_with_schedule_and_switch(project: Project) -> None:
    jobs = listed(project)
    printed = project.call("systemprompt infra jobs list").stdout.splitlines()

    assert "name" == printed[0].split("\t")[0]
    assert list(jobs) == [line.split("\t")[0] for line in printed[1:]]
    for name, extension, job, schedule in ENTRIES:
        shown = jobs[name]
        assert (extension, job, schedule) == (shown["extension"], shown["job"], shown["schedule"])
        assert (True, True) == (shown["enabled"], shown["scheduled"])
    assert not jobs["publish_pipeline"]["scheduled"]


def test_jobs_run_runs_a_job_by_hand_and_history_shows_it(project: Project) -> None:
    project.with_guests("guest-1", "guest-2")
    ran = project.answer("systemprompt infra jobs run cleanup_anonymous_users")
    (run,) = ran["runs"]
    history = project.answer("systemprompt infra jobs history")
    (row,) = history["runs"]
    of_another = project.answer("systemprompt infra jobs history --job publish_content")

    assert (1, 0, 1) == (ran["succeeded"], ran["failed"], ran["total"])
    assert ("succeeded", "2 anonymous users removed", 2) == (
        run["outcome"],
        run["message"],
        run["items_processed"],
    )
    assert (run["run_id"], "cleanup_anonymous_users", "manual") == (row["run_id"], row["job"], row["cause"])
    assert "succeeded" == row["outcome"]
    assert row["fire_at"] is None
    assert [] == of_another["runs"]


def test_history_of_one_job_leaves_the_others_out(project: Project) -> None:
    project.answer("systemprompt infra jobs run publish_content cleanup_empty_contexts")
    history = project.answer("systemprompt infra jobs history --job publish_content")

    assert ["publish_content"] == [row["job"] for row in history["runs"]]


def test_jobs_disable_and_enable_switch_a_job_and_leave_the_file_alone(project: Project) -> None:
    file = project.folder / "services/scheduler/config-of-000.yaml"
    written = file.read_bytes()
    assert 0 == project.call("systemprompt infra jobs disable content_ingestion").returncode
    disabled = listed(project)["content_ingestion"]
    assert 0 == project.call("systemprompt infra jobs enable content_ingestion").returncode
    enabled = listed(project)["content_ingestion"]

    assert (False, None) == (disabled["enabled"], disabled["next_fire_at"])
    assert enabled["enabled"]
    assert written == file.read_bytes()


def test_jobs_show_tells_about_one_job_in_detail(project: Project) -> None:
    shown = project.answer("systemprompt infra jobs show publish_content")

    assert "publish_content" == shown["name"]
    assert "0 */30 * * * *" == shown["definition"]["schedule"]
    assert "Sync content files to the database." == shown["definition"]["description"]


def test_an_unknown_job_is_refused_and_nothing_is_written(project: Project) -> None:
    done = project.call("systemprompt infra jobs run publish_contents")
    history = project.answer("systemprompt infra jobs history")

    assert 3 == done.returncode
    assert "publish_content" in done.stderr
    assert 0 == history["total"]


def test_every_command_has_help(project: Project) -> None:
    done = project.call("systemprompt infra jobs --help")

    assert 0 == done.returncode
    for command in ("list", "show", "run", "history", "enable", "disable"):
        assert command in done.stdout
