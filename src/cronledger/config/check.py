"""What a field may hold: one small function per kind of value, which returns it or says what is expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from cronledger.config.reference import is_well_formed
from cronledger.domain.ids import NAME, is_name
from cronledger.strict_yaml.problem import nearest, quoted
from cronledger.strict_yaml.text import Value

Check = Callable[[Value], Any]
Schema = dict[str, Any]
"""A part of a JSON Schema."""

NAME_RULE = "small letters, digits, '_' and '-', beginning with a letter, at most 64"
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?", re.ASCII)


class Wrong(Exception):
    """A value is not what its field expects."""

    def __init__(self, message: str, hint: str | None = None, *, at: Value | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.at = at


def spelled(value: Value) -> str:
    """Say what stands in the file.

    >>> from cronledger.strict_yaml.problem import Place
    >>> spelled(Value("yes", Place("f", 1, 1))), spelled(Value({}, Place("f", 1, 1)))
    ("'yes'", 'a mapping')
    """
    match value.data:
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case None:
            return quoted(value.written) if value.written else "empty"
        case str(text):
            return quoted(text)
        case _:
            return quoted(value.written)


def flag(value: Value) -> bool:
    """Accept true or false."""
    if not isinstance(value.data, bool):
        raise Wrong(f"must be true or false, not {spelled(value)}")
    return value.data


def text(value: Value) -> str:
    """Accept a text that every reader of YAML takes for one."""
    plain = value.data is not None and bool(value.written)
    if value.is_doubtful or (plain and not isinstance(value.data, str)):
        raise Wrong(
            f"must be text: quote {value.written[:64]}, which YAML reads as something else",
            f'try "{value.written[:64]}"',
        )
    if not isinstance(value.data, str):
        raise Wrong(f"must be text, not {spelled(value)}")
    return value.data


def filled(value: Value) -> str:
    """Accept a text that is not empty."""
    if not text(value).strip():
        raise Wrong("must not be empty")
    return text(value)


def schedule(value: Value) -> str:
    """Accept a text; empty must be said, because leaving the key out means something else."""
    if value.data is None:
        raise Wrong(
            'must be text, not empty: write "" for manual only, or leave the key out for the code\'s default'
        )
    return text(value).strip(" \t")


def every(value: Value) -> str:
    """Accept a duration, with or without an anchor; return the schedule's text."""
    if isinstance(value.data, int) and not isinstance(value.data, bool):
        raise Wrong(
            f"must be a duration with a unit, not {spelled(value)}", f"write {value.data}s for seconds"
        )
    return f"every {filled(value).strip()}"


def at(value: Value) -> str:
    """Accept a time, which other readers of YAML may take for a timestamp; return the schedule's text."""
    if not isinstance(value.data, str) or not value.data.strip():
        raise Wrong(f"must be a time such as 2026-12-24T18:00:00, not {spelled(value)}")
    return f"at {value.data.strip()}"


def name(value: Value) -> str:
    """Accept what a job or an extension may be called: never an import path."""
    found = text(value)
    if not is_name(found):
        raise Wrong(f"{quoted(found)} is not a name: {NAME_RULE} (a name, never an import path)")
    return found


def name_or_none(value: Value) -> str | None:
    """Accept a name, or null where none is wanted after all."""
    return None if value.data is None else name(value)


def module(value: Value) -> str:
    """Accept `module` or `module:object`."""
    found = text(value)
    if not _MODULE.fullmatch(found):
        raise Wrong(f"must be module or module:object, not {quoted(found)}")
    return found


def bootstrap(value: Value) -> str:
    """Accept the name of an entry or job, or `extension:job`."""
    found = text(value)
    if not all(is_name(part) for part in found.split(":", 1)):
        raise Wrong(f"must be a name or extension:job, not {quoted(found)}")
    return found


def whole(low: int, high: int, *, unset: bool = False) -> Check:
    """Accept whole numbers in a range, and null where a limit may be lifted."""

    def check(value: Value) -> int | None:
        if unset and value.data is None:
            return None
        if not isinstance(value.data, int) or isinstance(value.data, bool):
            raise Wrong(f"must be a whole number from {low} to {high}, not {spelled(value)}")
        if not low <= value.data <= high:
            raise Wrong(f"must be from {low} to {high}, not {value.data}")
        return value.data

    kind = ["integer", "null"] if unset else "integer"
    return described(check, {"type": kind, "minimum": low, "maximum": high})


def number(low: float, high: float, *, unset: bool = False) -> Check:
    """Accept numbers in a range, and null where a limit may be lifted."""

    def check(value: Value) -> float | None:
        if unset and value.data is None:
            return None
        if not isinstance(value.data, int | float) or isinstance(value.data, bool):
            raise Wrong(f"must be a number from {low:.12g} to {high:.12g}, not {spelled(value)}")
        if not low <= value.data <= high:
            raise Wrong(f"must be from {low:.12g} to {high:.12g}, not {value.data}")
        return float(value.data)

    kind = ["number", "null"] if unset else "number"
    return described(check, {"type": kind, "minimum": low, "maximum": high})


def one_of(words: Iterable[str]) -> Check:
    """Accept one of a few words; the members of an enum come back as such."""
    known = {str(word): word for word in words}

    def check(value: Value) -> str:
        if not isinstance(value.data, str) or value.data not in known:
            near = nearest(value.data, known) if isinstance(value.data, str) else None
            raise Wrong(
                f"must be {alternatives(known)}, not {spelled(value)}",
                f"did you mean {near}?" if near else None,
            )
        return known[value.data]

    return described(check, {"enum": list(known)})


def several(check: Check) -> Check:
    """Accept a list whose items pass a check; each once."""

    def check_all(value: Value) -> tuple[Any, ...]:
        if value.data is None:
            return ()
        if not isinstance(value.data, list):
            raise Wrong(f"must be a list, not {spelled(value)}")
        return tuple(dict.fromkeys(_item(check, item) for item in value.data))

    return described(check_all, {"type": ["array", "null"], "items": schema_of(check)})


def _item(check: Check, item: Value) -> Any:
    try:
        return check(item)
    except Wrong as wrong:
        raise Wrong(f"each item {wrong.message}", wrong.hint, at=wrong.at or item) from None


def undefined(what: str) -> Check:
    """Refuse names of things that nothing defines."""

    def check(value: Value) -> None:
        items = value.data if isinstance(value.data, list) else [value]
        for item in items:
            raise Wrong(f"unknown {what} {quoted(filled(item))} (none is defined)", at=item)

    return described(check, {"type": "array", "maxItems": 0})


def free(value: Value) -> Any:
    """Accept anything that JSON can hold; texts may refer to secrets."""
    match value.data:
        case list(items):
            return [free(item) for item in items]
        case dict(entries):
            return {key: free(entry) for key, entry in entries.items()}
        case str(found):
            if value.is_doubtful:
                what = f"{quoted(found)} is read differently by different readers of YAML"
                raise Wrong(f"{what}: quote it if it is a text", f'try "{found[:64]}"', at=value)
            return _well_formed(value)
        case plain:
            return plain


def secret(value: Value) -> str:
    """Accept a text that may refer to a secret: `${env:NAME}`."""
    filled(value)
    return _well_formed(value)


def _well_formed(value: Value) -> str:
    found: str = value.data
    if not is_well_formed(found):
        raise Wrong("a reference to a secret is written ${env:NAME}", at=value)
    return found


# --- as a schema ----------------------------------------------------------------------------------------


def schema_of(check: Check) -> Schema:
    """Return what a check accepts as far as JSON Schema can say it: at least that, often exactly that.

    >>> schema_of(whole(1, 9))
    {'type': 'integer', 'minimum': 1, 'maximum': 9}
    """
    return _SCHEMAS[check]


def described(check: Check, schema: Schema) -> Check:
    """Say what a check accepts."""
    _SCHEMAS[check] = schema
    return check


_SCHEMAS: dict[Check, Schema] = {}
_SCHEMAS |= {
    flag: {"type": "boolean"},
    text: {"type": "string"},
    filled: {"type": "string", "pattern": r"\S"},
    schedule: {"type": "string"},
    every: {"type": "string", "pattern": r"\S"},
    at: {"type": "string", "pattern": r"\S"},
    name: {"type": "string", "pattern": f"^{NAME.pattern}$"},
    name_or_none: {"type": ["string", "null"], "pattern": f"^{NAME.pattern}$"},
    module: {"type": "string", "pattern": f"^{_MODULE.pattern}$"},
    bootstrap: {"type": "string", "pattern": f"^{NAME.pattern}(:{NAME.pattern})?$"},
    free: {},
    secret: {"type": "string", "pattern": r"\S"},
}


def alternatives(words: Iterable[str]) -> str:
    """Join words for a sentence.

    >>> alternatives(["skip", "queue", "allow"])
    'skip, queue or allow'
    """
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
