"""One job performed for a test: what is read for it, and which entry is its own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cronledger import Job, JobContext, JobResult, job
from cronledger.domain.run import RunState
from cronledger.errors import UnknownJob
from cronledger.extensions.core.log_cleanup import LogCleanup
from cronledger.testing import ManualClock, perform

ENTRIES = """
application: {sender: prod@example.org}
scheduler:
  jobs:
    - {name: morning, job: water, extension: house, schedule: "", parameters: {litres: 9}}
    - {name: evening, job: water, extension: house, schedule: ""}
    - {name: water, job: log_cleanup, extension: core, schedule: "", parameters: {days: 7}}
"""


OTHERS = """
scheduler:
  bootstrap_jobs: [mow]
  jobs:
    - {name: dew, job: water, extension: house, schedule: "", retry: {max_attempts: 2, backoff_seconds: 0.01}}
    - {name: mow, extension: house, schedule: "0 0 8 * * *"}
    - {name: bill, extension: shop, schedule: "0 0 9 * * *"}
"""
PROFILE = """
scheduler:
  jobs:
    - {extension: shop, job: bill, enabled: false}
    - {extension: house, job: water, parameters: {litres: 3}}
"""
NOON = datetime(2026, 10, 25, 12, tzinfo=UTC)


@job(extension="house")
def water(ctx: JobContext) -> JobResult:
    """Say what it was given."""
    return JobResult.success().with_message(f"{dict(ctx.params)} {dict(ctx.config)}")


@job(name="water", extension="house")
def leaky(ctx: JobContext) -> JobResult:
    """Fail at first, and say what time it is."""
    if ctx.run.attempt == 1:
        raise OSError
    return JobResult.success().with_message(ctx.now().isoformat())


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


def test_entries_of_jobs_that_are_not_at_hand_do_not_matter(config: Path) -> None:
    """The configuration of the whole project was refused, because it lists its other jobs too."""
    config.write_text(OTHERS)
    config.with_name("profile.yaml").write_text(PROFILE)
    run = performed(water, config)

    assert ("dew", "{'litres': 3} {}") == (run.job, run.message)


def test_a_job_waits_for_its_next_attempt_whatever_clock_it_is_shown(config: Path) -> None:
    """The wait was for an instant that a clock which stands still never reaches."""
    config.write_text(OTHERS)
    run = asyncio.run(perform(leaky, config=config, clock=ManualClock(NOON)))

    assert ("succeeded", 2, NOON.isoformat()) == (run.outcome, run.attempt, run.message)


def test_a_built_in_job_that_nobody_provides_is_not_performed() -> None:
    with pytest.raises(UnknownJob, match="unknown job 'spare'"):
        performed(Spare())
