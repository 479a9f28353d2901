"""What a field may hold: one small function per kind of value, which returns it or says what is expected."""

from __future__ import annotations

import re
from typing import Any

from cronledger.config.reference import is_well_formed
from cronledger.domain.ids import NAME, is_name
from cronledger.strict_yaml.check import Check, Schema, Wrong, all_of, described, filled, spelled, text
from cronledger.strict_yaml.problem import quoted
from cronledger.strict_yaml.text import Value

NAME_RULE = "small letters, digits, '_' and '-', beginning with a letter, at most 64"
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?", re.ASCII)


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


def undefined(what: str) -> Check:
    """Refuse names of things that nothing defines."""

    def refuse(item: Value) -> None:
        raise Wrong(f"unknown {what} {quoted(filled(item))} (none is defined)")

    def check(value: Value) -> None:
        all_of(refuse, value.data if isinstance(value.data, list) else [value])

    return described(check, {"type": "array", "maxItems": 0})


def free(value: Value) -> Any:
    """Accept anything that JSON can hold; texts may refer to secrets."""
    match value.data:
        case list(items):
            return all_of(free, items)
        case dict(entries):
            return dict(zip(entries, all_of(free, entries.values()), strict=True))
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


_SCHEMAS: dict[Check, Schema] = {
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
for _kind, _accepted in _SCHEMAS.items():
    described(_kind, _accepted)
