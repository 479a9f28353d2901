"""One line of the log: what it is about and how serious it is."""

from __future__ import annotations

from datetime import datetime

import msgspec

from cronledger.domain.ids import InstanceId, JobName, RunId
from cronledger.domain.run import Outcome

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
"""From the least to the most serious."""

LEVEL_OF = {
    Outcome.SUCCEEDED: "INFO",
    Outcome.PARTIAL: "WARN",
    Outcome.CANCELLED: "WARN",
    Outcome.FAILED: "ERROR",
    Outcome.TIMED_OUT: "ERROR",
    Outcome.LOST: "ERROR",
}
"""How serious it is that a run ended so, in every log; what failed in one that is partial is a step."""

_BEGIN = ((40, "ERROR"), (30, "WARN"), (20, "INFO"))


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One log line."""

    at: datetime
    level: str
    logger: str
    instance: InstanceId
    message: str
    job: JobName | None = None
    run_id: RunId | None = None
    step: str | None = None


def level_of(number: int) -> str:
    """Return the level that a number of the standard library's logging belongs to.

    >>> level_of(50), level_of(25), level_of(1)
    ('ERROR', 'INFO', 'DEBUG')
    """
    return next((level for begin, level in _BEGIN if number >= begin), "DEBUG")
