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


def normalised(value: object) -> Any:
    """Return a plain JSON value that stands for any value whatever.

    >>> normalised({"a": float("nan"), 2: [10**30, {1}], "c": object()})
    {'a': 'NaN', '2': ['1000000000000000000000000000000', [1]], 'c': '<object>'}
    """
    return _Normaliser().of(value, DEPTH)


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
    """Return text of at most `limit` bytes of UTF-8; a longer one loses its middle, and says so.

    The middle goes because the beginning says what happened and the end of a traceback says why.
    """
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
            return truncated(cleaned(value), _LIMITS.get(name, MESSAGE_BYTES))
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
    """One walk over a value: bounded in depth and, because values may contain themselves, in number."""

    def __init__(self) -> None:
        self._left = VALUES

    def of(self, value: object, depth: int) -> Any:
        self._left -= 1
        match value:
            case None | bool():
                return value
            case Enum():
                return self.of(value.value, depth - 1) if depth else _note(value)
            case str():
                return cleaned(value)
            case int():
                return _integer(value)
            case float():
                return _float(value)
            case _ if isinstance(value, _SCALARS):
                return _scalar(value)
            case _:
                return self._container(value, depth)

    def _container(self, value: object, depth: int) -> Any:
        if depth <= 0 or self._left <= 0:
            return "<nested too deeply>" if depth <= 0 else "<too many values>"
        match value:
            case Mapping():
                return {_key(key): self.of(each, depth - 1) for key, each in value.items()}
            case list() | tuple():
                return [self.of(each, depth - 1) for each in value]
            case set() | frozenset():
                return sorted((self.of(each, depth - 1) for each in value), key=_encode)
            case msgspec.Struct():
                names = value.__struct_fields__
                return {name: self.of(getattr(value, name), depth - 1) for name in names}
            case _:
                return _note(value)


def _integer(value: int) -> int | str:
    if -_INT64 <= value <= _INT64:
        return int(value)
    if value.bit_length() > 4096:
        return f"<int of {value.bit_length()} bits>"
    return str(int(value))


def _float(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)


def _scalar(value: object) -> Any:
    try:
        return msgspec.to_builtins(value)
    except (TypeError, ValueError, OverflowError):
        return _note(value)


def _key(key: object) -> str:
    match key:
        case Enum():
            return _key(key.value)
        case str():
            return cleaned(key)
        case None | bool():
            return {None: "null", True: "true", False: "false"}[key]
        case int():
            return str(_integer(key))
        case float():
            return str(_float(key))
        case _:
            return _note(key)


def _note(value: object) -> str:
    return cleaned(f"<{type(value).__name__}>")
