"""What is wrong with a file, and where: one line like a compiler's, the source line, and a caret."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import msgspec

from cronledger.errors import ConfigError

MOST_PROBLEMS = 100
"""How many are shown; whoever has more has another problem."""

_WIDTH = 120


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where something stands in a file, counted from 1, and the text of that line."""

    file: str
    line: int
    column: int
    source: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Problem(msgspec.Struct, frozen=True):
    """One thing a person has to change."""

    place: Place
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = self.place
        head = printable(f"{place.file}:{place.line}:{place.column}: error: {self.message}")
        hint = printable(self.hint or "")
        indent = len(place.source) - len(place.source.lstrip())
        start = max(min(indent, place.column - 1), place.column - _WIDTH // 2)
        source = printable(place.source[start : start + _WIDTH]).rstrip()
        if not source:
            return f"{head}\n    {hint}".rstrip()
        caret = " " * (place.column - 1 - start) + "^"
        return f"{head}\n    {source}\n    {caret} {hint}".rstrip()


class Problems:
    """Collects problems, so that all of them are told at once."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(self, place: Place, message: str, hint: str | None = None) -> None:
        """Note a problem. Raises ConfigError once there are too many to be worth reading."""
        problem = Problem(place, message, hint)
        if problem not in self._found:
            self._found.append(problem)
        if len(self._found) == MOST_PROBLEMS:
            self._refuse(["more problems are not shown: correct these first"])

    def stand_at(self, place: Place) -> bool:
        """Whether something is wrong here already, so that a consequence of it need not be told."""
        return any(problem.place == place for problem in self._found)

    def refuse(self) -> None:
        """Raise ConfigError with every problem, if there are any."""
        if self._found:
            self._refuse([])

    def _refuse(self, more: list[str]) -> None:
        files = list(dict.fromkeys(problem.place.file for problem in self._found))
        ordered = sorted(self._found, key=lambda p: (files.index(p.place.file), p.place.line, p.place.column))
        raise ConfigError([str(problem) for problem in ordered] + more)


_MAY_BE_SECRET = re.compile(r"(?<=error: ).*?\b(application|parameters)[.:]", re.DOTALL)


def recordable(problem: str, most: int = 300) -> str:
    r"""Return what may be kept of a problem: no source line, and no value where secrets stand.

    >>> recordable("c.yaml:3:5: error: application.key: must be text: quote 42\n    key: 42")
    'c.yaml:3:5: error: application: a value cannot be used'
    """
    head = problem.partition("\n")[0]
    if found := _MAY_BE_SECRET.search(head):
        head = f"{head[: found.end() - 1]}: a value cannot be used"
    return head if len(head) <= most else f"{head[: most - 1]}…"


def printable(text: str) -> str:
    r"""Replace what a terminal would obey instead of show.

    >>> printable("a\x1b[31mb")
    'a\ufffd[31mb'
    """
    return "".join(letter if letter.isprintable() else " " if letter == "\t" else "\ufffd" for letter in text)


def quoted(text: str) -> str:
    """Quote a text from a file for a message, shortened and without control characters.

    >>> quoted("yes"), len(quoted("x" * 100))
    ("'yes'", 67)
    """
    shown = text if len(text) <= 64 else text[:64] + "…"
    return f"'{printable(shown)}'"


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the word that was probably meant.

    >>> nearest("shedule", ["schedule", "enabled"])
    'schedule'
    """
    close = difflib.get_close_matches(word[:64], list(words), n=1, cutoff=0.6)
    return close[0] if close else None


def meant(word: str, words: Iterable[str]) -> str | None:
    """Ask whether the nearest word was meant; None if none is near.

    >>> meant("shedule", ["schedule", "enabled"])
    "did you mean 'schedule'?"
    """
    near = nearest(word, words)
    return f"did you mean '{near}'?" if near else None
