"""YAML text to values that know where they stand. The only reader of YAML, and a strict one.

YAML is a large language and a configuration needs a small part of it. What is left out is refused with a
reason, never guessed at: anchors and aliases (they multiply), tags, merge keys, duplicate keys (the last one
would win silently), several documents, and plain texts that different readers take for different things
(`on`, `12:30:00`, `010`). The parser's events are read one by one, so nothing is built before it is allowed:
neither depth nor size of a hostile file costs more than reading its first lines.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

from cronledger.strict_yaml.problem import Place, Problems, quoted

MOST_BYTES = 256 * 1024
MOST_VALUES = 20_000
DEEPEST = 20

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_FORBIDDEN = yaml.reader.Reader.NON_PRINTABLE
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,14})")
_DECIMAL = re.compile(
    r"[-+]?(?:(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][-+]?[0-9]{1,3})?"
)
_WORDS = {
    word: value for value in (True, False) for word in (str(value), str(value).lower(), str(value).upper())
}
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
_ELSEWHERE = re.compile(r"[yYnN]|0o[0-7]+|[-+]?[0-9]{16,}")
"""What this dialect and PyYAML's tables leave a text, and other readers or writers do not."""


class Value(msgspec.Struct, frozen=True, gc=False):
    """A value with its place.

    Attributes:
        data: None, a bool, a number, a text, a list of values, or a dict of values.
        key: Where the key of this value stands, in a mapping.
        written: A plain scalar as it stands in the file, for messages.
        is_doubtful: It is a text here and something else to another reader of YAML: it must be quoted.
    """

    data: Any
    place: Place
    key: Place | None = None
    written: str = ""
    is_doubtful: bool = False


class _Unreadable(Exception):
    """The rest of the file makes no sense."""

    def __init__(self, place: Place, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.place = place
        self.message = message
        self.hint = hint


def parse(data: bytes, file: str, problems: Problems) -> Value | None:
    """Return the document in a file, or None if it is unreadable; add what is wrong to `problems`.

    Nothing but blanks and comments is a document, too: one without data.

    >>> document = parse(b"scheduler: {enabled: on}", "config.yaml", Problems())
    >>> document.data["scheduler"].data["enabled"].is_doubtful
    True
    """
    try:
        text = _decode(data, file)
        return _Document(text, file, problems).read()
    except _Unreadable as error:
        problems.add(error.place, error.message, error.hint)
        return None


def _decode(data: bytes, file: str) -> str:
    if len(data) > MOST_BYTES:
        raise _Unreadable(Place(file, 1, 1), f"the file is larger than {MOST_BYTES // 1024} KiB")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        place = _place_of(before, len(before), file)
        raise _Unreadable(place, "the file is not UTF-8") from None
    if found := _FORBIDDEN.search(text):
        place = _place_of(text, found.start(), file)
        raise _Unreadable(place, f"control character U+{ord(found.group()):04X} in the file")
    return text


def _place_of(text: str, index: int, file: str) -> Place:
    lines = _BREAK.split(text[:index])
    rest = _BREAK.split(text[index : index + 200])[0]
    return Place(file, len(lines), len(lines[-1]) + 1, lines[-1] + rest)


class _Document:
    """One pass over the events of one file."""

    def __init__(self, text: str, file: str, problems: Problems) -> None:
        self._lines = _BREAK.split(text)
        self._file = file
        self._problems = problems
        self._events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=yaml.CSafeLoader))
        self._values = 0

    def read(self) -> Value:
        try:
            event = self._next()
            while isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
                event = self._next()
            if isinstance(event, yaml.StreamEndEvent):
                return Value(None, Place(self._file, 1, 1))
            document = self._value(event, 1)
            self._next()
            if isinstance(after := self._next(), yaml.DocumentStartEvent):
                self._problems.add(self._place(after.start_mark), "only one document is allowed in a file")
        except yaml.YAMLError as error:
            raise self._explain(error) from None
        return document

    def _next(self) -> yaml.Event:
        return next(self._events)

    def _place(self, mark: Any) -> Place:
        source = self._lines[mark.line] if mark.line < len(self._lines) else ""
        return Place(self._file, mark.line + 1, mark.column + 1, source)

    def _value(self, event: yaml.Event, depth: int, key: Place | None = None) -> Value:
        place = self._place(event.start_mark)
        self._values += 1
        if self._values > MOST_VALUES:
            raise _Unreadable(place, f"more than {MOST_VALUES} values in one file")
        if depth > DEEPEST:
            raise _Unreadable(place, f"nested deeper than {DEEPEST} levels")
        self._refuse_extras(event, place)
        match event:
            case yaml.ScalarEvent():
                return self._scalar(event, place, key)
            case yaml.SequenceStartEvent():
                return Value(list(self._items(depth)), place, key)
            case yaml.MappingStartEvent():
                return Value(self._entries(depth), place, key)
            case _:
                return Value(None, place, key)

    def _refuse_extras(self, event: yaml.Event, place: Place) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._problems.add(
                place, "aliases (*) are not supported", "put a text that begins with * in quotes"
            )
        elif getattr(event, "anchor", None) is not None:
            self._problems.add(
                place, "anchors (&) are not supported", "put a text that begins with & in quotes"
            )
        elif getattr(event, "tag", None) is not None:
            self._problems.add(place, "tags (!) are not supported", "put a text that begins with ! in quotes")

    def _items(self, depth: int) -> Iterator[Value]:
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            yield self._value(event, depth + 1)

    def _entries(self, depth: int) -> dict[str, Value]:
        entries: dict[str, Value] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._value(event, depth + 1)
            value = self._value(self._next(), depth + 1, key.place)
            name = key.data if isinstance(key.data, str) else key.written
            if isinstance(key.data, list | dict) or name == "":
                self._problems.add(key.place, "a key must be a text")
            elif key.written == "<<":
                self._problems.add(key.place, "merge keys (<<) are not supported", "write the values out")
            elif first := entries.get(name):
                self._problems.add(
                    key.place, f"{quoted(name)} stands twice; it is already in line {_line(first)}"
                )
            else:
                entries[name] = value
        return entries

    def _scalar(self, event: yaml.ScalarEvent, place: Place, key: Place | None) -> Value:
        text: str = event.value
        if found := _FORBIDDEN.search(text):
            self._problems.add(place, f"control character U+{ord(found.group()):04X} in a text")
            text = _FORBIDDEN.sub("\ufffd", text)
        if event.style is not None and event.style != "":
            return Value(text, place, key)
        return _plain(text, place, key)

    def _explain(self, error: yaml.YAMLError) -> _Unreadable:
        place = self._marked(error)
        context = getattr(error, "context", None) or ""
        problem = (
            getattr(error, "problem", None) or getattr(error, "reason", None) or "nothing that can be read"
        )
        if "alias" in context:
            return _Unreadable(place, "an unquoted * begins a YAML alias", f"try {_in_quotes(place)}")
        if "cannot start any token" in problem:
            first = place.source[place.column - 1 : place.column]
            if first == "\t":
                return _Unreadable(place, "a tab cannot be used as indentation", "use blanks")
            return _Unreadable(
                place, f"a plain text cannot begin with {quoted(first)}", f"try {_in_quotes(place)}"
            )
        return _Unreadable(place, f"not valid YAML: {problem}{f' ({context})' if context else ''}")

    def _marked(self, error: yaml.YAMLError) -> Place:
        """Return where an error is; the last text of the file, if it was only noticed at the end."""
        context, problem = getattr(error, "context_mark", None), getattr(error, "problem_mark", None)
        marks = [context] if "alias" in (getattr(error, "context", None) or "") else [problem, context]
        places = [self._place(mark) for mark in marks if mark is not None]
        return next((place for place in places if place.source), self._end())

    def _end(self) -> Place:
        last = max((index for index, line in enumerate(self._lines) if line.strip()), default=0)
        return Place(self._file, last + 1, len(self._lines[last]) + 1, self._lines[last])


def _plain(text: str, place: Place, key: Place | None) -> Value:
    """Read an unquoted scalar: true, false, null, a decimal number, or a text."""
    if text in _NOTHING:
        return Value(None, place, key, text)
    if text in _WORDS:
        return Value(_WORDS[text], place, key, text)
    if _INTEGER.fullmatch(text):
        return Value(int(text), place, key, text)
    if _DECIMAL.fullmatch(text):
        number = float(text)
        return Value(number if math.isfinite(number) else text, place, key, text, not math.isfinite(number))
    return Value(text, place, key, text, _is_doubtful(text))


def _is_doubtful(text: str) -> bool:
    tables = yaml.SafeLoader.yaml_implicit_resolvers.get(text[0], ())
    return any(pattern.match(text) for _, pattern in tables) or _ELSEWHERE.fullmatch(text) is not None


def _in_quotes(place: Place) -> str:
    rest = place.source[place.column - 1 :].split(" #")[0].strip()
    return f'"{rest[:64]}"'


def _line(value: Value) -> int:
    return (value.key or value.place).line
