"""What is wrong with a text, as facts: no sentence is made of them before a person has to read it."""

from __future__ import annotations

from typing import NamedTuple

from cronledger.domain.cron_fields import Field

BLANKS = " \t"
GUESSED_LENGTH = 100
"""Of longer texts nobody guesses what they meant."""


class Refused(Exception):
    """The bare fact that a text cannot be read; `cronledger.domain.cron_refusal.reasons` says why."""

    def __init__(self, field: Field | None = None, item: str = "") -> None:
        super().__init__(field, item)
        self.field = field
        """None: it is not six fields of ASCII at all, or never fires."""
        self.item = item
        """The part of the field's list that cannot be read, in capitals."""


class Problem(NamedTuple):
    """Why a text is refused, where, and by which texts it might be replaced."""

    reason: str
    place: tuple[int, int]
    hint: str | None = None
    """What to do if none of the repairs is an expression."""
    repairs: tuple[str, ...] = ()
    """The likeliest first. If none is an expression, the first goes on to be repaired."""
    remark: str = ""
    """To be said after a suggestion."""
    field: str | None = None


def quoted(item: str) -> str:
    """Return a part of a text as a reason repeats it: not much of it.

    >>> quoted("A" * 100)
    'AAAAAAAAAAAAAAAAAAAAA...'
    """
    return item if len(item) <= 24 else f"{item[:21]}..."


def every(duration: str) -> str:
    """Tell how to write a fixed interval.

    >>> every("90m")
    'write `every 90m` (in YAML `every: 90m`)'
    """
    return f"write `every {duration}` (in YAML `every: {duration}`)"
