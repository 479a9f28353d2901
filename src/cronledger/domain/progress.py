"""How far a run is, by its own word, and when it may be through.

Nothing rests on it: a run neither lives nor dies by its progress. What cannot be true is told apart here and
left out.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

import msgspec

from cronledger.domain.ids import RunId

_LAST = datetime.max.replace(tzinfo=UTC)


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The last word of one attempt: `done` of `total`, which is None where nobody knows it."""

    run_id: RunId
    attempt: int
    done: float
    total: float | None
    message: str | None
    at: datetime


def amount(value: object) -> float | None:
    """Return a number of things as it is kept, None for what is none: negative, infinite, or of another type.

    >>> amount(3), amount(0.5), amount(-1), amount("3"), amount(float("nan"))
    (3.0, 0.5, None, None, None)
    """
    if isinstance(value, bool | str | bytes | bytearray):
        return None
    try:
        number = float(value)  # type: ignore[arg-type] # whatever a job gives
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def percent(progress: Progress) -> float | None:
    """Return how much is done, in percent to one place, rounded down.

    None without a total, and where so much is done of so little that no number says it.
    """
    if not progress.total:
        return None
    tenths = 1000 * (progress.done / progress.total)
    return math.floor(tenths) / 10 if math.isfinite(tenths) else None


def seconds_left(progress: Progress, started_at: datetime | None) -> int | None:
    """Return how long the rest takes if it goes on as fast as it has gone since the attempt began.

    Counted from the last report. None where there is no total, or nothing done yet, and where it would take
    longer than there are dates.
    """
    if progress.total is None or progress.done == 0 or started_at is None:
        return None
    elapsed = (progress.at - started_at).total_seconds()
    left = max(0.0, elapsed * ((progress.total - progress.done) / progress.done))
    return round(left) if left < (_LAST - progress.at).total_seconds() else None
