"""What each cron expression of the documents means, as instants after one moment.

The instants were counted by brute force and by croniter, not by this package.
"""

from __future__ import annotations

import msgspec

AFTER = "2026-02-01T12:07:30Z"


class Vector(msgspec.Struct, frozen=True):
    """An expression, the documents that print it, their words and ours, and its next three fire times."""

    expression: str
    documents: str
    words: str
    ours: str
    fire_times: tuple[str, ...]


def _nightly(time: str) -> tuple[str, ...]:
    return tuple(f"2026-02-0{day}T{time}:00Z" for day in (2, 3, 4))


def _today(*times: str) -> tuple[str, ...]:
    return tuple(f"2026-02-01T{time}:00Z" for time in times)


VECTORS = [
    Vector(
        "* * * * * *",
        "000 001 002 004",
        "every second",
        "Every second",
        ("2026-02-01T12:07:31Z", "2026-02-01T12:07:32Z", "2026-02-01T12:07:33Z"),
    ),
    Vector(
        "0 0 * * * *",
        "000 001 002 003 004",
        "every hour",
        "Every hour",
        _today("13:00", "14:00", "15:00"),
    ),
    Vector(
        "0 */15 * * * *",
        "001 002 003 004",
        "every 15 minutes",
        "Every 15 minutes",
        _today("12:15", "12:30", "12:45"),
    ),
    Vector(
        "0 */30 * * * *",
        "000 001 002 004",
        "every 30 minutes",
        "Every 30 minutes",
        _today("12:30", "13:00", "13:30"),
    ),
    Vector("0 0 */2 * * *", "003", "every 2 hours", "Every 2 hours", _today("14:00", "16:00", "18:00")),
    Vector("0 0 0 * * *", "002 003 004", "daily at midnight", "At 00:00", _nightly("00:00")),
    Vector("0 30 2 * * *", "002 004", "daily at 2:30 AM", "At 02:30", _nightly("02:30")),
    Vector("0 0 3 * * *", "000 001 003", "daily at 3:00 AM", "At 03:00", _nightly("03:00")),
    Vector("0 0 4 * * *", "000 001", "daily at 4:00 AM", "At 04:00", _nightly("04:00")),
    Vector(
        "0 0 7,19 * * *",
        "001",
        "twice daily at 7 AM and 7 PM",
        "At 07:00 and 19:00",
        ("2026-02-01T19:00:00Z", "2026-02-02T07:00:00Z", "2026-02-02T19:00:00Z"),
    ),
    Vector(
        "0 0 18 * * *",
        "001",
        "daily at 6:00 PM",
        "At 18:00",
        ("2026-02-01T18:00:00Z", "2026-02-02T18:00:00Z", "2026-02-03T18:00:00Z"),
    ),
    Vector(
        "0 0 0 * * 0",
        "000 001 003",
        "weekly on Sunday at midnight",
        "At 00:00, only on Sunday",
        ("2026-02-08T00:00:00Z", "2026-02-15T00:00:00Z", "2026-02-22T00:00:00Z"),
    ),
    Vector(
        "0 0 0 * * 1",
        "002 004",
        "every Monday at midnight",
        "At 00:00, only on Monday",
        ("2026-02-02T00:00:00Z", "2026-02-09T00:00:00Z", "2026-02-16T00:00:00Z"),
    ),
    Vector(
        "0 0 0 1 * *",
        "000 001",
        "monthly on the 1st",
        "At 00:00, on day 1 of the month",
        ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z"),
    ),
]

BEYOND = [
    Vector(
        "0 0 0 29 2 *",
        "",
        "leap days",
        "",
        ("2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z", "2036-02-29T00:00:00Z"),
    ),
    Vector(
        "30 59 23 31 12 *",
        "",
        "half a minute before the year ends",
        "",
        ("2026-12-31T23:59:30Z", "2027-12-31T23:59:30Z", "2028-12-31T23:59:30Z"),
    ),
    Vector(
        "*/20 * * * * *",
        "",
        "every 20 seconds",
        "",
        ("2026-02-01T12:07:40Z", "2026-02-01T12:08:00Z", "2026-02-01T12:08:20Z"),
    ),
]

INVALID = [
    "0 * * * *",
    "60 * * * * *",
    "0 0 24 * * *",
    "0 0 0 0 * *",
    "0 0 0 * 13 *",
    "0 0 0 * * 8",
    "* * * * * * *",
]
