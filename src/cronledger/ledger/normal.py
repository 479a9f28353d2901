"""What jobs and people supply, made storable: any value becomes plain JSON within its limits.

A result is arbitrary Python and a message is arbitrary text, yet a run must always end. Nothing here
refuses, and nothing calls code of the value (no `repr`): what cannot be kept leaves a visible note.
Every normalised value encodes, decodes to itself, and fits the columns of both databases.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import Body

BODY_BYTES = 64 * 1024
MESSAGE_BYTES = 4 * 1024
ERROR_BYTES = 16 * 1024
DEPTH = 50
VALUES = 20_000

_INT64 = 2**63 - 1
_LIMITS = {"error": ERROR_BYTES}
_SCALARS = (date, time, timedelta, Decimal, UUID, bytes, bytearray)
_encode = msgspec.json.Encoder(order="sorted").encode

AnyBody = TypeVar("AnyBody", bound=Body)
AnyValue = TypeVar("AnyValue")


def normalised(value: object) -> Any:
    """Return a plain JSON value that stands for any value whatever.

    >>> normalised({"a": float("nan"), 2: [10**30, {1}], "c": object()})
    {'a': 'NaN', '2': ['1000000000000000000000000000000', [1]], 'c': '<object>'}
    """
    return _Normaliser().of(value, DEPTH)


def kept(value: object) -> tuple[Any, str | None]:
    """Return the plain JSON value that stands for a value, and what it does not stand for, if anything.

    Dates, tuples, sets and structs have a plain form of their own; an object without one does not.

    >>> kept((1, date(2026, 1, 1)))
    ([1, '2026-01-01'], None)
    >>> kept([object()])
    (['<object>'], 'a value of type object')
    """
    walk = _Normaliser()
    return walk.of(value, DEPTH), walk.lost


def worded(value: object) -> str | None:
    """Return a message as text, whatever was given as one; None for none.

    >>> worded("done"), worded({"done": 3})
    ('done', "{'done': 3}")
    """
    return value if value is None or isinstance(value, str) else str(normalised(value))


def cleaned(text: str) -> str:
    """Return text without what some database or terminal refuses: lone surrogates and NUL."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return str(text)


def truncated(text: str, limit: int) -> str:
    """Return cleaned text of at most `limit` bytes of UTF-8; a longer one loses its middle, and says so.

    The middle goes because the beginning says what happened and the end of a traceback says why.
    """
    text = cleaned(text)
    data = text.encode()
    if len(data) <= limit:
        return text
    note = f"\n… [{len(data)} bytes, shortened to {limit}] …\n"
    room = limit - len(note.encode())
    head, tail = data[: room // 2], data[-(room - room // 2) :]
    return head.decode(errors="ignore") + note + tail.decode(errors="ignore")


def bounded(body: AnyBody) -> AnyBody:
    """Return the body with everything that was supplied from outside normalised and within its limits."""
    fields = {name: _field(name, getattr(body, name)) for name in body.__struct_fields__}
    return msgspec.structs.replace(body, **fields)


def _field(name: str, value: object) -> object:
    match value:
        case _ if name == "result":
            return _within(normalised(value))
        case str():
            return truncated(value, _LIMITS.get(name, MESSAGE_BYTES))
        case int():
            return max(-_INT64, min(value, _INT64))
        case dict():
            return _within(normalised(value))
        case JobDefinition(description=description, parameters=parameters):
            plain = normalised(parameters)
            return msgspec.structs.replace(value, description=cleaned(description), parameters=plain)
        case _:
            return value


def _within(plain: object) -> object:
    size = len(_encode(plain))
    if size <= BODY_BYTES - ERROR_BYTES - MESSAGE_BYTES:
        return plain
    return {"truncated": f"{size} bytes were not kept; the limit of a body is {BODY_BYTES}"}


class _Normaliser:
    """One walk over a value: bounded in depth and, because values may contain themselves, in number.

    `lost` is the first thing, in words, that the plain value does not stand for.
    """

    def __init__(self) -> None:
        self._left = VALUES
        self.lost: str | None = None

    def of(self, value: object, depth: int) -> Any:
        self._left -= 1
        match value:
            case None | bool():
                return value
            case Enum():
                return self.of(value.value, depth - 1) if depth else self._named(value)
            case str():
                return self._text(value)
            case int():
                return self._integer(value)
            case float():
                return self._float(value)
            case _ if isinstance(value, _SCALARS):
                return self._scalar(value)
            case _:
                return self._container(value, depth)

    def _container(self, value: object, depth: int) -> Any:
        if depth <= 0:
            return self._note("<nested too deeply>", f"more than {DEPTH} levels")
        if self._left <= 0:
            return self._note("<too many values>", f"more than {VALUES} values")
        match value:
            case Mapping():
                plain = {self._key(key): self.of(each, depth - 1) for key, each in value.items()}
                return plain if len(plain) == len(value) else self._note(plain, "keys that are one as texts")
            case list() | tuple():
                return [self.of(each, depth - 1) for each in value]
            case set() | frozenset():
                return sorted((self.of(each, depth - 1) for each in value), key=_encode)
            case msgspec.Struct():
                names = value.__struct_fields__
                return {name: self.of(getattr(value, name), depth - 1) for name in names}
            case _:
                return self._named(value)

    def _text(self, value: str) -> str:
        text = cleaned(value)
        return text if text == value else self._note(text, "a text with NUL or half a character")

    def _integer(self, value: int) -> int | str:
        if -_INT64 <= value <= _INT64:
            return int(value)
        bits = value.bit_length()
        return self._note(
            f"<int of {bits} bits>" if bits > 4096 else str(int(value)), f"an int of {bits} bits"
        )

    def _float(self, value: float) -> float | str:
        if math.isnan(value):
            return self._note("NaN", "the float nan")
        if math.isinf(value):
            return self._note("Infinity" if value > 0 else "-Infinity", "an infinite float")
        return float(value)

    def _scalar(self, value: object) -> Any:
        try:
            return msgspec.to_builtins(value)
        except (TypeError, ValueError, OverflowError):
            return self._named(value)

    def _key(self, key: object) -> str:
        match key:
            case Enum():
                return self._key(key.value)
            case str():
                return self._text(key)
            case None | bool():
                return {None: "null", True: "true", False: "false"}[key]
            case int():
                return str(self._integer(key))
            case float():
                return str(self._float(key))
            case _:
                return self._named(key)

    def _named(self, value: object) -> str:
        name = cleaned(type(value).__name__)
        return self._note(f"<{name}>", f"a value of type {name}")

    def _note(self, stand_in: AnyValue, lost: str) -> AnyValue:
        self.lost = self.lost or lost
        return stand_in
