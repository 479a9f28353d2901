"""What visitors' events come to, on both databases; and that counting little gives what counting all does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, event, insert, text, update

from cronledger.domain.run import RunState
from cronledger.extensions.web.content_analytics_aggregation import (
    BATCH,
    ContentAnalyticsAggregation,
    Watermark,
    _read,
)
from cronledger.ledger.application import application_engine
from cronledger.migrations import application
from cronledger.testing import ManualClock, perform
from tests.unit.extensions.rows import NOON, add, all_of, table

MOMENT = timedelta(microseconds=1)
DAY = timedelta(days=1)
COUNTED = (
    "content_id", "total_views", "unique_visitors", "avg_time_on_page_seconds", "views_last_7_days",
    "views_last_30_days", "trend_direction",
)  # fmt: skip


def aggregated(db: Engine, clock: ManualClock, **params: str) -> RunState:
    return asyncio.run(perform(ContentAnalyticsAggregation(), db=db, clock=clock, params=params))


def counted(db: Engine) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in all_of(db, "content_performance_metrics", *COUNTED)}


def looks(content: str, at: datetime = NOON, ms: int = 1000, session: str = "s") -> dict[str, Any]:
    return {"page_url": f"/blog/{content}", "created_at": at, "time_on_page_ms": ms, "session_id": session}


def post(db: Engine, name: str, **more: Any) -> None:
    add(db, "markdown_content", {"id": name, "slug": name} | more)


# --- the formulas ---------------------------------------------------------------------------------------


def test_views_visitors_and_time_are_counted(app_db: Engine, clock: ManualClock) -> None:
    """A view took time; visitors and the mean are of all events, those without time included."""
    post(app_db, "a")
    add(
        app_db, "engagement_events",
        looks("a", ms=3000, session="ann"), looks("a", ms=2000, session="ann"),
        looks("a", ms=0, session="bob"), looks("a", NOON - 10 * DAY, ms=1000, session="cas"),
    )  # fmt: skip
    run = aggregated(app_db, clock)

    assert {"a": (3, 3, 1.5, 2, 3, "up")} == counted(app_db)
    assert ("succeeded", 1, 0, "1 of 1 contents") == (
        run.outcome, run.items_processed, run.items_failed, run.message
    )  # fmt: skip


def test_content_that_nobody_has_seen_has_a_row_of_nothing(app_db: Engine, clock: ManualClock) -> None:
    post(app_db, "a")
    aggregated(app_db, clock)

    assert {"a": (0, 0, 0.0, 0, 0, "stable")} == counted(app_db)


@pytest.mark.parametrize(
    ("age", "views"),
    [
        (7 * DAY - MOMENT, (1, 1)), (7 * DAY, (1, 1)), (7 * DAY + MOMENT, (0, 1)),
        (30 * DAY, (0, 1)), (30 * DAY + MOMENT, (0, 0)),
    ],
)  # fmt: skip
def test_an_event_of_exactly_seven_or_thirty_days_ago_still_counts(
    app_db: Engine, clock: ManualClock, age: timedelta, views: tuple[int, int]
) -> None:
    post(app_db, "a")
    add(app_db, "engagement_events", looks("a", NOON - age))
    aggregated(app_db, clock)

    assert views == counted(app_db)["a"][3:5]


@pytest.mark.parametrize(
    ("recent", "before", "trend"),
    [(2, 5, "stable"), (3, 5, "up"), (4, 15, "stable"), (3, 15, "down"), (1, 0, "up"), (0, 1, "down")],
)
def test_the_trend_turns_beyond_a_fifth(
    app_db: Engine, clock: ManualClock, recent: int, before: int, trend: str
) -> None:
    """The baseline is a third of the views of the 23 days before; 1.2 and 0.8 of it are still stable."""
    post(app_db, "a")
    events = [looks("a")] * recent + [looks("a", NOON - 20 * DAY)] * before
    add(app_db, "engagement_events", *events)
    aggregated(app_db, clock)

    assert trend == counted(app_db)["a"][5]


@pytest.mark.parametrize(
    "url",
    ["/blog/a", "/blog/a/", "/blog/a?x=/blog/b", "/blog/a/?x", "/blog/a#top", "/blog/a/#?", "/blog/a?#"],
)
def test_slash_query_and_fragment_do_not_matter(app_db: Engine, clock: ManualClock, url: str) -> None:
    for slug in ("a", "b"):
        post(app_db, slug)
    aggregated(app_db, clock)
    add(app_db, "engagement_events", looks("a") | {"page_url": url})
    aggregated(app_db, clock)

    assert [1, 0] == [counts[0] for counts in counted(app_db).values()]


@pytest.mark.parametrize(
    "url",
    [
        "/blog/ab",
        "/blog/a/b",
        "/blog/A",
        "/legal/a",
        "/xblog/a",
        "/blog/",
        "/blog/a//",
        "/de/blog/a",
        "a",
        "",
    ],
)
def test_other_pages_are_not_taken_for_it(app_db: Engine, clock: ManualClock, url: str) -> None:
    post(app_db, "a")
    aggregated(app_db, clock)
    add(app_db, "engagement_events", looks("a") | {"page_url": url})
    aggregated(app_db, clock)

    assert 0 == counted(app_db)["a"][0]


def test_a_source_has_its_own_prefix_and_a_locale_its_own_path(app_db: Engine, clock: ManualClock) -> None:
    post(app_db, "terms", source_id="legal")
    post(app_db, "agb", source_id="legal", slug="terms", locale="de")
    post(app_db, "start", source_id="documentation", slug="")
    post(app_db, "elsewhere", source_id="shop")
    urls = [
        "/legal/terms",
        "/de/legal/terms",
        "/de/legal/terms",
        "/documentation",
        "/blog/terms",
        "/shop/elsewhere",
    ]
    add(app_db, "engagement_events", *({**looks(""), "page_url": url} for url in urls))
    aggregated(app_db, clock)

    assert {"terms": 1, "agb": 2, "start": 1} == {name: counts[0] for name, counts in counted(app_db).items()}


def test_columns_that_others_fill_are_left_as_they_are(app_db: Engine, clock: ManualClock) -> None:
    post(app_db, "a")
    metrics = {"id": "m", "content_id": "a", "shares_total": 4, "search_clicks": 5, "comments_count": 6}
    add(app_db, "content_performance_metrics", metrics)
    aggregated(app_db, clock)

    assert [("m", 4, 5, 6)] == all_of(
        app_db, "content_performance_metrics", "id", "shares_total", "search_clicks", "comments_count"
    )


# --- only what may have changed -------------------------------------------------------------------------


def an_hour_later(db: Engine, clock: ManualClock) -> None:
    """Let the first hour pass, in which everything is looked at more than once."""
    aggregated(db, clock)
    clock.advance(3601)
    aggregated(db, clock)


def test_only_contents_with_new_events_are_counted_again(app_db: Engine, clock: ManualClock) -> None:
    for slug in ("a", "b", "c"):
        post(app_db, slug, updated_at=NOON - DAY)
        add(app_db, "engagement_events", looks(slug))
    an_hour_later(app_db, clock)
    add(app_db, "engagement_events", looks("b"))
    clock.advance(900)
    run = aggregated(app_db, clock)

    assert "1 of 3 contents" == run.message
    assert [1, 2, 1] == [counts[0] for counts in counted(app_db).values()]


def test_a_view_that_leaves_a_window_is_missed_without_a_new_event(
    app_db: Engine, clock: ManualClock
) -> None:
    post(app_db, "a", updated_at=NOON - DAY)
    add(app_db, "engagement_events", looks("a"))
    an_hour_later(app_db, clock)
    found = []
    for days in (6.9, 0.1, 22.9, 0.1):
        clock.advance(days * 86_400)
        found.append((aggregated(app_db, clock).items_processed, *counted(app_db)["a"][3:5]))

    assert [(0, 1, 1), (1, 0, 1), (0, 0, 1), (1, 0, 0)] == found


def test_an_event_that_is_written_late_counts_where_it_belongs(app_db: Engine, clock: ManualClock) -> None:
    post(app_db, "a", updated_at=NOON - DAY)
    an_hour_later(app_db, clock)
    clock.advance(900)
    add(app_db, "engagement_events", looks("a", NOON - 20 * DAY), looks("a", NOON - 40 * DAY))
    aggregated(app_db, clock)

    assert (2, 0, 1) == (counted(app_db)["a"][0], *counted(app_db)["a"][3:5])


def test_an_event_is_found_that_was_committed_after_one_with_a_higher_id(
    app_db: Engine, clock: ManualClock
) -> None:
    """Its id was drawn first, and its transaction ended fifty minutes later."""
    post(app_db, "a", updated_at=NOON - DAY)
    add(app_db, "engagement_events", looks("a") | {"id": 1_000_001})
    an_hour_later(app_db, clock)
    add(app_db, "engagement_events", looks("a") | {"id": 1_000_009})
    for _ in range(4):
        aggregated(app_db, clock)
        clock.advance(900)
    add(app_db, "engagement_events", looks("a") | {"id": 1_000_005})
    aggregated(app_db, clock)

    assert 3 == counted(app_db)["a"][0]


def test_content_that_comes_after_its_events_finds_them(app_db: Engine, clock: ManualClock) -> None:
    add(app_db, "engagement_events", looks("a"))
    an_hour_later(app_db, clock)
    post(app_db, "a", updated_at=NOON - DAY)
    clock.advance(900)
    aggregated(app_db, clock)

    assert 1 == counted(app_db)["a"][0]


def test_content_that_gets_another_slug_gets_the_events_of_its_new_page(
    app_db: Engine, clock: ManualClock
) -> None:
    post(app_db, "a", updated_at=NOON - DAY)
    add(app_db, "engagement_events", looks("a"), looks("new"), looks("new"))
    an_hour_later(app_db, clock)
    clock.advance(7200)
    with app_db.begin() as connection:
        connection.execute(update(table("markdown_content")).values(slug="new", updated_at=clock.now()))
    aggregated(app_db, clock)

    assert 2 == counted(app_db)["a"][0]


def test_everything_is_counted_again_when_asked_for(app_db: Engine, clock: ManualClock) -> None:
    """Events that were removed leave no trace that the job could see."""
    post(app_db, "a", updated_at=NOON - DAY)
    add(app_db, "engagement_events", looks("a"))
    an_hour_later(app_db, clock)
    with app_db.begin() as connection:
        connection.execute(delete(table("engagement_events")))
    clock.advance(900)
    aggregated(app_db, clock)
    kept = counted(app_db)["a"][0]
    aggregated(app_db, clock, full="true")

    assert (1, 0) == (kept, counted(app_db)["a"][0])


REFUSING = {
    "sqlite": "CREATE TRIGGER no BEFORE INSERT ON content_performance_metrics "
    "WHEN NEW.content_id = (SELECT id FROM markdown_content WHERE slug = 'b') "
    "BEGIN SELECT RAISE(ABORT, 'not this one'); END",
    "postgresql": "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "IF NEW.content_id = (SELECT id FROM markdown_content WHERE slug = 'b') THEN "
    "RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$; "
    "CREATE TRIGGER no BEFORE INSERT ON content_performance_metrics FOR EACH ROW EXECUTE FUNCTION no()",
}


# --- crashes and other runs -----------------------------------------------------------------------------


class PowerCutError(Exception):
    """The process is gone, as far as the database can see."""


def test_a_crash_between_batches_neither_loses_nor_doubles_anything(
    app_db: Engine, clock: ManualClock
) -> None:
    many = BATCH + 5
    for number in range(many):
        post(app_db, f"c{number:03}")
        add(app_db, "engagement_events", looks(f"c{number:03}"))
    writes = []

    def cut(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        writes.append(statement.startswith("INSERT INTO content_performance_metrics"))
        if writes.count(True) == 2:
            raise PowerCutError

    event.listen(app_db, "before_cursor_execute", cut)
    crashed = aggregated(app_db, clock)
    event.remove(app_db, "before_cursor_execute", cut)
    after_crash = len(counted(app_db))
    aggregated(app_db, clock)

    assert ("failed", BATCH) == (crashed.outcome, after_crash)
    assert [1] * many == [counts[0] for counts in counted(app_db).values()]


def test_a_run_that_was_overtaken_writes_nothing_more(app_db: Engine, clock: ManualClock) -> None:
    post(app_db, "a")
    aggregated(app_db, clock)
    clock.advance(900)
    add(app_db, "engagement_events", looks("a"))
    later = ManualClock(clock.now() + timedelta(minutes=15))
    taken: list[str] = []

    def overtake(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "UPDATE job_watermarks SET" in statement:
            taken.append(statement)
        if len(taken) == 2 and taken[-1] is statement:  # it is this run's, and is held for the first batch
            taken.append("")
            other = application_engine(app_db.url.render_as_string(hide_password=False))
            asyncio.run(perform(ContentAnalyticsAggregation(), db=other, clock=later))
            other.dispose()

    event.listen(app_db, "before_cursor_execute", overtake)
    run = aggregated(app_db, clock)
    event.remove(app_db, "before_cursor_execute", overtake)

    assert "Overtaken: a later run of this job has taken its watermark over" in (run.error or "")
    assert [later.now()] == all_of(app_db, "content_performance_metrics", "updated_at")


def test_a_row_that_is_refused_is_counted_and_the_others_are_written(
    app_db: Engine, clock: ManualClock
) -> None:
    for slug in "abc":
        post(app_db, slug)
    with app_db.begin() as connection:
        connection.exec_driver_sql(REFUSING[app_db.dialect.name])
    run = aggregated(app_db, clock)

    assert ("succeeded", 2, 1) == (run.outcome, run.items_processed, run.items_failed)
    assert 2 == len(counted(app_db))


@pytest.mark.parametrize(
    "kept", [None, {}, {"at": "soon", "marks": []}, {"at": "2026-01-01T00:00:00Z", "marks": []}]
)
def test_a_watermark_that_cannot_be_read_is_none(kept: object) -> None:
    assert None is _read(kept)


def test_a_watermark_keeps_the_newest_mark_of_an_hour_ago_and_those_after_it() -> None:
    minutes = [NOON + timedelta(minutes=15 * number) for number in range(8)]
    watermark = Watermark(minutes[0], ((minutes[0], 1),))
    settled = []
    for number, at in enumerate(minutes[1:], start=2):
        watermark = watermark.moved(at, number)
        settled.append(watermark.settled)

    assert [0, 0, 0, 1, 2, 3, 4] == settled
    assert 5 == len(watermark.marks)


def test_a_clock_that_was_set_back_makes_later_marks_worthless() -> None:
    watermark = Watermark(NOON, ((NOON - 2 * DAY, 3), (NOON, 9))).moved(NOON - DAY, 12)

    assert ((NOON - 2 * DAY, 3), (NOON - DAY, 12)) == watermark.marks


def test_a_missing_column_fails_the_run_with_its_name(app_db: Engine, clock: ManualClock) -> None:
    with app_db.begin() as connection:
        connection.execute(text("ALTER TABLE engagement_events RENAME COLUMN page_url TO url"))
    run = aggregated(app_db, clock)

    assert "table 'engagement_events' of the application's database has no column 'page_url'" in (
        run.error or ""
    )


# --- little by little, and all at once ------------------------------------------------------------------

_borders = [timedelta(0), 7 * DAY, 30 * DAY]
_ages = st.one_of(
    st.sampled_from([border + shift for border in _borders for shift in (-MOMENT, timedelta(0), MOMENT)]),
    st.timedeltas(-DAY, 40 * DAY),
)
_events = st.tuples(
    st.sampled_from(["/blog/a", "/blog/a/?q", "/blog/b#x", "/blog/c", "/legal/d", "/blog/nothing"]),
    _ages,
    st.sampled_from([0, 1, 700, 60_000]),
    st.sampled_from(["ann", "bob", "cas"]),
)
_moves = st.one_of(
    st.sampled_from([timedelta(minutes=15), timedelta(hours=1), 7 * DAY, 23 * DAY, 30 * DAY, -7 * DAY, -DAY]),
    st.timedeltas(-2 * DAY, 31 * DAY),
)
_chunks = st.lists(st.tuples(st.lists(_events, max_size=6), _moves), min_size=1, max_size=6)


@pytest.fixture
def empty_file(tmp_path: Path) -> Iterator[Engine]:
    engine = application_engine(f"sqlite:///{tmp_path / 'property.db'}")
    application.upgrade(engine)
    for slug in ("a", "b", "c"):
        post(engine, slug, updated_at=NOON - 400 * DAY)
    post(engine, "d", source_id="legal", updated_at=NOON - 400 * DAY)
    yield engine
    engine.dispose()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunks=_chunks)
def test_little_by_little_comes_to_the_same_as_all_at_once(empty_file: Engine, chunks: Any) -> None:
    """Events of any age in any order, and a clock that goes over the borders of windows, and back."""
    db, clock = empty_file, ManualClock(NOON)
    with db.begin() as connection:
        for name in ("engagement_events", "content_performance_metrics", "job_watermarks"):
            connection.execute(delete(table(name)))
    number = 0
    for events, move in chunks:
        for url, age, ms, session in events:
            number += 1
            row = {"id": number, "page_url": url, "created_at": clock.now() - age, "time_on_page_ms": ms}
            with db.begin() as connection:
                values = row | {"session_id": session, "event_type": "page_view"}
                connection.execute(insert(table("engagement_events")).values(values))
        aggregated(db, clock)
        little = counted(db)
        with db.begin() as connection:
            kept = connection.execute(table("job_watermarks").select()).mappings().one()
        aggregated(db, clock, full="true")
        with db.begin() as connection:
            connection.execute(update(table("job_watermarks")).values(dict(kept)))

        assert counted(db) == little
        clock.step(move.total_seconds())
