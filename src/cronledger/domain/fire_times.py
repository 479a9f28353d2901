"""Fire times as instants: what lies after, before, at and between, asked of any rule.

A rule searches over whole seconds since 1970 and knows nothing of dates and objects. Here its answers become
aware instants in UTC. They run from 1970 to 9999; beyond either end there is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

from cronledger.domain.definition import Dst
from cronledger.domain.zone import Zone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z."""
LAST = EPOCH + timedelta(0, LAST_SECOND)
_DAY = 86400


class Rule(Protocol):
    """What a schedule says, once its text has been read."""

    def first_from(self, second: int, zone: Zone, dst: Dst) -> int:
        """Return the first fire time from a second on; beyond LAST_SECOND there is none."""
        ...

    def last_until(self, second: int, zone: Zone, dst: Dst) -> int:
        """Return the last fire time up to a second; a negative number means none."""
        ...


def second_of(instant: datetime) -> int:
    """Return the whole seconds from 1970 to an instant."""
    return (instant - EPOCH) // timedelta(seconds=1)


def instant_of(second: int) -> datetime:
    """Return the instant so many seconds after 1970."""
    return EPOCH + timedelta(0, second)


def next_after(rule: Rule, instant: datetime, zone: Zone, dst: Dst) -> datetime | None:
    """Return the first fire time later than `instant`, or None after the year 9999."""
    since = instant - EPOCH
    found = rule.first_from(since.days * _DAY + since.seconds + 1, zone, dst)
    return EPOCH + timedelta(0, found) if found <= LAST_SECOND else None


def previous_before(rule: Rule, instant: datetime, zone: Zone, dst: Dst) -> datetime | None:
    """Return the last fire time earlier than `instant`, or None before 1970."""
    since = instant - EPOCH
    found = rule.last_until(since.days * _DAY + since.seconds - (not since.microseconds), zone, dst)
    return EPOCH + timedelta(0, found) if found >= 0 else None


def matches(rule: Rule, instant: datetime, zone: Zone, dst: Dst) -> bool:
    """Whether `instant` is a fire time."""
    since = instant - EPOCH
    wanted = since.days * _DAY + since.seconds
    return not since.microseconds and wanted >= 0 and rule.first_from(wanted, zone, dst) == wanted


def between(
    rule: Rule, after: datetime, until: datetime, *, zone: Zone, dst: Dst, limit: int
) -> Iterator[datetime]:
    """Yield the fire times later than `after` up to and including `until`, at most `limit`, ascending."""
    since, end = after - EPOCH, until - EPOCH
    last = min(end.days * _DAY + end.seconds, LAST_SECOND)
    found = since.days * _DAY + since.seconds
    for _ in range(limit):
        found = rule.first_from(found + 1, zone, dst)
        if found > last:
            return
        yield EPOCH + timedelta(0, found)
