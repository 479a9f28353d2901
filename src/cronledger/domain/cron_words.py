"""A cron expression in English.

The phrases are those of cron-descriptor, asked field by field: it does not know that both day fields may have
to match, nor lists that mix plain days with `L` or `#`. The sentence round them is ours.
"""

from __future__ import annotations

import re

from cronledger.domain.cron_parser import ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, Spec

_MARKED = re.compile(r"[L#W]")
_MIDNIGHT = "At 00:00, "


def in_words(spec: Spec, words: list[str]) -> str:
    """Describe an expression by its meaning and its six fields as they are written."""
    times = _phrase(" ".join(words[:3]) + " * * *")
    months = "" if spec.months == ALL_MONTHS else _phrase(f"0 0 0 * {words[4]} *")
    return ", ".join(part for part in (times, days_in_words(spec, words), months) if part)


def days_in_words(spec: Spec, words: list[str]) -> str:
    """Describe the day and the weekday; empty for every day."""
    weekday = words[5].removeprefix("+").replace("#L", "L")
    days = "" if spec.days == ALL_DAYS else _listed(words[3], "0 0 0 {} * *")
    weekdays = "" if spec.weekdays == ALL_WEEKDAYS else _listed(weekday, "0 0 0 * * {}")
    return _either_day(days, weekdays, both=spec.both)


def _either_day(days: str, weekdays: str, *, both: bool) -> str:
    if not (days and weekdays):
        return days or weekdays
    weekdays = weekdays.removeprefix("only ")
    if both:
        return f"{days}, but only {weekdays} (both must match)"
    return f"{days} or {weekdays} (either is enough)"


def _listed(field: str, frame: str) -> str:
    """Describe the items of a day field: the plain ones together, each of the others alone."""
    items = field.split(",")
    plain = [item for item in items if not _MARKED.search(_without_names(item))]
    marked = [item for item in items if item not in plain]
    phrases = [_phrase(frame.format(part)) for part in ([",".join(plain)] if plain else []) + marked]
    return phrases[0] if len(phrases) == 1 else " and ".join(each.removeprefix("only ") for each in phrases)


def _without_names(item: str) -> str:
    return re.sub(r"^[A-Z]{3}", "0", item)


def _phrase(expression: str) -> str:
    import cron_descriptor  # noqa: PLC0415 - takes long to import and is only needed to show a schedule

    options = cron_descriptor.Options(locale_code="en_US", use_24hour_time_format=True)
    return str(cron_descriptor.get_description(expression, options)).removeprefix(_MIDNIGHT)
