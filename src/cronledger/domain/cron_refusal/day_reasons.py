"""Why an item with `L`, `W` or `#` stands for no day, and the form that does."""

from __future__ import annotations

import re

from cronledger.domain.cron_fields import DAY, WEEKDAY
from cronledger.domain.cron_refusal.item import Item, number_of
from cronledger.domain.cron_refusal.problem import Problem, quoted
from cronledger.domain.cron_refusal.value_reasons import near_name

_DAY_MARKS = re.compile(r"-1|(?=.*[LW#])(?:[0-9LW#/*-]+|[A-Z]{3}(?:L|#[0-9L]*))")
_WEEKDAY_MARKS = re.compile(
    r".*#.*|L|LW|W|[0-9]+W|W[0-9]+|L-?(?:[0-9]+|[A-Z]{3})|(?:[0-9]+|[A-Z]{3}|[A-Z]+DAY)-?L"
)
_WEEKDAY_OF_MONTH = re.compile(r"([0-9]+|[A-Z]+)#(-?[0-9]+|L|LAST)")
_LAST_WEEKDAY = re.compile(r"L-?([0-9]+|[A-Z]{3,})|([0-9]+|[A-Z]{3,})-?L")
_DAY_USAGE = "use L, LW, or a day with W such as 15W"
_WEEKDAY_USAGE = "use 5#1 to 5#5 for Fridays, 5L for the last"
_WEEKDAY_NUMBERS = "Sunday is 0 or 7, Monday is 1, Saturday is 6"
_ORDINALS = {"6": "sixth", "7": "seventh", "8": "eighth", "9": "ninth"}


def day_rule(item: Item) -> Problem | None:
    """Answer for the day of the month."""
    text = item.capitals
    if item.field is not DAY or not _DAY_MARKS.fullmatch(text):
        return None
    if found := re.fullmatch("([0-9]+)W", text):
        if number_of(DAY, found[1]) is None:
            return item.problem(
                f"{quoted(found[1])} is outside 1-31", "LW is the last working day", span=found.span(1)
            )
        return item.problem(f"{item.shown} cannot stand in a list", "use it alone, or make two jobs")
    if text == "-1":
        return item.problem("days are not counted backwards", "the last day is L", item.replaced("L"))
    if text == "W":
        hint = "W needs a day such as 15W; every working day is 1-5 as the weekday"
        repairs = [item.changed((DAY, "*"), (WEEKDAY, "1-5"))] * (item.word(WEEKDAY) in "*?")
        return item.problem(
            "W needs a day", hint, *repairs, remark="The working day nearest to the 15th is 15W"
        )
    if re.fullmatch("LW?-[0-9]+", text):
        hint = "days before the last cannot be counted; L is the last day, LW the last working day"
        return item.problem(f"{item.shown} is not a day of the month", hint)
    if re.fullmatch("[0-9]+-[0-9]*W", text):
        return item.problem("W goes with a single day", _DAY_USAGE)
    repairs = [item.replaced(new) for new in _day_forms(text)]
    if not repairs and re.fullmatch(r"[0-7]L|[A-Z]{3}L|.*#.*", text):
        repairs = [item.swapped(WEEKDAY)]
    return item.problem(f"{item.shown} is not a day of the month", _DAY_USAGE, *repairs)


def _day_forms(text: str) -> list[str]:
    if found := re.fullmatch("W-?([0-9]+)", text):
        return [f"{found[1]}W"]
    if found := re.fullmatch("([0-9]+)-L", text):
        return [f"{found[1]}-31"]
    return {"WL": ["LW"], "L-W": ["LW"], "LL": ["L"], "1L": ["L"]}.get(text, [])


def weekday_rule(item: Item) -> Problem | None:
    """Answer for the weekday."""
    text = item.capitals
    if item.field is not WEEKDAY or not _WEEKDAY_MARKS.fullmatch(text):
        return None
    reason = f"{item.shown} is not a weekday of the month"
    if text == "L":
        hint = "the last Friday of the month is 5L; Saturday is 6"
        return item.problem("L needs a weekday", hint, *_as_day(item), remark="The last Friday is 5L")
    if text == "LW" or re.fullmatch("W?[0-9]*|[0-9]+W", text):
        return item.problem(f"{item.shown} has no meaning as weekday", "W belongs to the day", *_as_day(item))
    if found := _WEEKDAY_OF_MONTH.fullmatch(text):
        return _ordinal(item, found)
    if found := _LAST_WEEKDAY.fullmatch(text):
        if text[0].isdigit() and number_of(WEEKDAY, found[2]) is None:
            return item.problem(f"{quoted(found[2])} is outside 0-7", _WEEKDAY_NUMBERS, span=found.span(2))
        return item.problem(reason, _WEEKDAY_USAGE, item.replaced(f"{_named(found[1] or found[2])}L"))
    if found := re.fullmatch("([0-7])-([0-7])#([1-5])", text):
        days = range(int(found[1]), int(found[2]) + 1)
        repair = item.replaced(",".join(f"{day}#{found[3]}" for day in days))
        return item.problem(reason, "# goes with a single weekday", *([repair] if days else []))
    return item.problem(reason, _WEEKDAY_USAGE)


def _ordinal(item: Item, found: re.Match[str]) -> Problem:
    """Answer for a weekday and a number that are one of them wrong, or the wrong way round."""
    weekday, ordinal = found.groups()
    named = _named(weekday)
    reason = f"{item.shown} is not a weekday of the month"
    if weekday.isdigit() and number_of(WEEKDAY, weekday) is None:
        return item.problem(f"{quoted(weekday)} is outside 0-7", _WEEKDAY_NUMBERS, span=found.span(1))
    if ordinal in ("-1", "LAST"):
        return item.problem(reason, _WEEKDAY_USAGE, item.replaced(f"{named}L"))
    if ordinal in _ORDINALS:
        reason = f"a month has no {_ORDINALS[ordinal]} weekday of a kind"
        return item.problem(
            reason, _WEEKDAY_USAGE, item.replaced(f"{named}L"), remark="It is the last one of the month"
        )
    return item.problem(
        reason, _WEEKDAY_USAGE, *([item.replaced(f"{named}#{ordinal}")] if named != weekday else [])
    )


def _named(weekday: str) -> str:
    return near_name(WEEKDAY, weekday) or weekday


def _as_day(item: Item) -> list[str]:
    return [item.swapped(DAY)] if item.word(DAY) in "*?" else []
