"""A schedule: a rule, the zone it is read in, and what holds where that zone's clock jumps.

The rule is a cron expression, a fixed interval (`every 90s`) or a single moment (`at 2026-12-24T18:00:00`);
the rest of the program treats them alike. A schedule is a value, made by `schedule_of` and interned: equal
arguments give the same object, so a hundred thousand jobs share what they have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache

import msgspec

from cronledger.domain import cron_advice, fire_times
from cronledger.domain.cron import DEFAULT_DST, Cron, parse
from cronledger.domain.cron_parser import split
from cronledger.domain.cron_words import in_words
from cronledger.domain.definition import DayMatch, Dst
from cronledger.domain.plain_rules import At, Every, anchor_of, at, every, every_in_words, time_of
from cronledger.domain.zone import Zone, zone

MANUAL_ONLY = "manual only"


class Schedule(msgspec.Struct, frozen=True):
    """When a job is due; fire times are whole seconds in UTC.

    >>> from datetime import UTC, datetime
    >>> schedule = schedule_of("0 30 2 * * *", timezone="America/New_York")
    >>> schedule.next_after(datetime(2024, 3, 9, 12, tzinfo=UTC)).isoformat()
    '2024-03-10T07:00:00+00:00'
    """

    text: str
    """As it was written."""
    rule: Cron | Every | At
    zone: Zone
    dst: Dst

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first fire time later than `instant`, or None if there is none before the year 10000."""
        return fire_times.next_after(self.rule, instant, self.zone, self.dst)

    def previous_before(self, instant: datetime) -> datetime | None:
        """Return the last fire time earlier than `instant`, or None if there is none since 1970."""
        return fire_times.previous_before(self.rule, instant, self.zone, self.dst)

    def matches(self, instant: datetime) -> bool:
        """Whether `instant` is a fire time."""
        return fire_times.matches(self.rule, instant, self.zone, self.dst)

    def fire_times(self, after: datetime, until: datetime, limit: int) -> Iterator[datetime]:
        """Yield the fire times later than `after` up to and including `until`, at most `limit`, ascending."""
        return fire_times.between(self.rule, after, until, zone=self.zone, dst=self.dst, limit=limit)


@lru_cache(maxsize=1 << 17)
def schedule_of(
    text: str, *, timezone: str = "UTC", day_match: DayMatch = DayMatch.OR, dst: Dst = DEFAULT_DST
) -> Schedule | None:
    """Return the schedule that a text and its settings stand for; None for an empty text: manual only.

    Raises InvalidSchedule (InvalidCron for cron expressions) or UnknownZone.

    >>> schedule_of("") is None
    True
    >>> from datetime import UTC, datetime
    >>> schedule_of("every 90s").next_after(datetime(2026, 1, 1, tzinfo=UTC)).isoformat()
    '2026-01-01T00:01:30+00:00'
    """
    if not text.strip(" \t"):
        return None
    place = zone(timezone)
    return Schedule(text=text, rule=_rule(text, place, day_match, dst), zone=place, dst=dst)


def describe(text: str, *, timezone: str = "UTC", day_match: DayMatch = DayMatch.OR) -> str:
    """Say in English when a schedule fires; raises InvalidSchedule or UnknownZone.

    >>> describe("0 30 2 * * MON", timezone="Europe/Berlin")
    'At 02:30, only on Monday (Europe/Berlin)'
    >>> describe("every 1h30m"), describe("at 2026-12-24T18:00:00")
    ('Every 1 hour 30 minutes', 'Once, at 2026-12-24T18:00:00')
    >>> describe("")
    'manual only'
    """
    schedule = schedule_of(text, timezone=timezone, day_match=day_match)
    match schedule and schedule.rule:
        case Cron(spec=spec):
            sentence = in_words(spec, split(text))
        case Every() as rule:
            sentence = every_in_words(rule, anchor_of(text))
            if not rule.anchor.is_local:
                return sentence
        case At(moment=moment):
            sentence = f"Once, at {time_of(text)}"
            if not moment.is_local:
                return sentence
        case _:
            return MANUAL_ONLY
    return sentence if timezone == "UTC" else f"{sentence} ({timezone})"


def advice_on(schedule: Schedule, *, day_match: DayMatch = DayMatch.OR) -> list[str]:
    """Return remarks for whoever wrote a schedule, often none.

    >>> advice_on(schedule_of("every 1d", timezone="Europe/Berlin"))
    ['a day of elapsed time has 24 hours: where the clock changes, its local time moves; cron keeps it']
    """
    match schedule.rule:
        case Cron():
            return cron_advice.advice(schedule.text, day_match=day_match)
        case Every(period=period) if period % 86_400 == 0 and schedule.zone.name != "UTC":
            return [_ELAPSED_DAYS]
        case _:
            return []


_ELAPSED_DAYS = (
    "a day of elapsed time has 24 hours: where the clock changes, its local time moves; cron keeps it"
)


def _rule(text: str, place: Zone, day_match: DayMatch, dst: Dst) -> Cron | Every | At:
    match text.replace("\t", " ").strip(" ").partition(" ")[0].lower():
        case "every":
            return every(text, place)
        case "at":
            return at(text, place, dst)
        case _:
            return parse(text, day_match=day_match)
