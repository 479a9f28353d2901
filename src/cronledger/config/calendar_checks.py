"""What the keys of a calendar may hold."""

from __future__ import annotations

from typing import Any

import msgspec

from cronledger.config import check
from cronledger.domain.calendar import DAY, Blackout, dates, days_of_week, time_of_day
from cronledger.domain.ids import NAME
from cronledger.errors import InvalidSchedule
from cronledger.strict_yaml import check as plain
from cronledger.strict_yaml.check import Check, Wrong
from cronledger.strict_yaml.problem import quoted
from cronledger.strict_yaml.text import Value


def names(value: Value) -> tuple[str, ...]:
    """Accept the name of a calendar, or a list of names."""
    if isinstance(value.data, str):
        return (check.name(value),)
    found: tuple[str, ...] = plain.several(check.name)(value)
    return found


def date(value: Value) -> str:
    """Accept a date, a yearly one, or a range; other readers of YAML may take it for a date of their own."""
    text = _text(value, "a date or a range of dates")
    try:
        dates(text)
    except InvalidSchedule as error:
        raise Wrong(f"must be a date or a range of dates: {error.reason}", error.hint) from None
    return "..".join(part.strip() for part in text.split(".."))


def weekdays(value: Value) -> tuple[str, ...]:
    """Accept a day of the week, or a range of them."""
    try:
        return days_of_week(_text(value, "a weekday or a range of them"))
    except InvalidSchedule as error:
        raise Wrong(f"must be a weekday or a range of them: {error.reason}", error.hint) from None


def _text(value: Value, what: str) -> str:
    if not isinstance(value.data, str):
        raise Wrong(f"must be {what}, not {plain.spelled(value)}")
    return value.data


def blackouts(value: Value) -> tuple[Blackout, ...]:
    """Accept a list of mappings of `from`, `to` and perhaps `days`."""
    if value.data is not None and not isinstance(value.data, list):
        raise Wrong(f"must be a list, not {plain.spelled(value)}")
    return tuple(dict.fromkeys(plain.all_of(_blackout, value.data or ())))


def _blackout(item: Value) -> Blackout:
    entries = item.data
    if not isinstance(entries, dict):
        raise Wrong(f"each item must be a mapping of from, to and days, not {plain.spelled(item)}", at=item)
    for key, entry in entries.items():
        if key not in ("from", "to", "days"):
            at = msgspec.structs.replace(entry, place=entry.key or entry.place)
            raise Wrong(f"unknown key {quoted(key)} (known: from, to, days)", at=at)
    if not entries.keys() >= {"from", "to"}:
        raise Wrong("each item needs from and to", 'such as {from: "22:00", to: "06:00"}', at=item)
    begin, end = (_part(key, entries[key], time) for key in ("from", "to"))
    if time_of_day(begin) % DAY == time_of_day(end) % DAY:
        raise Wrong("ends when it begins", "whole days are for exclude and weekdays", at=entries["to"])
    days = _part("days", entries["days"], plain.several(weekdays)) if "days" in entries else ()
    return Blackout(begin=begin, end=end, days=tuple(dict.fromkeys(day for each in days for day in each)))


def _part(key: str, value: Value, kind: Check) -> Any:
    try:
        return kind(value)
    except Wrong as wrong:
        raise wrong.within(f"{key}: ", value) from None


def time(value: Value) -> str:
    """Accept a time of day."""
    text = plain.text(value)
    try:
        time_of_day(text)
    except InvalidSchedule as error:
        raise Wrong(f"must be a time of day: {error.reason}", error.hint) from None
    return text


_END = r"(\d{4}|\*)-\d\d-\d\d"
_NAME = {"type": "string", "pattern": f"^{NAME.pattern}$"}
plain.described(names, {"type": ["string", "array", "null"], "items": _NAME})
plain.described(date, {"type": "string", "pattern": rf"^{_END} *(\.\. *{_END})?$"})
plain.described(weekdays, {"type": "string", "pattern": "^[A-Za-z]{3}(-[A-Za-z]{3})?$"})
plain.described(time, {"type": "string", "pattern": r"^\d\d:\d\d(:\d\d)?$"})
plain.described(
    blackouts,
    {
        "type": ["array", "null"],
        "items": {
            "type": "object",
            "properties": {
                "from": plain.schema_of(time),
                "to": plain.schema_of(time),
                "days": plain.schema_of(plain.several(weekdays)),
            },
            "required": ["from", "to"],
            "additionalProperties": False,
        },
    },
)
