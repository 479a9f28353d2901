"""One job performed for a test: what is read for it, and which entry is its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cronledger import Job, JobContext, JobResult, job
from cronledger.domain.run import RunState
from cronledger.errors import UnknownJob
from cronledger.extensions.core.log_cleanup import LogCleanup
from cronledger.testing import perform

ENTRIES = """
application: {sender: prod@example.org}
scheduler:
  jobs:
    - {name: morning, job: water, extension: house, schedule: "", parameters: {litres: 9}}
    - {name: evening, job: water, extension: house, schedule: ""}
    - {name: water, job: log_cleanup, extension: core, schedule: "", parameters: {days: 7}}
"""


@job(extension="house")
def water(ctx: JobContext) -> JobResult:
    """Say what it was given."""
    return JobResult.success().with_message(f"{dict(ctx.params)} {dict(ctx.config)}")


class Spare(LogCleanup):
    """A job of the package that no extension of it provides."""

    __module__ = "cronledger.extensions.core.spare"
    name = "spare"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the configuration of a project, whose folder is the current one."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "services" / "config" / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(ENTRIES)
    return file


def performed(job: Job, config: Path | None = None) -> RunState:
    return asyncio.run(perform(job, config=config))


@pytest.mark.usefixtures("config")
def test_without_a_word_no_configuration_is_read() -> None:
    """In the folder of a project one job of it alone could not be performed."""
    run = performed(water)

    assert ("succeeded", "{} {}") == (run.outcome, run.message)


def test_the_entry_of_a_job_is_found_whatever_it_is_called(config: Path) -> None:
    """The entry that had the job's name was taken, of whatever job it was."""
    run = performed(water, config)

    assert ("morning", "{'litres': 9} {'sender': 'prod@example.org'}") == (run.job, run.message)


def test_of_several_entries_the_one_that_has_the_name_of_the_job_is_meant(config: Path) -> None:
    config.write_text(ENTRIES.replace("name: water", "name: tidy").replace("name: evening", "name: water"))

    assert "water" == performed(water, config).job


def test_the_entry_of_a_built_in_job_is_found_too(config: Path) -> None:
    config.write_text("scheduler: {jobs: [{name: tidy, job: log_cleanup, schedule: ''}]}")

    assert "tidy" == performed(LogCleanup(), config).job


def test_a_job_without_an_entry_is_performed_as_its_code_says(config: Path) -> None:
    config.write_text("application: {sender: prod@example.org}")
    run = performed(water, config)

    assert ("water", "{} {'sender': 'prod@example.org'}") == (run.job, run.message)


def test_a_built_in_job_that_nobody_provides_is_not_performed() -> None:
    with pytest.raises(UnknownJob, match="unknown job 'spare'"):
        performed(Spare())
