"""Where croniter, an independent engine, would fire differently, and why.

Most schedules come from somewhere, and what they meant there is often what croniter makes of them. It is
asked only here; it never decides when a job is due.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter

from cronledger.domain.cron import Cron
from cronledger.domain.cron_parser import ALL_DAYS, ALL_WEEKDAYS, Spec, split
from cronledger.domain.definition import DayMatch
from cronledger.domain.fire_times import LAST
from cronledger.domain.schedule import Schedule, schedule_of

_NO_DATE = "croniter accepts it but finds no fire time"


def croniter_disagreements(
    text: str,
    *,
    timezone: str,
    after: datetime,
    count: int = 20,
    day_match: DayMatch = DayMatch.OR,
) -> list[str]:
    """Compare the next `count` fire times; one sentence for the first difference, empty if there is none.

    Raises InvalidCron or UnknownZone for what is not a schedule at all.

    >>> croniter_disagreements("0 5-5 * * * *", timezone="UTC", after=datetime(2026, 1, 1, tzinfo=UTC))
    ['croniter fires at 2026-01-01T00:01:00Z, we do not: it reads a range of one value as the whole field']
    """
    schedule = schedule_of(text, timezone=timezone, day_match=day_match)
    if schedule is None or not isinstance(schedule.rule, Cron):
        return []
    ours = list(schedule.fire_times(after, LAST, count))
    theirs = _their_fire_times(schedule, schedule.rule.spec, after, len(ours))
    if isinstance(theirs, str):
        return [theirs]
    for our, their in zip(ours, theirs, strict=True):
        if our != their:
            who = "croniter fires" if their < our else "we fire"
            other = "we do" if their < our else "croniter does"
            earlier = min(our, their).isoformat().replace("+00:00", "Z")
            return [f"{who} at {earlier}, {other} not: {_reason(schedule, schedule.rule.spec)}"]
    return []


def _their_fire_times(schedule: Schedule, spec: Spec, after: datetime, count: int) -> list[datetime] | str:
    words = split(schedule.text)
    words[5] = words[5].removeprefix("+")
    expression = " ".join([*words[:5], _last_weekdays(words[5])])
    start = after.astimezone(ZoneInfo(schedule.zone.name))
    try:
        times = croniter(expression, start, second_at_beginning=True, day_or=not spec.both)
        found = [times.get_next(datetime).astimezone(UTC) for _ in range(count)]
    except (CroniterError, ValueError, KeyError) as error:
        return f"croniter cannot read it: {error}" if "failed to find" not in str(error) else _NO_DATE
    return found


def _last_weekdays(word: str) -> str:
    """Write the last Friday as croniter does: `L5`."""
    items = (item.replace("#L", "L") for item in word.split(","))
    return ",".join(f"L{item[:-1]}" if item.endswith("L") else item for item in items)


def _reason(schedule: Schedule, spec: Spec) -> str:
    words = split(schedule.text)
    if any(_equal_range(item) for word in words for item in word.split(",")):
        return "it reads a range of one value as the whole field"
    if _days_read_differently(words, spec):
        return "it combines the two day fields in another way"
    if schedule.zone.name != "UTC":
        return "it treats times that the clock skips or repeats in another way"
    return "it reads the fields in another way"


def _equal_range(item: str) -> bool:
    first, dash, last = item.partition("/")[0].partition("-")
    return bool(dash) and first == last


def _days_read_differently(words: list[str], spec: Spec) -> bool:
    spelled_free = words[3] in "*?" or words[5] in "*?"
    restricted = spec.days != ALL_DAYS and spec.weekdays != ALL_WEEKDAYS
    return restricted or not spelled_free
