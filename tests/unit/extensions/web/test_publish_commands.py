"""The publish pipeline by the program, as a person sees it; and what a missing library comes to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cronledger.testing import ManualClock
from tests.cli_runner import Result, run_cli
from tests.unit.extensions.web.published_sites import PublishedSite, files


def run(site: PublishedSite, url: str, *words: str) -> Result:
    return run_cli("--database-url", url, "--config", str(site.config), *words)


def test_the_command_of_the_readme_publishes_the_sample_site(
    tmp_path: Path, clock: ManualClock, sqlite_url: str
) -> None:
    """The application's database is made beside the ledger."""
    site = PublishedSite.example(tmp_path / "site", None, clock)
    done = run(site, sqlite_url, "infra", "jobs", "run", "publish_pipeline")

    assert (0, True) == (done.exit_code, "9 steps succeeded, 0 failed" in done.stdout), done.stderr
    assert 30 == len(files(site.output))


def test_runs_show_tells_which_step_failed_and_why(
    tmp_path: Path, clock: ManualClock, sqlite_url: str
) -> None:
    site = PublishedSite.example(tmp_path / "site", None, clock)
    site.write("web/templates/recipe.html", "{% block main %}\n{{ TITLE")
    run(site, sqlite_url, "infra", "jobs", "run", "publish_pipeline")
    shown = run(site, sqlite_url, "--json", "runs", "show", "publish_pipeline").json
    outcomes = {step["name"]: step["outcome"] for step in shown["steps"]}
    errors = [step["error"] for step in shown["steps"] if step["error"]]

    assert "partial" == shown["run"]["outcome"]
    assert ["page_prerender"] == [name for name, outcome in outcomes.items() if outcome != "succeeded"]
    assert 9 == len(outcomes)
    assert errors[0].startswith("template recipe.html, line 2: ")
    assert "feed.xml" in files(site.output)


def test_what_may_be_said_of_ingestion_may_be_said_of_publishing(
    tmp_path: Path, clock: ManualClock, sqlite_url: str
) -> None:
    """`delete_orphans` was taken by the pipeline and had no effect."""
    site = PublishedSite.example(tmp_path / "site", None, clock)
    publishing = ("infra", "jobs", "run", "publish_pipeline")
    run(site, sqlite_url, *publishing)
    (site.config.parents[1] / "content/journal/croissant-fridays.md").unlink()
    kept = run(site, sqlite_url, *publishing)
    before = files(site.output)
    gone = run(site, sqlite_url, *publishing, "-p", "delete_orphans=true")

    assert (0, 0) == (kept.exit_code, gone.exit_code)
    assert {"journal/croissant-fridays/index.html"} == set(before) - set(files(site.output))


@pytest.mark.parametrize(
    "job", ["publish_pipeline", "daily_traffic_report", "daily_activity_summary", "content_ingestion"]
)
def test_a_trial_of_a_job_that_has_none_is_refused(
    tmp_path: Path, clock: ManualClock, sqlite_url: str, job: str
) -> None:
    """`-p dry_run=true` was read past: the site was published, the report posted."""
    site = PublishedSite.example(tmp_path / "site", None, clock)
    refused = run(site, sqlite_url, "infra", "jobs", "run", job, "-p", "dry_run=true")

    assert (2, True) == (refused.exit_code, "has no parameter 'dry_run'" in refused.stderr)
    assert not site.output.exists()


@pytest.mark.parametrize("library", ["markdown_it", "jinja2"])
def test_a_library_that_is_not_installed_is_told_with_the_command_that_installs_it(
    tmp_path: Path, app_db: Engine, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    site = PublishedSite.example(tmp_path / "site", app_db, clock)
    site.publish()
    monkeypatch.setitem(sys.modules, library, None)
    errors = site.errors()

    assert {f"ExtraMissing: {library} is not installed: pip install 'cronledger[site]'"} == set(
        errors.values()
    )
    assert 1 == len(errors)
