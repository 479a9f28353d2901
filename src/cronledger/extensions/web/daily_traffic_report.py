"""Daily traffic report: who came, from where and to what, against the days before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from cronledger import Job, JobContext, JobResult
from cronledger.extensions.tables import tables
from cronledger.extensions.web import reports
from cronledger.extensions.web.discord import message, plain
from cronledger.extensions.web.traffic import TABLES, traffic
from cronledger.extensions.web.wording import short, sparkline, spent

EVENING_HOUR = 14
"""From this hour (UTC) on, a report is the one of the evening."""

_SHOWN = 5
_TRENDS = {"up": "▲", "down": "▼"}


class DailyTrafficReport(Job):
    """Keeps a report in `admin_traffic_reports`, one a date and half of the day, and posts it."""

    name = "daily_traffic_report"
    description = "Compile traffic metrics and post a summary to Discord"
    tags = ("reports", "web")
    idempotent = True
    params = reports.NoParameters

    async def execute(self, ctx: JobContext) -> JobResult:
        """Report as of the fire time; a manual run reports as of now."""
        return await reports.deliver(ctx, period=half, compiled=_compiled, layout=_layout)


def half(at: datetime) -> str:
    """Return which report of its day an instant belongs to.

    >>> half(datetime(2026, 1, 1, 13, 59)), half(datetime(2026, 1, 1, 14))
    ('am', 'pm')
    """
    return "am" if at.hour < EVENING_HOUR else "pm"


def _compiled(ctx: JobContext, at: datetime) -> dict[str, Any]:
    found = tables(ctx, *TABLES)
    with ctx.db.connect() as connection:
        return traffic(connection, found, at)


# --- as a message ---------------------------------------------------------------------------------------


def _layout(data: Mapping[str, Any]) -> dict[str, Any]:
    sections: list[tuple[str, Iterable[str]]] = [
        ("Traffic overview", _metrics(data["overview"])),
        ("User acquisition", _metrics(data["acquisition"])),
        ("Top content (7 days)", _content(data["top_content"])),
        ("SEO", _seo(data["seo"])),
        ("Last 24 hours", _breakdowns(data["breakdowns"])),
        ("Content funnel", _funnel(data["funnel"])),
        ("Top landing pages (24 h)", _landing_pages(data["landing_pages"])),
        ("Last 7 days", _week(data["sparklines"])),
    ]
    title = f"Traffic report {data['report_date']} {data['report_period'].upper()}"
    return message(title, sections, at=datetime.fromisoformat(data["at"]))


def _metrics(metrics: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for each in metrics:
        today, yesterday, week = (
            _formed(each[name], each["form"]) for name in ("today", "yesterday", "average_7_days")
        )
        deltas = [each["deltas"][name] for name in ("yesterday", "average_7_days")]
        day, seven = (f"{change['arrow']} {change['text']}" for change in deltas)
        yield f"{each['label']}: **{today}** (yesterday {yesterday} {day}, 7-day average {week} {seven})"


def _formed(value: float, form: str) -> str:
    match form:
        case "time":
            return spent(value)
        case "percent":
            return f"{short(value)}%"
        case _:
            return short(value)


def _content(content: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for each in content:
        trend = _TRENDS.get(each["trend_direction"], "—")
        views = f"{each['views_last_7_days']} views (30 days: {each['views_last_30_days']})"
        time = spent(each["avg_time_on_page_seconds"])
        yield f"{trend} {plain(each['title'])}: {views}, {each['unique_visitors']} visitors, {time}"


def _seo(seo: Mapping[str, Any]) -> Iterator[str]:
    position = "--" if seo["average_position"] is None else short(seo["average_position"])
    yield (
        f"{short(seo['impressions'])} impressions, {short(seo['clicks'])} clicks, "
        f"CTR {short(seo['ctr_percent'])}%, {seo['indexed_pages']} pages indexed, position {position}"
    )


def _breakdowns(breakdowns: Mapping[str, Iterable[Mapping[str, Any]]]) -> Iterator[str]:
    for kind, rows in breakdowns.items():
        shown = [f"{plain(row['name'], 40)} {row['sessions']}" for row in rows]
        if shown:
            yield f"{kind.capitalize()}: {', '.join(shown[:_SHOWN])}"


def _funnel(funnel: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{funnel['published']} published, {short(funnel['average_views'])} views a piece, "
        f"{funnel['shares']} shares, {funnel['comments']} comments"
    )


def _landing_pages(pages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for each in pages:
        yield f"{plain(each['url'])}: {each['sessions']} sessions, {spent(each['average_seconds'])}"


def _week(lines: Mapping[str, Any]) -> Iterator[str]:
    first, last = lines["labels"][0], lines["labels"][-1]
    for name, label in (("sessions", "Sessions"), ("page_views", "Page views"), ("signups", "Signups")):
        yield f"{label}: {sparkline(lines[name])} ({first} to {last})"
