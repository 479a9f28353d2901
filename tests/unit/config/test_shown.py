"""The configuration as a document: what `config check` and `config show` print."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cronledger.cli.config import checked, shown
from cronledger.config.load import load
from cronledger.config.model import Settings
from cronledger.config.resolve import Resolution, resolve
from cronledger.domain.definition import JobDefinition
from cronledger.jobs.api import Job
from cronledger.jobs.registry import Registry

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)


class Tidy(Job):
    name = "tidy"
    schedule = "0 0 3 * * *"


def resolved(folder: Path, text: str) -> tuple[Settings, Resolution]:
    path = folder / "config.yaml"
    path.write_text(text)
    settings = load(path, None)
    registry = Registry()
    registry.add(Tidy(), "core")
    return settings, resolve(settings, registry)


def test_a_shown_job_has_every_field_of_its_definition_and_an_origin_for_each(tmp_path: Path) -> None:
    settings, resolution = resolved(tmp_path, "scheduler: {jobs: [{name: tidy, retry: {max_attempts: 2}}]}")
    document = shown(settings, resolution)
    (job,) = document["jobs"]

    assert {"revision", "scheduler", "jobs", "files"} == set(document)
    assert {*JobDefinition.__struct_fields__, "origin"} == set(job)
    assert set(JobDefinition.__struct_fields__) <= set(job["origin"])
    assert (2, "code", f"{tmp_path}/config.yaml:1", "default") == (
        job["retry"]["max_attempts"],
        job["origin"]["schedule"],
        job["origin"]["retry.max_attempts"],
        job["origin"]["timezone"],
    )


def test_what_belongs_to_the_application_is_not_shown(tmp_path: Path) -> None:
    settings, resolution = resolved(tmp_path, "application: {database_url: 'x://canary', token: canary}")

    assert "canary" not in str(shown(settings, resolution)) + str(checked(settings, resolution, NOON))


def test_a_check_counts_the_listed_jobs_and_gives_the_warnings(tmp_path: Path) -> None:
    listed = checked(*resolved(tmp_path, "scheduler: {jobs: [{name: tidy}]}"), NOON)
    unlisted = checked(*resolved(tmp_path, "{}"), NOON)

    assert (True, 1, []) == (listed["ok"], listed["jobs"], listed["warnings"])
    assert (True, 0, 1) == (unlisted["ok"], unlisted["jobs"], len(unlisted["warnings"]))


@pytest.mark.parametrize("schedule", ["0 5-5 * * * *"])
def test_a_schedule_that_croniter_reads_differently_is_worth_a_second_look(
    tmp_path: Path, schedule: str
) -> None:
    document = checked(
        *resolved(tmp_path, f"scheduler: {{jobs: [{{name: tidy, schedule: '{schedule}'}}]}}"), NOON
    )

    assert ["'tidy': croniter"] == [warning[:16] for warning in document["warnings"]]


def test_a_clock_change_months_ahead_is_looked_at_by_the_rule_of_each_job(tmp_path: Path) -> None:
    """It was only found by somebody who asked in the autumn, and then also for a job that fires twice."""
    entry = "job: tidy, schedule: '0 30 2 * * *', timezone: Europe/Berlin"
    names = {"a": "", "b": "", "c": ", dst: {fold: both}"}
    jobs = ", ".join(f"{{name: {name}, {entry}{dst}}}" for name, dst in names.items())
    document = checked(*resolved(tmp_path, f"scheduler: {{jobs: [{jobs}]}}"), NOON)

    assert ["'a': croniter fires at 2026-10-25", "'b': croniter fires at 2026-10-25"] == [
        warning.partition("T")[0] for warning in document["warnings"]
    ]
