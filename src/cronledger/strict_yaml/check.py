"""What a value may be: one function per kind of value, which returns it or says what is expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cronledger.strict_yaml.problem import Problems, nearest, quoted
from cronledger.strict_yaml.text import Value

Check = Callable[[Value], Any]
Schema = dict[str, Any]
"""A part of a JSON Schema."""


class Wrong(Exception):
    """A value is not what its field expects; in a list `others` say what else is not."""

    def __init__(
        self, message: str, hint: str | None = None, *, at: Value | None = None, others: Iterable[Wrong] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.at = at
        self.others = tuple(others)

    def within(self, title: str, part: Value) -> Wrong:
        """Return the same, said of a part of the value."""
        others = [each.within(title, part) for each in self.others]
        return Wrong(f"{title}{self.message}", self.hint, at=self.at or part, others=others)


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
        return tuple(dict.fromkeys(all_of(check, value.data, "each item ")))

    return described(check_all, {"type": ["array", "null"], "items": schema_of(check)})


def all_of(check: Check, items: Iterable[Value], title: str = "") -> list[Any]:
    """Return what all items pass their check as; raises Wrong with all that do not."""
    found: list[Any] = []
    wrongs: list[Wrong] = []
    for item in items:
        try:
            found.append(check(item))
        except Wrong as wrong:
            said = wrong.within(title, item)
            wrongs += [said, *said.others]
    if wrongs:
        first, *others = wrongs
        raise Wrong(first.message, first.hint, at=first.at, others=others)
    return found


def known_entries(value: Value, known: frozenset[str], title: str, problems: Problems) -> dict[str, Value]:
    """Return the entries of a mapping whose keys are known; note the others, and anything but a mapping."""
    if value.data is None:
        return {}
    if not isinstance(value.data, dict):
        problems.add(value.place, f"{title}must be a mapping of keys to values, not {spelled(value)}")
        return {}
    entries: dict[str, Value] = {}
    for key, entry in value.data.items():
        if key in known:
            entries[key] = entry
            continue
        near = nearest(key, known)
        meant = f", did you mean '{near}'?" if near else f" (known: {', '.join(sorted(known))})"
        problems.add(entry.key or entry.place, f"{title}unknown key {quoted(key)}{meant}")
    return entries


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


_SCHEMAS: dict[Check, Schema] = {
    flag: {"type": "boolean"},
    text: {"type": "string"},
    filled: {"type": "string", "pattern": r"\S"},
}


def alternatives(words: Iterable[str]) -> str:
    """Join words for a sentence.

    >>> alternatives(["skip", "queue", "allow"])
    'skip, queue or allow'
    """
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
