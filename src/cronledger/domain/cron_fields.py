"""The six fields of an expression: their order, their numbers and their names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

MAX_LENGTH = 1000
"""Of an expression, in characters."""
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
NICKNAMES: Mapping[str, str] = MappingProxyType(
    {
        "@YEARLY": "0 0 0 1 1 *",
        "@ANNUALLY": "0 0 0 1 1 *",
        "@MONTHLY": "0 0 0 1 * *",
        "@WEEKLY": "0 0 0 * * 0",
        "@DAILY": "0 0 0 * * *",
        "@MIDNIGHT": "0 0 0 * * *",
        "@HOURLY": "0 0 * * * *",
    }
)


class Field(NamedTuple):
    """One of the six."""

    order: int
    """From 0, in the text."""
    name: str
    low: int
    high: int
    """The highest value; 7, the other number of Sunday, is read as 0."""
    top: int
    """The highest number that may be written."""
    names: tuple[str, ...] = ()
    period: str = ""
    """What begins anew when the values have been gone through."""


SECOND = Field(0, "second", 0, 59, 59, period="minute")
MINUTE = Field(1, "minute", 0, 59, 59, period="hour")
HOUR = Field(2, "hour", 0, 23, 23, period="day")
DAY = Field(3, "day", 1, 31, 31, period="month")
MONTH = Field(4, "month", 1, 12, 12, MONTHS, period="year")
WEEKDAY = Field(5, "weekday", 0, 6, 7, WEEKDAYS, period="week")
FIELDS = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)
