"""The numbers of the traffic report, section by section, on both databases."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text
from sqlalchemy.event import listen

from cronledger.domain.run import RunState
from cronledger.extensions.web.daily_traffic_report import DailyTrafficReport
from cronledger.testing import ManualClock, perform
from tests.unit.extensions.rows import NOON, add, all_of, table

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)
MIDNIGHT = NOON.replace(hour=0)


def reported(db: Engine, clock: ManualClock) -> RunState:
    return asyncio.run(perform(DailyTrafficReport(), db=db, clock=clock))


def report(db: Engine, clock: ManualClock) -> dict[str, Any]:
    """Make a report and return what was kept."""
    run = reported(db, clock)
    assert ("succeeded", "skipped: no webhook configured") == (run.outcome, run.message)
    (data,) = all_of(db, "admin_traffic_reports", "report_data")
    return dict(data)


def metric(data: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [each for each in [*data["overview"], *data["acquisition"]] if each["metric"] == name]
    return dict(found)


def session(at: datetime = NOON - HOUR, **more: Any) -> dict[str, Any]:
    return {"started_at": at, "last_activity_at": at} | more


def event(session_id: str, at: datetime = NOON - HOUR, ms: int = 1000) -> dict[str, Any]:
    return {"session_id": session_id, "created_at": at, "time_on_page_ms": ms, "page_url": "/blog/a"}


def test_a_report_without_any_row_is_all_nothing(app_db: Engine, clock: ManualClock) -> None:
    data = report(app_db, clock)
    eight = [
        "overview",
        "acquisition",
        "top_content",
        "seo",
        "breakdowns",
        "funnel",
        "landing_pages",
        "sparklines",
    ]

    assert [] == [name for name in eight if name not in data]
    assert {"--"} == {delta["text"] for each in data["overview"] for delta in each["deltas"].values()}
    assert {
        "average_position": None,
        "clicks": 0,
        "ctr_percent": 0,
        "impressions": 0,
        "indexed_pages": 0,
    } == data["seo"]


@pytest.mark.parametrize(
    "robot",
    [{"is_bot": True}, {"is_scanner": True}, {"is_behavioral_bot": True}, {"request_count": 0}],
)
def test_only_sessions_of_people_count(app_db: Engine, clock: ManualClock, robot: dict[str, Any]) -> None:
    person, other = add(
        app_db,
        "user_sessions",
        session(country="IE", landing_page="/"),
        session(country="XX", landing_page="/x") | robot,
    )
    add(app_db, "engagement_events", event(person), event(other), event(other), event("of-nobody"))
    data = report(app_db, clock)

    assert (1, 1) == (metric(data, "sessions")["today"], metric(data, "page_views")["today"])
    assert [{"name": "IE", "sessions": 1}] == data["breakdowns"]["country"]
    assert ["/"] == [page["url"] for page in data["landing_pages"]]


def test_a_day_begins_at_midnight_and_averages_are_of_whole_days_before(
    app_db: Engine, clock: ManualClock
) -> None:
    ages = [HOUR, NOON - MIDNIGHT, NOON - MIDNIGHT + MOMENT, NOON - MIDNIGHT + DAY]  # two, and two
    ages += [NOON - MIDNIGHT + 7 * DAY, NOON - MIDNIGHT + 7 * DAY + MOMENT]  # the 7th day before; the 8th
    ages += [NOON - MIDNIGHT + 30 * DAY, NOON - MIDNIGHT + 30 * DAY + MOMENT]  # the 30th, and too old
    add(app_db, "user_sessions", *(session(NOON - age) for age in ages), session(NOON), session(NOON + HOUR))
    found = metric(report(app_db, clock), "sessions")

    assert (2, 2) == (found["today"], found["yesterday"])
    assert [round(n / days, 3) for n, days in ((3, 7), (4, 14), (5, 30))] == [
        found[f"average_{days}_days"] for days in (7, 14, 30)
    ]


def test_a_change_is_measured_against_the_average_itself_not_as_it_is_shown(
    app_db: Engine, clock: ManualClock
) -> None:
    """Two sessions against 4 in 30 days were "+1403.8%", because 4/30 had become 0.133."""
    add(app_db, "user_sessions", *(session(NOON - HOUR) for _ in "12"))
    add(app_db, "user_sessions", *(session(NOON - days * DAY) for days in (1, 2, 3, 20)))
    found = metric(report(app_db, clock), "sessions")

    assert 0.133 == found["average_30_days"]
    assert ["+100.0%", "+366.7%", "+833.3%", "+1400.0%"] == [
        each["text"] for each in found["deltas"].values()
    ]


def test_time_on_a_page_is_at_most_ten_minutes_and_never_nothing(app_db: Engine, clock: ManualClock) -> None:
    (person,) = add(app_db, "user_sessions", session())
    add(
        app_db,
        "engagement_events",
        event(person, ms=0),
        event(person, ms=60_000),
        event(person, ms=3_600_000),
    )
    data = report(app_db, clock)

    assert (2, 330) == (
        metric(data, "page_views")["today"],
        metric(data, "avg_time_on_page_seconds")["today"],
    )


def test_bounces_and_pages_are_per_session(app_db: Engine, clock: ManualClock) -> None:
    """Of the averages it is the ratio of sums that counts, not the mean of ratios."""
    first, *_ = add(app_db, "user_sessions", *(session(request_count=n) for n in (1, 2, 3, 4)))
    add(app_db, "user_sessions", *(session(NOON - DAY, request_count=1) for _ in range(3)))
    add(app_db, "user_sessions", session(NOON - 2 * DAY, request_count=2))
    add(app_db, "engagement_events", *(event(first) for _ in range(6)))
    data = report(app_db, clock)
    bounces = metric(data, "bounce_rate_percent")

    assert (25, 100, 75) == (bounces["today"], bounces["yesterday"], bounces["average_7_days"])
    assert {"text": "-75.0%", "arrow": "▼", "sentiment": "positive"} == bounces["deltas"]["yesterday"]
    assert 1.5 == metric(data, "pages_per_session")["today"]


def test_acquisition_counts_signups_logins_and_people(app_db: Engine, clock: ManualClock) -> None:
    kinds = ["user_created", "session_created", "login", "login", "other"]
    at = NOON - HOUR
    add(app_db, "tenant_activity", *({"event_type": kind, "remote_created_at": at} for kind in kinds))
    add(app_db, "user_activity", *({"user_id": user, "created_at": at} for user in ("ann", "ann", "bob")))
    add(app_db, "user_sessions", *(session() for _ in range(4)))
    data = report(app_db, clock)
    names = ("new_signups", "total_logins", "unique_active_users", "conversion_rate_percent")

    assert [1, 3, 2, 25] == [metric(data, name)["today"] for name in names]


def test_the_fifteen_most_viewed_contents_are_told(app_db: Engine, clock: ManualClock) -> None:
    for n in range(17):
        add(app_db, "markdown_content", {"id": f"c{n}", "slug": f"c{n}", "title": f"T{n}"})
        metrics = {
            "content_id": f"c{n}",
            "views_last_7_days": n,
            "views_last_30_days": 2 * n,
            "trend_direction": "up",
        }
        add(app_db, "content_performance_metrics", metrics | {"unique_visitors": 1, "search_clicks": 3})
    top = report(app_db, clock)["top_content"]

    assert [f"T{n}" for n in range(16, 1, -1)] == [each["title"] for each in top]
    assert {"title": "T16", "slug": "c16", "locale": "en", "views_last_7_days": 16, "views_last_30_days": 32,
            "unique_visitors": 1, "avg_time_on_page_seconds": 0.0, "trend_direction": "up",
            "search_impressions": 0, "search_clicks": 3} == top[0]  # fmt: skip


def test_what_is_not_public_or_not_published_yet_is_not_told(app_db: Engine, clock: ManualClock) -> None:
    add(app_db, "markdown_content", {"id": "a", "slug": "a", "title": "A secret", "public": False})
    later = clock.now() + timedelta(days=1)
    add(app_db, "markdown_content", {"id": "b", "slug": "b", "title": "A plan", "published_at": later})
    for content in "ab":
        add(app_db, "content_performance_metrics", {"content_id": content, "views_last_7_days": 5})

    assert [] == report(app_db, clock)["top_content"]


def test_search_and_funnel_are_sums_over_contents(app_db: Engine, clock: ManualClock) -> None:
    """What is not public, or not published yet, is no part of the funnel."""
    rows = [
        {"id": "a"},
        {"id": "b"},
        {"id": "hidden", "public": False},
        {"id": "later", "published_at": NOON + DAY},
    ]
    add(app_db, "markdown_content", *rows)
    seen = {"total_views": 6, "shares_total": 2, "comments_count": 1}
    add(
        app_db, "content_performance_metrics",
        seen | {"content_id": "a", "search_impressions": 300, "search_clicks": 9, "avg_search_position": 4},
        {"content_id": "b", "search_impressions": 100, "search_clicks": 1, "avg_search_position": 7.0},
        seen | {"content_id": "hidden", "search_impressions": 0},
    )  # fmt: skip
    data = report(app_db, clock)

    assert {
        "impressions": 400,
        "clicks": 10,
        "ctr_percent": 2.5,
        "indexed_pages": 2,
        "average_position": 5.5,
    } == data["seo"]
    assert {"published": 2, "average_views": 3.0, "shares": 2, "comments": 1} == data["funnel"]


def test_breakdowns_are_the_ten_largest_of_the_last_24_hours(app_db: Engine, clock: ManualClock) -> None:
    add(app_db, "user_sessions", *(session(country=f"C{n:02}") for n in range(12) for _ in range(n)))
    add(app_db, "user_sessions", session(country=None, device_type=" ", referrer_source=""))
    add(app_db, "user_sessions", session(referrer_source="Search", device_type="phone"))
    add(
        app_db,
        "user_sessions",
        session(NOON - DAY, country="exactly"),
        session(NOON - DAY - MOMENT, country="before"),
    )
    breakdowns = report(app_db, clock)["breakdowns"]

    assert [f"C{n:02}" for n in range(11, 2, -1)] == [row["name"] for row in breakdowns["country"]][:9]
    assert 10 == len(breakdowns["country"])
    assert {"Unknown": 68, "phone": 1} == {row["name"]: row["sessions"] for row in breakdowns["device"]}
    assert {"Direct": 68, "Search": 1} == {row["name"]: row["sessions"] for row in breakdowns["source"]}


def test_landing_pages_have_their_sessions_and_mean_time(app_db: Engine, clock: ManualClock) -> None:
    first, second, _, _ = add(
        app_db, "user_sessions",
        *(session(landing_page=page) for page in ("/a", "/a", "/b", "")),
    )  # fmt: skip
    events = [
        event(first, ms=10_000),
        event(first, ms=20_000),
        event(second, ms=3_600_000),
        event(second, ms=0),
    ]
    add(app_db, "engagement_events", *events)
    pages = report(app_db, clock)["landing_pages"]

    assert [("/a", 2, 210.0), ("/b", 1, 0.0)] == [
        (page["url"], page["sessions"], page["average_seconds"]) for page in pages
    ]


def test_the_week_ends_today(app_db: Engine, clock: ManualClock) -> None:
    """The 14th of March 2026 is a Saturday."""
    add(app_db, "user_sessions", *(session(NOON - HOUR - n * DAY) for n in range(9) for _ in range(n + 1)))
    lines = report(app_db, clock)["sparklines"]

    assert ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] == lines["labels"]
    assert [7, 6, 5, 4, 3, 2, 1] == lines["sessions"]


# --- where it is kept -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hour", "period"), [(0, "am"), (7, "am"), (13, "am"), (14, "pm"), (19, "pm"), (23, "pm")]
)
def test_the_report_of_the_evening_begins_at_two(app_db: Engine, hour: int, period: str) -> None:
    run = reported(app_db, ManualClock(NOON.replace(hour=hour)))

    assert "succeeded" == run.outcome
    assert [("2026-03-14", period)] == all_of(app_db, "admin_traffic_reports", "report_date", "report_period")


def test_a_later_report_of_the_same_half_day_replaces_the_earlier_one(
    app_db: Engine, clock: ManualClock
) -> None:
    reported(app_db, clock)
    add(app_db, "user_sessions", session())
    clock.advance(60)
    data = report(app_db, clock)

    assert 1 == metric(data, "sessions")["today"]
    assert [NOON + timedelta(seconds=60)] == all_of(app_db, "admin_traffic_reports", "generated_at")


def test_two_that_keep_the_first_report_of_a_half_day_at_once_keep_one(
    app_db: Engine, clock: ManualClock
) -> None:
    """On SQLite one waits for the other; on PostgreSQL the second finds, too late, that there is a row."""
    row = {"id": "x", "report_date": "2026-03-14", "report_period": "am", "report_data": {}}
    others = []

    def be_faster(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith("INSERT INTO admin_traffic_reports") and not others:
            others.append(True)
            with app_db.begin() as connection:
                connection.execute(insert(table("admin_traffic_reports")).values(**row, generated_at=NOON))

    if app_db.dialect.name == "postgresql":
        listen(app_db, "before_cursor_execute", be_faster)
    run = reported(app_db, clock)

    assert "succeeded" == run.outcome
    assert ["am"] == all_of(app_db, "admin_traffic_reports", "report_period")
    assert "overview" in all_of(app_db, "admin_traffic_reports", "report_data")[0]


def test_a_missing_table_fails_the_run_with_its_name(app_db: Engine, clock: ManualClock) -> None:
    with app_db.begin() as connection:
        connection.execute(text("DROP TABLE tenant_activity"))
    run = reported(app_db, clock)

    assert "failed" == run.outcome
    assert "no table 'tenant_activity'" in str(run.error)
