"""A schedule: a cron expression, the zone it is read in, and the rule where that zone's clock jumps.

A value, made by `schedule_of` and interned: equal arguments give the same object, so a hundred thousand jobs
share what they have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache

import msgspec

from cronledger.domain.cron import DEFAULT_DST, Cron, parse
from cronledger.domain.cron_parser import split
from cronledger.domain.cron_words import in_words
from cronledger.domain.definition import DayMatch, Dst
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
    cron: Cron
    zone: Zone
    dst: Dst

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first fire time later than `instant`, or None after the year 9999."""
        return self.cron.next_after(instant, self.zone, self.dst)

    def previous_before(self, instant: datetime) -> datetime | None:
        """Return the last fire time earlier than `instant`, or None before 1970."""
        return self.cron.previous_before(instant, self.zone, self.dst)

    def fire_times(self, after: datetime, until: datetime, limit: int) -> Iterator[datetime]:
        """Yield the fire times later than `after` up to and including `until`, at most `limit`, ascending."""
        return self.cron.fire_times(after, until, zone=self.zone, dst=self.dst, limit=limit)


@lru_cache(maxsize=1 << 17)
def schedule_of(
    text: str, *, timezone: str = "UTC", day_match: DayMatch = DayMatch.OR, dst: Dst = DEFAULT_DST
) -> Schedule | None:
    """Return the schedule that a text and its settings stand for; None for an empty text: manual only.

    Raises InvalidCron or UnknownZone.

    >>> schedule_of("") is None
    True
    """
    if not text.strip(" \t"):
        return None
    return Schedule(text=text, cron=parse(text, day_match=day_match), zone=zone(timezone), dst=dst)


def describe(text: str, *, timezone: str = "UTC", day_match: DayMatch = DayMatch.OR) -> str:
    """Say in English when a schedule fires; raises InvalidCron or UnknownZone.

    >>> describe("0 30 2 * * MON", timezone="Europe/Berlin")
    'At 02:30, only on Monday (Europe/Berlin)'
    >>> describe("")
    'manual only'
    """
    schedule = schedule_of(text, timezone=timezone, day_match=day_match)
    if schedule is None:
        return MANUAL_ONLY
    sentence = in_words(schedule.cron.spec, split(text))
    return sentence if timezone == "UTC" else f"{sentence} ({timezone})"
