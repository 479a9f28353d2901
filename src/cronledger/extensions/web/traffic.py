"""The numbers of the traffic report: one statement per kind of row, counted by the database.

Only people count: sessions that are not a bot's, not a scanner's, do not behave like a bot's, and made a
request. Days are UTC. An average over N days is over the N whole days before today.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    and_,
    case,
    column,
    distinct,
    false,
    func,
    literal,
    select,
    values,
)

from cronledger.extensions.tables import Instant, Tables
from cronledger.extensions.web.wording import delta, ratio

TABLES = (
    "user_sessions", "engagement_events", "markdown_content", "content_performance_metrics",
    "tenant_activity", "user_activity",
)  # fmt: skip
LONGEST_TIME_MS = 600_000
"""What an event counts at most: a page that is left open is not being read."""

TOP_CONTENT = 15
TOP = 10
AVERAGES = (7, 14, 30)
SPARKLINE_DAYS = 7
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = timedelta(days=1)

Days = list[dict[str, float]]
"""What was counted on each day; the first one is today."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A count a day or, with `whole`, one count divided by another."""

    name: str
    label: str
    part: str
    whole: str | None = None
    scale: float = 1
    form: str = "number"
    less_is_better: bool = False


OVERVIEW = (
    Metric(name="sessions", label="Sessions", part="sessions"),
    Metric(name="page_views", label="Page Views", part="views"),
    Metric(name="unique_visitors", label="Unique Visitors", part="sessions"),
    Metric(
        name="avg_time_on_page_seconds", label="Avg Time on Page", part="time_ms", whole="views",
        scale=0.001, form="time",
    ),
    Metric(
        name="bounce_rate_percent", label="Bounce Rate", part="bounces", whole="sessions", scale=100,
        form="percent", less_is_better=True,
    ),
    Metric(name="pages_per_session", label="Pages/Session", part="views", whole="sessions"),
)  # fmt: skip
ACQUISITION = (
    Metric(name="new_signups", label="New Signups", part="signups"),
    Metric(name="total_logins", label="Total Logins", part="logins"),
    Metric(name="unique_active_users", label="Unique Active Users", part="active"),
    Metric(
        name="conversion_rate_percent", label="Conversion Rate", part="signups", whole="sessions", scale=100,
        form="percent",
    ),
)  # fmt: skip


def traffic(connection: Connection, t: Tables, at: datetime) -> dict[str, Any]:
    """Return the eight sections of the report as of an instant, as plain JSON values."""
    days = _days(connection, t, at)
    return {
        "overview": [_compared(metric, days) for metric in OVERVIEW],
        "acquisition": [_compared(metric, days) for metric in ACQUISITION],
        "top_content": _top_content(connection, t, at),
        "seo": _seo(connection, t),
        "breakdowns": _breakdowns(connection, t, at),
        "funnel": _funnel(connection, t, at),
        "landing_pages": _landing_pages(connection, t, at),
        "sparklines": _sparklines(days, at),
    }


# --- by day ---------------------------------------------------------------------------------------------


def _days(connection: Connection, t: Tables, at: datetime) -> Days:
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    whole = [(n, midnight - n * _DAY, midnight - (n - 1) * _DAY) for n in range(1, max(AVERAGES) + 1)]
    columns = column("day", Integer), column("since", Instant()), column("until", Instant())
    periods = values(*columns, name="periods").data([(0, midnight, at), *whole]).cte("days")
    found: Days = [{} for _ in range(len(whole) + 1)]
    for counted in (_sessions, _events, _tenants, _users):
        for row in connection.execute(counted(periods, t).group_by(periods.c.day)).mappings():
            found[row["day"]] |= {name: float(row[name] or 0) for name in row if name != "day"}
    return found


def _sessions(days: Any, t: Tables) -> Any:
    s = t.user_sessions.c
    bounces = func.sum(case((s.request_count == 1, 1), else_=0)).label("bounces")
    counted = select(days.c.day, func.count().label("sessions"), bounces)
    return counted.select_from(days).join(t.user_sessions, and_(_within(s.started_at, days), of_people(t)))


def _events(days: Any, t: Tables) -> Any:
    e, s = t.engagement_events.c, t.user_sessions.c
    of_day = and_(_within(e.created_at, days), e.time_on_page_ms > 0)
    counted = select(days.c.day, func.count().label("views"), func.sum(_time(t)).label("time_ms"))
    joined = counted.select_from(days).join(t.engagement_events, of_day)
    return joined.join(t.user_sessions, and_(s.session_id == e.session_id, of_people(t)))


def _tenants(days: Any, t: Tables) -> Any:
    a = t.tenant_activity.c
    signups, logins = a.event_type == "user_created", a.event_type.in_(("session_created", "login"))
    counts = [func.sum(case((each, 1), else_=0)) for each in (signups, logins)]
    counted = select(days.c.day, counts[0].label("signups"), counts[1].label("logins"))
    return counted.select_from(days).join(t.tenant_activity, _within(a.remote_created_at, days))


def _users(days: Any, t: Tables) -> Any:
    a = t.user_activity.c
    counted = select(days.c.day, func.count(distinct(a.user_id)).label("active"))
    return counted.select_from(days).join(t.user_activity, _within(a.created_at, days))


def _within(at: ColumnElement[Any], days: Any) -> ColumnElement[bool]:
    return and_(at >= days.c.since, at < days.c.until)


def of_people(t: Tables) -> ColumnElement[bool]:
    """Return the condition that tells sessions of people from all others."""
    s = t.user_sessions.c
    flags = (s.is_bot, s.is_scanner, s.is_behavioral_bot)
    return and_(*(flag == false() for flag in flags), s.request_count > 0)


def _time(t: Tables) -> ColumnElement[Any]:
    time = t.engagement_events.c.time_on_page_ms
    return case((time > LONGEST_TIME_MS, LONGEST_TIME_MS), else_=time)


def _value(metric: Metric, days: Days) -> float:
    part = sum(day.get(metric.part, 0) for day in days)
    whole = sum(day.get(metric.whole, 0) for day in days) if metric.whole else len(days)
    return ratio(part, whole) * metric.scale


def _compared(metric: Metric, days: Days) -> dict[str, Any]:
    today = _value(metric, days[:1])
    before = {"yesterday": _value(metric, days[1:2])}
    before |= {f"average_{n}_days": _value(metric, days[1 : n + 1]) for n in AVERAGES}
    deltas = {
        name: msgspec.structs.asdict(delta(today, value, less_is_better=metric.less_is_better))
        for name, value in before.items()
    }
    about = {"metric": metric.name, "label": metric.label, "form": metric.form}
    # Rounded only now: a change against a rounded average would be off by several percent.
    shown = {name: round(value, 3) for name, value in ({"today": today} | before).items()}
    return about | shown | {"deltas": deltas}


def _sparklines(days: Days, at: datetime) -> dict[str, list[Any]]:
    shown = range(SPARKLINE_DAYS - 1, -1, -1)
    lines = {"sessions": "sessions", "page_views": "views", "signups": "signups"}
    labels = [_WEEKDAYS[(at - n * _DAY).weekday()] for n in shown]
    return {"labels": labels} | {name: [days[n].get(key, 0.0) for n in shown] for name, key in lines.items()}


# --- as of now ------------------------------------------------------------------------------------------


def _top_content(connection: Connection, t: Tables, at: datetime) -> list[dict[str, Any]]:
    c, m = t.markdown_content.c, t.content_performance_metrics.c
    order = (m.views_last_7_days.desc(), m.views_last_30_days.desc(), c.slug, c.locale)
    found = select(
        c.title, c.slug, c.locale, m.views_last_7_days, m.views_last_30_days, m.unique_visitors,
        m.avg_time_on_page_seconds, m.trend_direction, m.search_impressions, m.search_clicks,
    ).join_from(t.markdown_content, t.content_performance_metrics, c.id == m.content_id)  # fmt: skip
    shown = found.where(c.public, c.published_at <= at).order_by(*order).limit(TOP_CONTENT)
    return _rows(connection.execute(shown).mappings())


def _seo(connection: Connection, t: Tables) -> dict[str, Any]:
    m = t.content_performance_metrics.c
    row = connection.execute(
        select(
            func.coalesce(func.sum(m.search_impressions), 0).label("impressions"),
            func.coalesce(func.sum(m.search_clicks), 0).label("clicks"),
            func.coalesce(func.sum(case((m.search_impressions > 0, 1), else_=0)), 0).label("indexed_pages"),
            func.avg(m.avg_search_position).label("average_position"),
        )
    ).one()
    impressions, clicks = int(row.impressions), int(row.clicks)
    position = None if row.average_position is None else round(float(row.average_position), 2)
    return {
        "impressions": impressions,
        "clicks": clicks,
        "ctr_percent": round(ratio(clicks, impressions) * 100, 2),
        "indexed_pages": int(row.indexed_pages),
        "average_position": position,
    }


def _breakdowns(connection: Connection, t: Tables, at: datetime) -> dict[str, list[dict[str, Any]]]:
    s = t.user_sessions.c
    kinds = (
        ("country", s.country, "Unknown"),
        ("device", s.device_type, "Unknown"),
        ("source", s.referrer_source, "Direct"),
    )
    last_day = and_(s.started_at >= at - _DAY, s.started_at < at, of_people(t))
    found = {}
    for kind, each, nothing in kinds:
        name = func.coalesce(func.nullif(func.trim(each), ""), literal(nothing)).label("name")
        named = select(name).where(last_day).subquery()
        count = func.count().label("sessions")
        top = select(named.c.name, count).group_by(named.c.name).order_by(count.desc(), named.c.name)
        found[kind] = _rows(connection.execute(top.limit(TOP)).mappings())
    return found


def _funnel(connection: Connection, t: Tables, at: datetime) -> dict[str, Any]:
    c, m = t.markdown_content.c, t.content_performance_metrics.c
    sums = [
        func.coalesce(func.sum(each), 0).label(each.key)
        for each in (m.total_views, m.shares_total, m.comments_count)
    ]
    joined = t.markdown_content.outerjoin(t.content_performance_metrics, c.id == m.content_id)
    counted = select(func.count().label("published"), *sums).select_from(joined)
    row = connection.execute(counted.where(c.public, c.published_at <= at)).mappings().one()
    return {
        "published": int(row["published"]),
        "average_views": round(ratio(int(row["total_views"]), int(row["published"])), 2),
        "shares": int(row["shares_total"]),
        "comments": int(row["comments_count"]),
    }


def _landing_pages(connection: Connection, t: Tables, at: datetime) -> list[dict[str, Any]]:
    s, e = t.user_sessions.c, t.engagement_events.c
    landed = (s.started_at >= at - _DAY, s.started_at < at, of_people(t), func.trim(s.landing_page) != "")
    visits = select(s.session_id, s.landing_page.label("url")).where(*landed).subquery()
    views, time = func.count().label("views"), func.sum(_time(t)).label("time_ms")
    reading = and_(e.session_id == visits.c.session_id, e.time_on_page_ms > 0)
    read = select(e.session_id, views, time).join_from(t.engagement_events, visits, reading)
    times = read.group_by(e.session_id).subquery()
    sessions = func.count().label("sessions")
    total = func.sum(times.c.time_ms).label("time_ms"), func.sum(times.c.views).label("views")
    by_page = (
        select(visits.c.url, sessions, *total)
        .outerjoin_from(visits, times, times.c.session_id == visits.c.session_id)
        .group_by(visits.c.url)
        .order_by(sessions.desc(), visits.c.url)
        .limit(TOP)
    )
    return [
        {
            "url": row.url,
            "sessions": row.sessions,
            "average_seconds": round(ratio(int(row.time_ms or 0), int(row.views or 0)) / 1000, 1),
        }
        for row in connection.execute(by_page)
    ]


def _rows(found: Iterable[Any]) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in found]
