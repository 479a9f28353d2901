"""An instance that has found no configuration files, on a ledger in which others have listed jobs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cronledger import Job, Scheduler, job
from tests.conftest import lines_of

CONFIG = "scheduler: {jobs: [{name: tidy, extension: tests, schedule: '0 0 3 * * *'}]}"
DEFINED = ("job.registered", "job.redefined", "job.retired", "config.applied")


@job(extension="tests")
async def tidy() -> None:
    """Take no time."""


async def lead(url: str, *, config: Path | None = None, jobs: tuple[Job, ...] = (tidy,)) -> None:
    """Come up, lead, and go."""
    async with Scheduler(database_url=url, config=config, jobs=jobs).running():
        pass


def defined(url: str) -> list[tuple[str, str | None]]:
    return [(line["type"], line["job"]) for line in lines_of(url) if line["type"] in DEFINED]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("jobs", [(), (tidy,)])
def test_it_leads_and_leaves_the_jobs_of_others_as_they_are(
    ledger_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, jobs: tuple[Job, ...]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    asyncio.run(lead(ledger_url, config=config))
    before = defined(ledger_url)
    asyncio.run(lead(ledger_url, jobs=jobs))
    lines = lines_of(ledger_url)

    assert [("job.registered", "tidy"), ("config.applied", None)] == before == defined(ledger_url)
    assert 2 == sum(line["type"] == "leader.elected" for line in lines)
    assert "this instance has found no configuration files" in caplog.text


def test_jobs_that_no_file_has_listed_follow_the_code(
    ledger_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    @job(name="tidy", extension="tests", description="Tidies differently.")
    async def another() -> None:
        """Take no time."""

    for jobs in ((tidy,), (another,), ()):
        asyncio.run(lead(ledger_url, jobs=jobs))

    assert [
        ("job.registered", "tidy"), ("config.applied", None),
        ("job.redefined", "tidy"), ("config.applied", None),
        ("job.retired", "tidy"), ("config.applied", None),
    ] == defined(ledger_url)  # fmt: skip
    assert "no configuration files" not in caplog.text
