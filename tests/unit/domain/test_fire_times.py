"""Fire times at either end of time, and between two seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cronledger.domain import fire_times
from cronledger.domain.cron import parse
from cronledger.domain.definition import Dst
from cronledger.domain.fire_times import EPOCH, LAST
from cronledger.domain.zone import UTC_ZONE

EVERY_SECOND = parse("* * * * * *")
MOMENT, SECOND = timedelta(microseconds=1), timedelta(seconds=1)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "following", "preceding", "is_due"),
    [
        (EPOCH - SECOND, EPOCH, None, False),
        (EPOCH - MOMENT, EPOCH, None, False),
        (EPOCH, EPOCH + SECOND, None, True),
        (EPOCH + MOMENT, EPOCH + SECOND, EPOCH, False),
        (EPOCH + SECOND, EPOCH + 2 * SECOND, EPOCH, True),
        (NOON - MOMENT, NOON, NOON - SECOND, False),
        (NOON, NOON + SECOND, NOON - SECOND, True),
        (NOON + MOMENT, NOON + SECOND, NOON, False),
        (LAST - SECOND, LAST, LAST - 2 * SECOND, True),
        (LAST, None, LAST - SECOND, True),
        (LAST + MOMENT, None, LAST, False),
    ],
)
def test_what_fires_every_second_fires_on_whole_seconds_from_1970_to_9999(
    at: datetime, following: datetime | None, preceding: datetime | None, *, is_due: bool
) -> None:
    assert (following, preceding, is_due) == tuple(
        ask(EVERY_SECOND, at, UTC_ZONE, Dst())
        for ask in (fire_times.next_after, fire_times.previous_before, fire_times.matches)
    )


@pytest.mark.parametrize(
    ("since_1970", "second"),
    [
        (timedelta(0), 0),
        (2 * SECOND - MOMENT, 1),
        (timedelta(days=1, seconds=3), 86_403),
        (-MOMENT, -1),
        (-SECOND, -1),
    ],
)
def test_the_second_of_an_instant_is_the_last_whole_one(since_1970: timedelta, second: int) -> None:
    found = fire_times.second_of(EPOCH + since_1970)

    assert (second, int) == (found, type(found))
