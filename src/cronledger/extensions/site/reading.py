"""A mapping of a YAML file, read key by key: what is wrong is noted with its place, and reading goes on."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cronledger.strict_yaml import check
from cronledger.strict_yaml.check import Check, Wrong
from cronledger.strict_yaml.problem import Place, Problems
from cronledger.strict_yaml.text import MOST_BYTES, Value, parse


class Part:
    """A mapping whose keys are known; any other key is a problem that names the nearest of them."""

    def __init__(self, value: Value, known: Iterable[str], title: str, problems: Problems) -> None:
        self.place = value.key or value.place
        self.title = title
        self._problems = problems
        self._entries = check.known_entries(value, frozenset(known), f"{title}: " if title else "", problems)

    @classmethod
    def nothing(cls, file: str, problems: Problems) -> Part:
        """Return what a file says that is not there."""
        return cls(Value(None, Place(file, 1, 1)), (), "", problems)

    def says(self, key: str) -> bool:
        """Whether a key stands there with a value."""
        return key in self._entries and self._entries[key].data is not None

    def get(self, key: str, kind: Check, default: Any) -> Any:
        """Return a value that passes its check, else the default."""
        if not self.says(key):
            return default
        value = self._entries[key]
        try:
            return kind(value)
        except Wrong as wrong:
            self.refuse(key, wrong.message, wrong.hint, at=wrong.at)
            return default

    def text(self, key: str, default: str = "") -> str:
        """Return a text."""
        return str(self.get(key, check.text, default))

    def part(self, key: str, known: Iterable[str] | None = None) -> Part:
        """Return the mapping under a key, empty if there is none; every key is known if none are said."""
        value = self._entries.get(key, Value(None, self.place))
        keys = value.data if known is None and isinstance(value.data, dict) else known or ()
        return Part(value, keys, self._title(key), self._problems)

    def parts(self, key: str, known: Iterable[str]) -> Iterator[tuple[str, Part]]:
        """Return the mappings that stand under names in the mapping under a key."""
        said = self._entries.get(key)
        self.part(key)
        for name, value in said.data.items() if said is not None and isinstance(said.data, dict) else ():
            yield name, Part(value, known, f"{self._title(key)}.{name}", self._problems)

    def items(self, key: str, known: Iterable[str]) -> Iterator[Part]:
        """Return the mappings of the list under a key."""
        for index, value in enumerate(self.get(key, _items, [])):
            yield Part(value, known, f"{self._title(key)}[{index}]", self._problems)

    def refuse(self, key: str, message: str, hint: str | None = None, *, at: Value | None = None) -> None:
        """Note what is wrong with the value of a key, or with the mapping for want of it."""
        value = at or self._entries.get(key)
        if value is None:
            self._problems.add(self.place, f"{self._title(key)}: {message}", hint)
        elif not self._problems.stand_at(value.place):
            self._problems.add(value.place, f"{self._title(key)}: {message}", hint)

    def wrong(self, message: str) -> None:
        """Note what is wrong with the mapping."""
        self._problems.add(self.place, f"{self.title}: {message}")

    def place_of(self, key: str) -> Place:
        """Return where the value of a key stands."""
        return self._entries[key].place if key in self._entries else self.place

    def _title(self, key: str) -> str:
        return f"{self.title}.{key}" if self.title else key


def read_file(path: Path, shown: str, known: Iterable[str], problems: Problems) -> Part | None:
    """Return the mapping of a file, None where there is no such file."""
    start = Place(shown, 1, 1)
    try:
        data = _bytes_of(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        problems.add(start, f"cannot be read: {error.strerror or error}")
        return Part.nothing(shown, problems)
    return Part(parse(data, shown, problems) or Value(None, start), known, "", problems)


def _bytes_of(path: Path) -> bytes:
    """Read a regular file, one byte more than is allowed at most; never wait for a pipe."""
    with open(path, "rb", opener=_without_waiting) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError("not a regular file")
        data: bytes = stream.read(MOST_BYTES + 1)
        return data


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NONBLOCK)


def _items(value: Value) -> list[Value]:
    if not isinstance(value.data, list):
        raise Wrong(f"must be a list, not {check.spelled(value)}")
    items: list[Value] = value.data
    return items
