"""Why a text is no expression, where it goes wrong, and what was probably meant.

Nothing here decides what is accepted: `cronledger.domain.cron_parser` does, and asks for the reason when it
has refused. What a hint suggests has been read by the parser before; a text with several mistakes is repaired
one mistake after the other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from cronledger.domain.cron_fields import MAX_LENGTH
from cronledger.domain.cron_refusal.item import NO_BLANKS, joined, torn_at
from cronledger.domain.cron_refusal.item_reasons import item_problem
from cronledger.domain.cron_refusal.other_forms import other_form
from cronledger.domain.cron_refusal.problem import BLANKS, GUESSED_LENGTH, Problem, Refused
from cronledger.errors import InvalidCron

Check = Callable[[str], Refused | None]
"""Reads a text as the parser does: None if it is an expression that fires."""

_ROUNDS = 5
_MEANT_LENGTH = 80
_ORDER = "six fields are needed: second minute hour day month weekday"
_WORD = re.compile("[A-Za-z]{4}|/[A-Za-z]")
"""A part of a command: what has such a part is not torn but too long."""
_YEAR = re.compile(r"[*?]|(?:19|20)[0-9]{2}\S*")
_CONTROLS = {
    "\n": "a line break",
    "\r": "a carriage return",
    "\0": "a null",
    "\x1b": "an escape",
    "\x7f": "a delete",
}
_LOOK_ALIKE = str.maketrans(
    "\u0410\u0412\u0415\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u0421\u0422\u0423\u0425\u0405"
    "\u0430\u0435\u0456\u0458\u043e\u0440\u0441\u0443\u0445\u0455"  # Cyrillic
    "\u0391\u0392\u0395\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"  # Greek
    "\u2010\u2011\u2012\u2013\u2014\u2212\u2044\u2215\u2217\u204e\u201a\u060c\u3001\u0131\u0130",
    "ABEHIJKMOPCTYXSaeijopcyxsABEHIKMNOPTYX------//**,,,iI",
)
_DECORATION = re.compile("\x1b\\[[0-9;]*m|[\u2018\u2019\u201c-\u201f\u00ab\u00bb\u2039\u203a]")


def refusal(text: str, refused: Refused, check: Check) -> InvalidCron:
    """Return the error for a text that the parser has refused."""
    problem = _problem(text, refused)
    meant = _meant(problem, check) if len(text) <= GUESSED_LENGTH else None
    hint = problem.hint
    if meant:
        hint = f'did you mean "{meant}"?' + (problem.remark and f" {problem.remark}")
    return InvalidCron(text, problem.reason, field=problem.field, place=problem.place, hint=hint)


def _meant(problem: Problem, check: Check) -> str | None:
    """Return the first repair that is an expression, of the first problem or of those behind it."""
    for _ in range(_ROUNDS):
        following = None
        for repair in problem.repairs:
            refused = check(repair) if len(repair) <= _MEANT_LENGTH else Refused()
            if refused is None:
                return repair
            following = following or _problem(repair, refused)
        if following is None:
            return None
        problem = following
    return None


def _problem(text: str, refused: Refused) -> Problem:
    if refused.field is not None:
        return other_form(text) or item_problem(text, refused.field, refused.item)
    if len(text) > MAX_LENGTH:
        return Problem(
            f"longer than {MAX_LENGTH} characters",
            (MAX_LENGTH, len(text)),
            "shorten its lists, or make two jobs",
        )
    if not text.isascii() or not text.replace("\t", " ").isprintable():
        return _odd_character(text)
    return other_form(text) or _wrong_number(text)


# --- characters -----------------------------------------------------------------------------------------


def _odd_character(text: str) -> Problem:
    place = next(index for index, char in enumerate(text) if not (" " <= char <= "~" or char == "\t"))
    char = text[place]
    repair = _in_ascii(text) if len(text) <= GUESSED_LENGTH else text
    repairs = (repair,) if repair != text and repair.isascii() else ()
    if char.isascii():
        name = _CONTROLS.get(char, "a control character")
        hint = "write one line; fields are separated by blanks"
        return Problem(f"{name} (U+{ord(char):04X}) is not allowed", (place, place + 1), hint, repairs)
    name = f" ({name})" if (name := unicodedata.name(char, "")) else ""
    hint = "retype it: digits, letters and blanks from other scripts look alike"
    return Problem(f"the character U+{ord(char):04X}{name} is not ASCII", (place, place + 1), hint, repairs)


def _in_ascii(text: str) -> str:
    """Replace what looks like ASCII by what it looks like."""
    plain = unicodedata.normalize("NFKC", _DECORATION.sub("", text).translate(_LOOK_ALIKE))
    return "".join(map(_look, plain)).strip() if len(plain) <= GUESSED_LENGTH else text


def _look(char: str) -> str:
    if char.isspace():
        return " "
    if char.isascii():
        return char if char.isprintable() else ""
    if (digit := unicodedata.digit(char, None)) is not None:
        return str(digit)
    match unicodedata.category(char):
        case "Cf" | "Cc":
            return ""
        case _:
            return char


# --- number of fields -----------------------------------------------------------------------------------


def _wrong_number(text: str) -> Problem:
    words = text.split()
    if any(len(whole.split()) in (5, 6) and not _WORD.search(whole) for whole in joined(text)):
        return Problem(NO_BLANKS, torn_at(text), "remove the blanks", joined(text))
    whole = (len(text) - len(text.lstrip(BLANKS)), len(text.rstrip(BLANKS)))
    match len(words):
        case 0:
            return Problem(
                "there are no fields", (0, len(text)), "an empty schedule of a job means: manual only"
            )
        case 1:
            return Problem("1 field instead of six", whole, _ORDER)
        case 6:
            return Problem("never fires: these dates do not exist", whole)
        case few if few < 6:
            return Problem(f"{few} fields instead of six", whole, _ORDER, _with_seconds(words))
        case many:
            return _too_many(text, words, many)


def _too_many(text: str, words: list[str], number: int) -> Problem:
    six = " ".join(words[:6])
    seventh = next(iter(re.finditer(r"(?:[^ \t]+[ \t]+){6}", text))).end()
    place = (seventh, len(text.rstrip(BLANKS)))
    reason = f"{number} fields instead of six"
    if number == 7 and _YEAR.fullmatch(words[6]):
        return Problem(reason, place, _ORDER, (six,), "There is no field for the year")
    command = "A schedule has no command" if re.search("[A-Za-z]", text[place[0] :]) else ""
    return Problem(reason, place, _ORDER, (*joined(text), six, *_with_seconds(words[:5])), command)


def _with_seconds(words: list[str]) -> tuple[str, ...]:
    """Return the six fields that a crontab's five stand for."""
    return ("0 " + " ".join(words),) if len(words) == 5 else ()
