"""Texts that say when, in the words of another program: nicknames, intervals, times, lines of a crontab.

Each form is recognised by its beginning or by a mark that no expression has; the rest is left to the reasons
for single fields.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from datetime import datetime, timedelta

from cronledger.domain.cron_fields import FIELDS, NICKNAMES, WEEKDAY
from cronledger.domain.cron_refusal.problem import BLANKS, GUESSED_LENGTH, Problem, every, quoted
from cronledger.domain.cron_refusal.value_reasons import near_name

_LONGEST_SECONDS = 3650 * 86_400
_UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_PART = re.compile(
    r"([0-9]{1,6})? ?(weeks?|w|days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z])"
    r"[ ,]*(?:and )?"
)
_ISO_DURATION = re.compile(
    r"(?:R[0-9]*/)?P(?=.)(\d{1,4}W)?(\d{1,4}D)?(?:T(\d{1,5}H)?(\d{1,6}M)?(\d{1,7}S)?)?", re.ASCII
)
_NAMED = {
    "@SECONDLY": "* * * * * *",
    "@EVERY_SECOND": "* * * * * *",
    "@MINUTELY": "0 * * * * *",
    "@EVERY_MINUTE": "0 * * * * *",
    "@QUARTERLY": "0 0 0 1 */3 *",
    "@NOON": "0 0 12 * * *",
    "@WEEKDAYS": "0 0 0 * * 1-5",
    "@WEEKENDS": "0 0 0 * * 0,6",
}
_SHORT = {
    "@SECOND": "@SECONDLY",
    "@MINUTE": "@MINUTELY",
    "@HOUR": "@HOURLY",
    "@DAY": "@DAILY",
    "@WEEK": "@WEEKLY",
    "@MONTH": "@MONTHLY",
    "@YEAR": "@YEARLY",
    "@ANNUAL": "@ANNUALLY",
    "@NIGHTLY": "@DAILY",
    "@QUARTER": "@QUARTERLY",
    "@WEEKDAY": "@WEEKDAYS",
    "@WEEKEND": "@WEEKENDS",
}
_KNOWN = [*NICKNAMES, *_NAMED, *_SHORT]
_SIX = "write six fields: second minute hour day month weekday"
_LISTED = "use one of " + ", ".join(sorted(name.lower() for name in NICKNAMES))
_MANUAL = "an empty schedule of a job means: manual only"
_NEVER = frozenset(
    {"never", "manual", "none", "null", "off", "no", "false", "disabled", "disable", "nil", "~", "-"}
)
_DAY_TIME = re.compile(
    r"(?:(?:every ?day|daily) +)?(?:at +)?([0-9]{1,2})(?::([0-9]{2})(?::([0-9]{2}))?)?(?: ?([ap])m| ?uhr|h)?"
)
_SYSTEMD = re.compile(r"([a-z.,]+ +)?\*-\*-\*(?: +([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?)?")
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)[ \t]*(.*)", re.IGNORECASE)
_ZONE_BEHIND = re.compile(r"[A-Z]+/[A-Z_]+|UTC|GMT|Z", re.IGNORECASE)
_CALLED = re.compile(r"(cron|rate) ?\((.*)\)", re.IGNORECASE)
_KEYED = re.compile(r"(?:cron|schedule|expression)[ \t]*[:=][ \t]*(.*)", re.IGNORECASE)
_AT = re.compile(r"^at[ \t]+", re.IGNORECASE)
_SLASHED_DATE = re.compile(r"^([0-9]{4})/([0-9]{2})/([0-9]{2})")
_COMMENT = re.compile(r"(?:^|[ \t])(#)(?![0-9L])")
_QUOTES = "\"'`"


def other_form(text: str) -> Problem | None:
    """Recognise a text that is written for another program; None if it looks like fields."""
    inner = text.strip(BLANKS)
    forms = _FORMS if len(inner) <= GUESSED_LENGTH else (_nickname,)
    problem = next((problem for form in forms if (problem := form(inner))), None)
    if problem is None:
        return None
    offset, (start, end) = text.find(inner), problem.place
    return problem._replace(place=(offset + start, offset + end))


def duration_of(text: str) -> str | None:
    """Return a duration as `every` takes it; None if the text is none.

    >>> duration_of("5 minutes"), duration_of("1h30m0s"), duration_of("1.5h")
    ('5m', '1h30m', None)
    """
    rest, counts = text.strip(BLANKS).lower(), dict.fromkeys(_UNITS, 0)
    while found := _PART.match(rest):
        counts[found[2][0]] += int(found[1] or 1)
        rest = rest[found.end() :]
    if rest or not 1 <= sum(count * _UNITS[unit] for unit, count in counts.items()) <= _LONGEST_SECONDS:
        return None
    return "".join(f"{count}{unit}" for unit, count in counts.items() if count)


# --- forms, each of a text without blanks around it -----------------------------------------------------


def _nickname(text: str) -> Problem | None:
    if not text.startswith("@"):
        return None
    words = text.split(maxsplit=1)
    name, rest = words[0].upper(), "".join(words[1:])
    place = (0, len(name))
    if name in NICKNAMES:
        behind = (len(text) - len(rest), len(text))
        return Problem(f"{name.lower()} stands alone", behind, "remove what follows it", (name.lower(),))
    reason = f"unknown nickname {quoted(name.lower())}"
    match name:
        case "@REBOOT":
            return Problem(reason, place, "use `run_on_startup` in the job's code and an empty schedule")
        case "@BIWEEKLY" | "@FORTNIGHTLY":
            return Problem(reason, place, every("2w"))
        case "@EVERY":
            return Problem(reason, place, _every_hint(rest))
        case "@" if rest:
            return Problem("a nickname has no blank behind the @", place, _LISTED, (f"@{rest}",))
        case _:
            return Problem(reason, place, _LISTED, _near(name))


def _near(name: str) -> tuple[str, ...]:
    found = [name] if name in _KNOWN else []
    if len(name) <= 14 and not found:
        found = difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.75)
    found = [_SHORT.get(each, each) for each in found]
    return tuple(_NAMED.get(each, each.lower()) for each in found)


def _quoted_text(text: str) -> Problem | None:
    place = next((index for index, char in enumerate(text) if char in _QUOTES), None)
    if place is None:
        return None
    repair = text.translate({ord(char): None for char in _QUOTES}).strip()
    reason = f"the quote {text[place]} is part of the text"
    return Problem(reason, (place, place + 1), "leave the quotes out", (repair,))


def _unfilled(text: str) -> Problem | None:
    found = re.search(r"\$\{?\w+\}?|\{\{.*?\}\}|<[A-Za-z_ -]+>|%\w+%", text)
    if found is None:
        return None
    reason = f"{quoted(found[0])} was not replaced by its value"
    return Problem(reason, found.span(), "write the schedule itself, six fields")


def _with_zone(text: str) -> Problem | None:
    words = text.split()
    if found := _ZONE.fullmatch(text):
        zone, rest, place = found[1], found[2], (0, found.end(1))
    elif len(words) in (6, 7) and _ZONE_BEHIND.fullmatch(words[-1]):
        zone, rest = words[-1], " ".join(words[:-1])
        place = (len(text) - len(zone), len(text))
    else:
        return None
    hint = f"et `timezone: {quoted(zone)}` beside the schedule"
    return Problem("the time zone is no part of an expression", place, f"s{hint}", (rest,), f"S{hint}")


def _called(text: str) -> Problem | None:
    found = _CALLED.fullmatch(text)
    if found is None:
        return None
    place, reason = (0, len(text)), f"{found[1].lower()}(...) is the form of another program"
    if found[1].lower() == "rate":
        return Problem(reason, place, _every_hint(found[2]))
    words = found[2].split()
    of_minutes = ("0 " + " ".join(words[:5]),) if len(words) == len(FIELDS) else ()
    repairs = of_minutes if "?" in words else (found[2], *of_minutes)
    return Problem(reason, place, _SIX, repairs)


def _keyed(text: str) -> Problem | None:
    found = _KEYED.fullmatch(text)
    if found is None:
        return None
    return Problem(
        "the key is no part of the text", (0, found.start(1)), "write the value alone", (found[1],)
    )


def _off(text: str) -> Problem | None:
    if text.lower() not in _NEVER:
        return None
    return Problem(f"{text} is not a schedule", (0, len(text)), _MANUAL)


def _day_time(text: str) -> Problem | None:
    found = _DAY_TIME.fullmatch(text.lower())
    if found is None or text.isdigit():
        return None
    hour, minute, second = (int(part or 0) for part in found.groups()[:3])
    if found[4] and hour <= 12:
        hour = hour % 12 + 12 * (found[4] == "p")
    reason, hint = "a time of day is not a cron expression", "such as 0 30 9 * * * for 09:30"
    return Problem(reason, (0, len(text)), hint, (f"{second} {minute} {hour} * * *",))


def _systemd(text: str) -> Problem | None:
    found = _SYSTEMD.fullmatch(text.lower())
    if found is None:
        return None
    hour, minute, second = (int(part or 0) for part in found.groups()[1:])
    repairs = () if found[1] else (f"{second} {minute} {hour} * * *",)
    return Problem("this is a calendar event of systemd", (0, len(text)), _SIX, repairs)


def _interval(text: str) -> Problem | None:
    if not text.lower().startswith("every"):
        return None
    rest = text[len("every") :].lstrip(":" + BLANKS)
    if len(text.split()) >= len(FIELDS) and duration_of(rest) is None:
        return None
    return Problem("an interval is not a cron expression", (0, len(text)), _every_hint(rest))


def _every_hint(text: str) -> str:
    """Tell how to write what stands behind the word every."""
    words = text.strip(BLANKS).lower()
    named = {"hour": "@hourly", "day": "@daily", "week": "@weekly", "month": "@monthly", "year": "@yearly"}
    if words in named:
        return f'did you mean "{named[words]}"?'
    if len(words) > 2 and (weekday := near_name(WEEKDAY, words.removesuffix("s").upper())):
        return f'did you mean "0 0 0 * * {weekday}"?'
    duration = duration_of(re.sub("^other ", "2 ", words))
    return every(duration) if duration else "write `every` and a duration: 90s, 5m, 1h30m, 2d"


def _duration(text: str) -> Problem | None:
    found = _ISO_DURATION.fullmatch(text.upper())
    duration = duration_of(" ".join(filter(None, found.groups())) if found else text)
    if duration is None:
        return None
    return Problem("a duration is not a cron expression", (0, len(text)), every(duration))


def _moment(text: str) -> Problem | None:
    word = _SLASHED_DATE.sub(r"\1-\2-\3", _AT.sub("", text))
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        return None
    offset = moment.utcoffset() or timedelta(0)
    if word.isdigit() or not 1970 <= moment.year <= 2500 or offset.total_seconds() % 60:
        return None
    written = moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    hint = f"write `at {written}` (in YAML `at: {written}`)"
    return Problem("a moment is not a cron expression", (0, len(text)), hint)


def _bare_nickname(text: str) -> Problem | None:
    word = _AT.sub("", text)
    if not word.isalpha() or not (meant := _near("@" + word.upper())):
        return None
    return Problem(f"{quoted(word)} is not a schedule", (0, len(text)), _LISTED, meant)


def _comment(text: str) -> Problem | None:
    found = _COMMENT.search(text)
    if found is None or len(text[: found.start()].split()) not in (0, 5, 6):
        return None
    place, rest = (found.start(1), len(text)), text[: found.start()].rstrip(BLANKS)
    return Problem("a comment is no part of an expression", place, "leave it out", (rest,))


_FORMS: tuple[Callable[[str], Problem | None], ...] = (
    _quoted_text,
    _unfilled,
    _nickname,
    _off,
    _with_zone,
    _called,
    _keyed,
    _day_time,
    _systemd,
    _interval,
    _duration,
    _moment,
    _bare_nickname,
    _comment,
)
