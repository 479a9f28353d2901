"""One item of a field's list in its text: where it stands, and the texts that a change to it would give."""

from __future__ import annotations

import re
from typing import NamedTuple

from cronledger.domain.cron_fields import WEEKDAY, Field
from cronledger.domain.cron_refusal.problem import GUESSED_LENGTH, Problem, quoted

NO_BLANKS = "a list, a range or a step has no blanks inside"
_TORN = re.compile(r"[ \t]+(?=[-,/])|(?<=[-,/])[ \t]+")


class Item(NamedTuple):
    """An item that cannot be read."""

    text: str
    field: Field
    capitals: str
    start: int
    words: tuple[tuple[int, int], ...]
    """Where the six fields stand."""

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.start + len(self.capitals)

    @property
    def shown(self) -> str:
        """The item as it was written; the beginning of a long one."""
        return quoted(self.text[self.start : self.end])

    def word(self, field: Field) -> str:
        """Return a whole field as it was written."""
        start, end = self.words[field.order]
        return self.text[start:end]

    def replaced(self, new: str) -> str:
        """Return the text with another item in its place."""
        return self.text[: self.start] + new + self.text[self.end :]

    def changed(self, *changes: tuple[Field, str]) -> str:
        """Return the text with other fields."""
        words = [self.text[start:end] for start, end in self.words]
        for field, word in changes:
            words[field.order] = word
        return " ".join(words)

    def swapped(self, other: Field) -> str:
        """Return the text with this field and another one exchanged."""
        return self.changed((self.field, self.word(other)), (other, self.word(self.field)))

    def problem(
        self,
        reason: str,
        hint: str | None,
        *repairs: str,
        span: tuple[int, int] | None = None,
        remark: str = "",
    ) -> Problem:
        """Say what is wrong with it, or with a span of it."""
        start, end = span or (0, max(1, len(self.capitals)))
        place = (self.start + start, self.start + end)
        return Problem(reason, place, hint, repairs, remark, self.field.name)


def item_of(text: str, field: Field, capitals: str) -> Item:
    """Find an item by its field and what it says."""
    words = tuple(found.span() for found in re.finditer("[^ \t]+", text))
    start, end = words[field.order]
    if field is WEEKDAY and text[start] == "+":
        start += 1
    for part in text[start:end].upper().split(","):
        if part == capitals:
            break
        start += len(part) + 1
    return Item(text, field, capitals, start, words)


def joined(text: str) -> tuple[str, ...]:
    """Return a text without the blanks that tear a list, a range or a step apart, if there are any."""
    if len(text) > GUESSED_LENGTH:
        return ()
    whole = _TORN.sub("", text)
    return (whole,) if whole != text else ()


def torn_at(text: str) -> tuple[int, int]:
    """Return where the first of those blanks stand."""
    found = _TORN.search(text)
    return found.span() if found else (0, len(text))


def number_of(field: Field, token: str) -> int | None:
    """Return what a value stands for; None if the field has no such value.

    >>> from cronledger.domain.cron_fields import MONTH
    >>> number_of(MONTH, "MAR"), number_of(MONTH, "13")
    (3, None)
    """
    if token in field.names:
        return field.names.index(token) + field.low
    number = int(token) if token.isdigit() and len(token) <= 2 else -1
    return number if field.low <= number <= field.top else None


def usage(field: Field) -> str:
    """Say what may stand in a field."""
    names = f", {field.names[0]}-{field.names[-1]}" if field.names else ""
    return f"use {field.low}-{field.top}{names}, *, a-b, a,b or */n"
