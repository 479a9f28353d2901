"""Parameters that somebody gives to a run or that its entry holds, against those that its job declares.

A run that could only fail is refused before it is triggered, and so is the entry of which every run would.
A job that declares none takes whatever it is given, as it is given.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin

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
    fields, declared = _fields(job.params)
    for name in given:
        if name not in fields:
            unknown = _unknown(f"job '{title}'", str(name), job.params)
            raise UsageError(unknown.message, hint=unknown.hint)
    for missing in _missing(f"job '{title}'", job.params, {*given, *configured}):
        raise UsageError(missing.message, hint=missing.hint)
    return {name: _value(title, fields[name], value, declared) for name, value in given.items()}


class Misfit(NamedTuple):
    """What is wrong with one parameter. A name that is not declared is no harm where others are ignored."""

    name: str
    message: str
    hint: str
    is_harmless: bool = False


def misfits(kind: type[msgspec.Struct], configured: Mapping[str, Any], *, is_all: bool) -> Iterator[Misfit]:
    """Yield what is wrong with the parameters that a configuration gives to the runs of a job.

    `kind` is what the job declares. `is_all`: nobody gives what is missing. A value is read as a run reads
    it, which takes no text for JSON; one that is not known yet is `msgspec.UNSET`.

    >>> class Limits(msgspec.Struct):
    ...     days: int
    >>> [misfit.message for misfit in misfits(Limits, {"days": "x"}, is_all=True)]
    ["parameters.days: cannot be 'x': expected `int`, got `str`"]
    """
    fields, declared = _fields(kind)
    for name, value in configured.items():
        if name not in fields:
            yield _unknown("the job", name, kind)
        elif value is not msgspec.UNSET:
            try:
                msgspec.convert(value, fields[name].type, strict=False)
            except msgspec.ValidationError as error:
                what = f"parameters.{name}: {_cannot_be(value, error)}"
                yield Misfit(name, what, f"declared: {declared}")
    if is_all:
        yield from _missing("the job", kind, configured)


@lru_cache(maxsize=256)
def _fields(kind: type[msgspec.Struct]) -> tuple[dict[str, FieldInfo], str]:
    """Return what a struct declares, by name, and how a message says it."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    return fields, ", ".join(map(_declared, fields.values())) or "none"


def _unknown(title: str, name: str, kind: type[msgspec.Struct]) -> Misfit:
    fields, declared = _fields(kind)
    close = get_close_matches(name, fields, n=1)
    meant = f"did you mean '{close[0]}'? " if close else ""
    struct = get_origin(kind) or kind
    return Misfit(
        name,
        f"{title} has no parameter '{name[:80]}'",
        f"{meant}declared: {declared}",
        is_harmless=not struct.__struct_config__.forbid_unknown_fields,
    )


def _missing(title: str, kind: type[msgspec.Struct], given: Container[str]) -> Iterator[Misfit]:
    fields, declared = _fields(kind)
    for name, field in fields.items():
        if field.required and name not in given:
            what = f"{title} needs the parameter '{name}' of type {_type(field)}"
            yield Misfit(name, what, f"declared: {declared}")


def _value(title: str, field: FieldInfo, value: object, declared: str) -> Any:
    try:
        converted = _converted(value, field.type)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"parameter '{field.encode_name}' of job '{title}' {_cannot_be(value, error)}",
            hint=f"declared: {declared}",
        ) from None
    return msgspec.to_builtins(converted) if isinstance(value, str) else value


def _cannot_be(value: object, error: msgspec.ValidationError) -> str:
    return f"cannot be {_shown(value)}: {str(error)[:1].lower()}{str(error)[1:]}"


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
