"""What the documents say of schedules, over hours of virtual time: on time, apart, and unmoved by hand."""

from __future__ import annotations

import anyio
import pytest

from cronledger.domain import job
from cronledger.domain.ids import JobName
from tests.checker import problems, triggered
from tests.e2e.source_documents.virtual import Line, lines, live, of_document_001, trigger_by_hand
from tests.simulation.cluster import Cluster, refold

HOUR = 3600.0
QUARTERS = ["00", "15", "30", "45"]


def at(*times: str) -> list[str]:
    return [f"2026-01-01T{time}:00Z" for time in times]


def ended(events: list[Line], kind: str, name: str) -> int:
    return sum(1 for event in events if event["type"] == kind and event["job"] == name)


@pytest.fixture(scope="module")
def day() -> list[Line]:
    """Return the ledger of the eight entries after a day and a few seconds."""
    return lines(live(of_document_001(), seconds=24 * HOUR + 5))


def test_the_eight_entries_of_001_fire_as_their_comments_say(day: list[Line]) -> None:
    midnight = "2026-01-02T00:00:00Z"
    hours = [*at(*(f"{hour:02}:00" for hour in range(1, 24))), midnight]
    quarters = [*at(*(f"{hour:02}:{minute}" for hour in range(24) for minute in QUARTERS))[1:], midnight]

    assert [] == problems(day)
    assert at("03:00") == triggered(day, "cleanup_anonymous_users")
    assert hours == triggered(day, "cleanup_empty_contexts")
    assert hours == triggered(day, "cleanup_inactive_sessions")
    assert at("04:00") == triggered(day, "database_cleanup")
    assert quarters == triggered(day, "publish_pipeline")
    assert quarters == triggered(day, "content_analytics_aggregation")
    assert at("07:00", "19:00") == triggered(day, "daily_traffic_report")
    assert at("18:00") == triggered(day, "daily_activity_summary")


def test_the_publish_pipeline_runs_at_start_before_any_fire_time_and_nothing_else_does(
    day: list[Line],
) -> None:
    triggers = [event for event in day if event["type"] == "run.triggered"]
    at_start = [event["job"] for event in triggers if event["cause"] == "startup"]

    assert ["publish_pipeline"] == at_start
    assert ["startup"] + ["schedule"] * (len(triggers) - 1) == [event["cause"] for event in triggers]


def test_a_failing_job_leaves_the_others_on_time_and_fails_again_at_its_next_fire_time() -> None:
    """Error handling, job level: logged, no automatic retry, and other jobs continue."""

    async def fail() -> None:
        raise RuntimeError("the database is away")

    events = lines(live(of_document_001(), seconds=2 * HOUR + 5, work={"cleanup_empty_contexts": fail}))
    failed = [event for event in events if event["type"] == "run.failed"]

    assert [] == problems(events)
    assert at("01:00", "02:00") == [event["fire_at"] for event in failed]
    assert {"RuntimeError: the database is away"} == {event["body"]["error"] for event in failed}
    assert 0 == ended(events, "attempt.failed", "cleanup_empty_contexts")
    assert 2 == ended(events, "run.succeeded", "cleanup_inactive_sessions")
    assert 8 == ended(events, "run.succeeded", "content_analytics_aggregation")


def test_a_long_job_does_not_block_the_others() -> None:
    async def take_long() -> None:
        await anyio.sleep(40 * 60)

    events = lines(live(of_document_001(), seconds=2 * HOUR + 5, work={"cleanup_empty_contexts": take_long}))
    analytics = [event for event in events if event["job"] == "content_analytics_aggregation"]
    ends = [event["recorded_at"][:16] for event in analytics if event["type"] == "run.succeeded"]

    assert [f"2026-01-01T{time}" for time in _quarters_of_two_hours()] == ends


def test_manual_runs_in_between_move_neither_fire_times_nor_the_next_one() -> None:
    definitions = of_document_001()
    publish = next(each for each in definitions if each.name == "publish_pipeline")

    async def by_hand(cluster: Cluster) -> None:
        await cluster.engines[0].ready.wait()
        for seconds in (100.0, 799.5, 0.6, 1200.0, 1.0):
            await anyio.sleep(seconds)
            trigger_by_hand(cluster, publish)

    undisturbed = live(definitions, seconds=2 * HOUR + 5)
    disturbed = live(definitions, seconds=2 * HOUR + 5, meanwhile=by_hand)
    manual = [e for e in lines(disturbed) if e["type"] == "run.triggered" and e["cause"] == "manual"]

    assert 5 == len(manual)
    assert [] == problems(lines(disturbed))
    for each in definitions:
        assert triggered(lines(undisturbed), each.name) == triggered(lines(disturbed), each.name)
        assert _next_fire(undisturbed, each.name) == _next_fire(disturbed, each.name)
    assert "2026-01-01T02:15:00+00:00" == _next_fire(disturbed, "publish_pipeline")


def test_a_startup_job_runs_once_and_then_follows_its_schedule(day: list[Line]) -> None:
    causes = [
        event["cause"]
        for event in day
        if event["type"] == "run.succeeded" and event["job"] == "publish_pipeline"
    ]

    assert ["startup"] + ["schedule"] * 96 == causes


def _quarters_of_two_hours() -> list[str]:
    return [*[f"0{hour}:{minute}" for hour in range(2) for minute in QUARTERS][1:], "02:00"]


def _next_fire(cluster: Cluster, name: str) -> str | None:
    jobs, _ = refold(cluster.worlds[0].ledger)
    fire_at = job.next_fire(jobs[JobName(name)])
    return fire_at.isoformat() if fire_at else None
