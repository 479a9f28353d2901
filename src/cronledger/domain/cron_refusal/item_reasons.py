"""Why one item of a field's list cannot be read: a rule for each mistake, the first that knows answers."""

from __future__ import annotations

import re
from collections.abc import Callable

from cronledger.domain.cron_fields import DAY, FIELDS, HOUR, MINUTE, MONTH, WEEKDAY, Field
from cronledger.domain.cron_refusal.day_reasons import day_rule, weekday_rule
from cronledger.domain.cron_refusal.item import NO_BLANKS, Item, item_of, joined, number_of, torn_at, usage
from cronledger.domain.cron_refusal.problem import Problem, quoted
from cronledger.domain.cron_refusal.value_reasons import bad_step, bad_value, runs_backwards

_RANDOM = re.compile(r"[HR](?:$|[/(])|.*~")
_RANGE = re.compile(r"(?:\*|([0-9]+|[A-Z]+)(?:-([0-9]+|[A-Z]+))?)(?:/([0-9]+))?")
_PARTS = 3
_MARKED = re.compile(r"(?:[0-9]+|[A-Z]{3})?(?:L|W|LW|#[0-9L]+)")
_STRANGE = re.compile(r"[^0-9A-Z*/?#+,-]")
_STRANGE_HINTS = {
    "%": ("in a crontab % ends the command; a schedule has no command", None),
    "\\": ("leave the backslash out", ""),
    ";": ("items of a list are separated by commas", ","),
    "|": ("items of a list are separated by commas", ","),
    "&": ("items of a list are separated by commas", ","),
    "!": ("nothing can be excluded: list the values that you mean", None),
    "^": ("nothing can be excluded: list the values that you mean", None),
    "_": ("write the digits alone", ""),
    ".": ("use whole numbers", None),
    ":": ("hours, minutes and seconds have fields of their own", None),
    "=": ("write the values alone", ""),
    **dict.fromkeys("()[]{}", ("leave the brackets out", "")),
}
_REWRITTEN = (
    (re.compile(r"\*\*+"), "*"),
    (re.compile(r"^/(?=[0-9])"), "*/"),
    (re.compile(r"^\*(?=[0-9]+$)"), "*/"),
    (re.compile(r"/[/-]+"), "/"),
    (re.compile(r"--+"), "-"),
    (re.compile(r"[-/]+$"), ""),
    (re.compile(r"/\*$"), ""),
    (re.compile(r"(?<=[0-9])(?:S|M|H|D|MIN|SEC|TH|ST|ND|RD)$"), ""),
    (re.compile(r"(?<=[0-9])TO(?=[0-9])"), "-"),
    (re.compile(r"(?<=[A-Z]{3})-?TO-?(?=[A-Z]{3})"), "-"),
)
_LONGEST_REWRITTEN = 40
_COMMAND = re.compile(r"(?:[.~]|\.\.)?/[A-Za-z]")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_HALF_DAY = re.compile(r"(1[0-2]|0?[1-9])([AP])M")


def item_problem(text: str, field: Field, capitals: str) -> Problem:
    """Say why an item cannot be read."""
    item = item_of(text, field, capitals)
    return next(problem for rule in _RULES if (problem := rule(item)))


# --- rules ----------------------------------------------------------------------------------------------


def _torn(item: Item) -> Problem | None:
    index, word = item.field.order, item.word(item.field)
    before = item.word(FIELDS[index - 1]) if index else ""
    behind = item.word(FIELDS[index + 1]) if index < WEEKDAY.order else ""
    is_torn = (word.endswith((",", "-", "/")) and behind.isalnum()) or (
        (word.startswith(",") and word[1:2].isalnum() and before.isalnum())
        or (word.startswith("/") and before == "*")
    )
    if not is_torn or not (repairs := joined(item.text)):
        return None
    start, end = torn_at(item.text)
    return item.problem(NO_BLANKS, "remove the blanks", *repairs, span=(start - item.start, end - item.start))


def _command(item: Item) -> Problem | None:
    """The command of a crontab's line behind its five fields."""
    if item.field is not WEEKDAY or not _COMMAND.match(item.word(WEEKDAY)):
        return None
    repair = "0 " + " ".join(item.word(field) for field in FIELDS[:-1])
    reason = f"{item.shown} is not a weekday"
    return item.problem(reason, usage(WEEKDAY), repair, remark="A schedule has no command")


def _empty(item: Item) -> Problem | None:
    if item.capitals:
        return None
    word = item.word(item.field)
    plus = "+" if item.field is WEEKDAY and word.startswith("+") else ""
    rest = ",".join(part for part in word.removeprefix(plus).split(",") if part)
    if not rest and plus:
        both = "+ stands before a weekday: both day fields must match"
        return item.problem("+ stands alone", both, item.changed((WEEKDAY, "*")), span=(-1, 0))
    repair = item.changed((item.field, plus + (rest or "*")))
    span = (0, 1) if item.text[item.start : item.start + 1] == "," else (-1, 0)
    return item.problem("an item is empty", "remove the extra comma, or write *", repair, span=span)


def _random(item: Item) -> Problem | None:
    if not _RANDOM.match(item.capitals):
        return None
    hint = "instances must agree on the schedule: choose a value, or set `jitter_seconds`"
    return item.problem(f"{item.shown} asks for a value picked by the program", hint)


def _question(item: Item) -> Problem | None:
    place = item.capitals.find("?")
    if place < 0:
        return None
    word = item.word(item.field)
    rest = ",".join(part for part in word.split(",") if part != "?") if "," in word else word.replace("?", "")
    repair = item.changed((item.field, rest if rest[:1].isalnum() else "*" + rest))
    reason = "? stands alone, as the day or the weekday"
    return item.problem(reason, "write *", repair, span=(place, place + 1))


def _plus(item: Item) -> Problem | None:
    place = item.capitals.find("+")
    if place < 0:
        return None
    bare = item.word(item.field).replace("+", "") or "*"
    repairs = [item.changed((item.field, bare))]
    if item.field in (DAY, WEEKDAY):
        weekday = bare if item.field is WEEKDAY else item.word(WEEKDAY).lstrip("+")
        repairs.insert(0, item.changed((item.field, bare), (WEEKDAY, f"+{weekday}")))
    hint = "before the whole weekday field it says that both day fields must match"
    remark = "+ says that both day fields must match" if len(repairs) > 1 else ""
    return item.problem("+ has no meaning here", hint, *repairs, span=(place, place + 1), remark=remark)


def _strange(item: Item) -> Problem | None:
    found = _STRANGE.search(item.capitals)
    if found is None:
        return None
    hint, substitute = _STRANGE_HINTS.get(found[0], (usage(item.field), None))
    repairs = [] if substitute is None else [item.replaced(item.capitals.replace(found[0], substitute))]
    if found[0] in "([{":
        repairs = [re.sub(r"[()\[\]{}]", "", item.text)]
    elif found[0] == "\\":
        repairs = [item.text.replace("\\", ""), item.text.replace("\\", "/")]
    elif found[0] == ".":
        repairs = [item.replaced(re.sub(r"\.\.+", "-", item.capitals).rstrip("."))]
    elif clock := _CLOCK.fullmatch(item.capitals):
        second = clock[3] or item.word(FIELDS[0])
        repairs = [item.changed((FIELDS[0], second), (MINUTE, clock[2]), (HOUR, clock[1]))]
        repairs = repairs if item.field is HOUR else []
    reason = f"{found[0]} has no meaning in a schedule"
    return item.problem(reason, hint, *repairs, span=found.span())


def _half_day(item: Item) -> Problem | None:
    found = _HALF_DAY.search(item.capitals)
    if item.field is not HOUR or found is None:
        return None
    hours = _HALF_DAY.sub(lambda half: str(int(half[1]) % 12 + 12 * (half[2] == "P")), item.capitals)
    reason = f"{quoted(found[0].lower())} is not an hour from 0 to 23"
    return item.problem(reason, "count the hours from 0 to 23", item.replaced(hours), span=found.span())


def _marked(item: Item) -> Problem | None:
    """L, W and # in a field that has no such days."""
    if item.field in (DAY, WEEKDAY) or not _MARKED.fullmatch(item.capitals):
        return None
    if item.capitals in item.field.names:
        return None
    repairs = [item.swapped(other) for other in (DAY, WEEKDAY) if item.field is MONTH]
    hint = "L and W belong to the day, # and L to the weekday"
    return item.problem(f"{item.shown} has no meaning as {item.field.name}", hint, *repairs)


def _range(item: Item) -> Problem | None:
    found = _RANGE.fullmatch(item.capitals)
    if found is None:
        return None
    for part in (1, 2):
        token = found[part]
        if token is not None and number_of(item.field, token) is None:
            return bad_value(item, found, part)
    step = found[_PARTS]
    if step is not None and not (len(step) <= 2 and 1 <= int(step) <= item.field.high):
        return bad_step(item, found)
    return runs_backwards(item, found)


def _otherwise(item: Item) -> Problem:
    reason = f"{item.shown} is not a value, a range or a step"
    capitals = item.capitals if len(item.capitals) <= _LONGEST_REWRITTEN else ""
    rewritten = dict.fromkeys(form.sub(new, capitals) for form, new in _REWRITTEN)
    every_form = capitals
    for form, new in _REWRITTEN:
        every_form = form.sub(new, every_form)
    repairs = [new for new in (*rewritten, every_form) if new not in ("", capitals)]
    return item.problem(reason, usage(item.field), *map(item.replaced, repairs))


_RULES: tuple[Callable[[Item], Problem | None], ...] = (
    _command,
    _torn,
    _empty,
    _random,
    _question,
    _plus,
    _strange,
    _half_day,
    day_rule,
    weekday_rule,
    _marked,
    _range,
    _otherwise,
)
