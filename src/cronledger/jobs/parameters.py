"""Parameters that somebody gives to a run, held against those that its job declares.

A run that could only fail is refused before it is triggered. A job that declares none takes whatever it is
given, as it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from cronledger.errors import UsageError
from cronledger.jobs.api import Job


def fitted(job: Job, title: str, given: Mapping[Any, Any], configured: Iterable[str] = ()) -> dict[Any, Any]:
    """Return parameters with texts brought to the types that a job declares.

    `title` names the job, `configured` what its entry already gives. Raises UsageError naming the parameter
    that is unknown, missing or of another type, what was expected, and what is declared.

    >>> class Limits(msgspec.Struct):
    ...     days: int
    ...     rooms: list[str] = []
    >>> class Prune(Job):
    ...     params = Limits
    >>> fitted(Prune(), "prune", {"days": "7", "rooms": '["attic"]'})
    {'days': 7, 'rooms': ['attic']}
    """
    if job.params is None:
        return dict(given)
    fields = {field.encode_name: field for field in msgspec.structs.fields(job.params)}
    declared = ", ".join(map(_declared, fields.values())) or "none"
    for name in given:
        if name not in fields:
            close = get_close_matches(str(name), fields, n=1)
            meant = f"did you mean '{close[0]}'? " if close else ""
            raise UsageError(
                f"job '{title}' has no parameter '{str(name)[:80]}'", hint=f"{meant}declared: {declared}"
            )
    for name, field in fields.items():
        if field.required and name not in given and name not in configured:
            raise UsageError(
                f"job '{title}' needs the parameter '{name}' of type {_type(field)}",
                hint=f"declared: {declared}",
            )
    return {name: _value(title, fields[name], value, declared) for name, value in given.items()}


def _value(title: str, field: FieldInfo, value: object, declared: str) -> Any:
    try:
        converted = _converted(value, field.type)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"parameter '{field.encode_name}' of job '{title}' cannot be {_shown(value)}: "
            f"{str(error)[:1].lower()}{str(error)[1:]}",
            hint=f"declared: {declared}",
        ) from None
    return msgspec.to_builtins(converted) if isinstance(value, str) else value


def _converted(value: object, kind: Any) -> Any:
    """Read a value as the type that is declared: a text as what it says, or as JSON."""
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        if not isinstance(value, str):
            raise
        try:
            return msgspec.json.decode(value, type=kind)
        except (msgspec.DecodeError, UnicodeEncodeError):
            pass
        raise


def _declared(field: FieldInfo) -> str:
    default = "" if field.required or field.default is msgspec.NODEFAULT else f" = {_shown(field.default)}"
    return f"{field.encode_name}: {_type(field)}{default}"


def _type(field: FieldInfo) -> str:
    kind = get_args(field.type)[0] if get_origin(field.type) is Annotated else field.type
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | None) else type(value).__name__
    return text if len(text) <= 80 else f"{text[:80]}…"
