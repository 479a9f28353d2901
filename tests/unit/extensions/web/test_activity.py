"""The summary of a day: what the ledger and the application's tables say of the 24 hours before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from cronledger import Extension, Job, JobContext, JobResult, Scheduler
from cronledger.domain.run import RunState
from cronledger.extensions.web.daily_activity_summary import DailyActivitySummary
from cronledger.jobs.history import EndedRun, JobRuns, RunHistory, RunsSummary, UnfinishedRun
from cronledger.testing import ManualClock, perform
from tests.discord import TOKEN, Discord, discord
from tests.unit.extensions.rows import NOON, add, all_of

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
EDGES = [NOON - DAY - MOMENT, NOON - DAY, NOON - MOMENT, NOON]
"""Just too old, the first instant that counts, the last one, and the first of the next day."""


class Told(RunHistory):
    """A ledger of which somebody else has told us."""

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        self.asked: list[tuple[datetime, datetime]] = []

    def between(self, since: datetime, until: datetime) -> RunsSummary:
        self.asked.append((since, until))
        return RunsSummary(since=since, until=until, **self.facts)


@pytest.fixture
def there() -> Iterator[Discord]:
    with discord() as server:
        yield server


def summarized(
    db: Engine, clock: ManualClock, history: RunHistory | None = None, config: Path | None = None
) -> RunState:
    services = [] if history is None else [history]
    return asyncio.run(perform(DailyActivitySummary(), db=db, clock=clock, services=services, config=config))


def kept(db: Engine) -> dict[str, Any]:
    ((period, data),) = all_of(db, "admin_traffic_reports", "report_period", "report_data")
    assert "summary" == period
    return dict(data)


def test_rows_of_the_24_hours_before_are_counted(app_db: Engine, clock: ManualClock) -> None:
    old = NOON - 90 * DAY
    sessions = [{"started_at": at, "last_activity_at": at} for at in EDGES]
    add(app_db, "user_sessions", *sessions, *({"started_at": old, "ended_at": at} for at in EDGES[1:]))
    add(app_db, "users", *({"created_at": at} for at in EDGES))
    add(app_db, "markdown_content", *({"published_at": at, "updated_at": NOON - MOMENT} for at in EDGES[1:3]))
    add(app_db, "markdown_content", *({"published_at": old, "updated_at": at} for at in [*EDGES, EDGES[1]]))
    run = summarized(app_db, clock)
    data = kept(app_db)

    assert ("succeeded", "skipped: no webhook configured") == (run.outcome, run.message)
    assert {"opened": 2, "closed": 2} == data["sessions"]
    assert {"created": 2} == data["users"]
    assert {"created": 2, "updated": 3} == data["content"]


def test_log_errors_are_counted_by_module_most_first(app_db: Engine, clock: ManualClock) -> None:
    lines = [("auth", "ERROR"), ("mail", "error"), ("mail", "CRITICAL"), ("mail", "WARN"), ("web", "INFO")]
    add(app_db, "logs", *({"module": m, "level": level, "timestamp": NOON - MOMENT} for m, level in lines))
    add(app_db, "logs", {"module": "auth", "level": "ERROR", "timestamp": NOON - DAY - MOMENT})
    summarized(app_db, clock)

    assert [{"module": "mail", "errors": 2}, {"module": "auth", "errors": 1}] == kept(app_db)["log_errors"]


def test_the_runs_are_what_the_ledger_says(app_db: Engine, clock: ManualClock) -> None:
    jobs = (
        JobRuns(job="cleanup_anonymous_users", outcomes={"succeeded": 24}, items_processed=7),
        JobRuns(job="cleanup_empty_contexts", outcomes={"succeeded": 12}, items_processed=5),
        JobRuns(job="mail", outcomes={"failed": 2, "succeeded": 1}, error="no route"),
    )
    slow = EndedRun(run_id="mail@1", job="mail", outcome="failed", ended_at=NOON, duration_ms=95_000)
    history = Told(jobs=jobs, slowest=(slow,))
    summarized(app_db, clock, history)
    data = kept(app_db)

    assert [(NOON - DAY, NOON)] == history.asked
    assert {"failed": 2, "succeeded": 37} == data["runs"]["by_outcome"]
    assert [{"job": "mail", "runs": 2, "error": "no route"}] == data["runs"]["failing"]
    assert ["mail@1"] == [each["run_id"] for each in data["runs"]["slowest"]]
    assert {"users": 7, "contexts": 5} == data["removed"]


def test_what_is_removed_is_counted_under_whatever_names_the_jobs_have(
    app_db: Engine, clock: ManualClock
) -> None:
    """It was 0 where the entry was not called as the job."""
    users, contexts = "cleanup_anonymous_users", "cleanup_empty_contexts"
    jobs = (
        JobRuns(job="early", extension="core", code=users, outcomes={}, items_processed=7),
        JobRuns(job="late", extension="core", code=users, outcomes={}, items_processed=2),
        JobRuns(job=users, extension="house", code="sweep", outcomes={}, items_processed=100),
        JobRuns(job="mine", extension="house", code=contexts, outcomes={}, items_processed=100),
        JobRuns(job=contexts, outcomes={}, items_processed=5),
    )
    summarized(app_db, clock, Told(jobs=jobs))

    assert {"users": 9, "contexts": 5} == kept(app_db)["removed"]


def test_the_summary_itself_is_not_told_as_unfinished(app_db: Engine, clock: ManualClock) -> None:
    summarized(app_db, clock)
    runs = kept(app_db)["runs"]

    assert ([], 0, {}) == (runs["unfinished"], runs["unfinished_total"], runs["by_outcome"])


def test_the_message_says_what_went_wrong_first(
    app_db: Engine, clock: ManualClock, there: Discord, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f'application: {{discord: {{webhook_url: "{there.url}", allow_loopback: true}}}}\n')
    jobs = (JobRuns(job="mail", outcomes={"timed_out": 1, "succeeded": 1200}, error="*slow*\nthing"),)
    waits = UnfinishedRun(run_id="big@1", job="big", phase="running", triggered_at=NOON - DAY)
    slow = EndedRun(run_id="mail@1", job="mail", outcome="failed", ended_at=NOON, duration_ms=95_000)
    add(app_db, "logs", {"module": "auth", "level": "ERROR", "timestamp": NOON - MOMENT})
    history = Told(jobs=jobs, slowest=(slow,), unfinished=(waits,), unfinished_total=3)
    quiet = ["Sessions: 0 opened, 0 closed", "Users: 0 created, 0 removed", "Contexts: 0 removed"]
    quiet.append("Content: 0 created, 0 updated")
    run = summarized(app_db, clock, history, config)
    (embed,) = there.posted[0]["embeds"]
    fields = [(field["name"], field["value"]) for field in embed["fields"]]

    assert "posted to Discord" == run.message
    assert "Activity summary 2026-03-14" == embed["title"]
    assert [
        ("Runs", "1,200 succeeded, 1 timed out"),
        ("Failing jobs", r"mail (1): \*slow\* thing"),
        ("Slowest runs", "mail@1: 1m 35s"),
        ("Still going", "big@1: running since 2026-03-13T12:00:00Z\n… 2 more"),
        ("Activity", "\n".join(quiet)),
        ("Log errors", "auth: 1"),
    ] == fields  # fmt: skip


class Boom(Job):
    name = "boom"

    async def execute(self, ctx: JobContext) -> JobResult:
        raise OSError("disk full")


def test_on_a_real_ledger_the_runs_of_the_day_are_found(app_db: Engine, ledger_url: str) -> None:
    scheduler = Scheduler(
        database_url=ledger_url,
        extensions=[Extension("mine", jobs=[Boom(), DailyActivitySummary()])],
        db=app_db,
    )
    (_, run) = (
        asyncio.run(scheduler.run_manually([name], actor="test", local=True))[0]
        for name in ("boom", "mine:daily_activity_summary")
    )
    data = kept(app_db)

    assert "succeeded" == run.outcome
    assert {"failed": 1} == data["runs"]["by_outcome"]
    assert [{"job": "boom", "runs": 1, "error": "OSError: disk full"}] == data["runs"]["failing"]


def test_the_address_of_the_webhook_is_nowhere(
    app_db: Engine, clock: ManualClock, there: Discord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in what is kept, whatever became of the post."""
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", there.url)
    config = tmp_path / "config.yaml"
    hook = '"${env:DISCORD_WEBHOOK_URL}"'
    config.write_text(f"application: {{discord: {{webhook_url: {hook}, allow_loopback: true}}}}\n")
    there.answers = [(404, {}), (503, {"Retry-After": "999"})]
    runs = [summarized(app_db, clock, config=config) for _ in range(3)]

    assert ["failed", "failed", "succeeded"] == [run.outcome for run in runs]
    assert TOKEN not in str(kept(app_db)) + str([(run.error, run.message) for run in runs])
