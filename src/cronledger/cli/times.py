"""Times as people write them: durations, and moments before now. Pure: `now` is an argument."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec

from cronledger.domain.fire_times import EPOCH
from cronledger.domain.ids import Position
from cronledger.errors import UsageError

GRAMMAR = "90s, 15m, 1h, 2d, 1w, today, yesterday, 2026-01-31, 2026-01-31T03:00:00Z or position:N"

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)", re.ASCII)
_POSITION = re.compile(r"position:(\d{1,18})", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INSTANT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_LONGEST_SECONDS = 100 * 365 * 86_400


class Moment(msgspec.Struct, frozen=True):
    """An instant, or a position in the ledger: exactly one of the two."""

    at: datetime | None = None
    position: Position | None = None


def duration(text: str) -> timedelta:
    """Return the duration that a text names; a bare number counts seconds.

    Raises UsageError for anything else, and for nothing at all or more than a century.

    >>> duration("90s"), duration("15m"), duration("2d")
    (datetime.timedelta(seconds=90), datetime.timedelta(seconds=900), datetime.timedelta(days=2))
    """
    found = _DURATION.fullmatch(text)
    seconds = float(found[1]) * _UNITS[found[2] or "s"] if found else 0
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise UsageError(f"{text!r} is not a duration", hint="use a number with a unit: 90s, 15m, 1h, 2d, 1w")
    return timedelta(seconds=seconds)


def seconds_of(text: str | None) -> float | None:
    """Return the seconds of a duration that need not be given; raises UsageError as `duration` does.

    >>> seconds_of("15m"), seconds_of(None)
    (900.0, None)
    """
    return None if text is None else duration(text).total_seconds()


def moment(text: str, now: datetime) -> Moment:
    """Return the moment that a text names; days begin at midnight UTC.

    Raises UsageError for anything else, and for an instant before 1970, where the ledger's time begins.

    >>> noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    >>> moment("1h", noon).at.isoformat(), moment("yesterday", noon).at.isoformat()
    ('2026-01-31T11:00:00+00:00', '2026-01-30T00:00:00+00:00')
    >>> moment("position:42", noon).position
    42
    """
    if found := _POSITION.fullmatch(text):
        return Moment(position=Position(int(found[1])))
    try:
        at = _instant(text, now)
    except (ValueError, OverflowError):
        at = None
    if at is None:
        raise UsageError(f"{text!r} is not a time", hint=f"use {GRAMMAR}")
    if at < EPOCH:
        raise UsageError(f"{text!r} lies before 1970, where the ledger's time begins", hint=f"use {GRAMMAR}")
    return Moment(at=at)


def _instant(text: str, now: datetime) -> datetime | None:
    if text in ("today", "yesterday"):
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=text == "yesterday")
    if _DATE.fullmatch(text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    if _INSTANT.fullmatch(text):
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    if _DURATION.fullmatch(text) and text[-1] in _UNITS:
        return now - duration(text)
    return None


def position_or_moment(text: str, now: datetime) -> Moment:
    """Return the moment that a text names; a bare number is a position.

    >>> position_or_moment("42", datetime(2026, 1, 1, tzinfo=UTC)).position
    42
    """
    return moment(f"position:{text}" if text.isdecimal() and text.isascii() else text, now)
