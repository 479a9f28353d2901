"""The calendars of the configuration: what stands under `scheduler.calendars`, put together.

A calendar that extends others becomes one that takes away what any of them does, so that a definition can
carry all of it: what held then stays known when the files say something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cronledger.config.model import Fields, KnownCalendar, NamedEntry
from cronledger.domain.calendar import Calendar, joined
from cronledger.errors import InvalidSchedule
from cronledger.strict_yaml.problem import Problems, meant, quoted

DEEPEST = 50
RULES = ("exclude", "only", "weekdays", "blackout")


def check_names(known: Iterable[str], said: Iterable[tuple[str, Fields]], problems: Problems) -> None:
    """Note each calendar that is named, under a title, and that nothing defines."""
    names = list(known)
    for title, found in said:
        written = found.get("calendar")
        if written is not None and written.place is not None and written.value not in (None, *names):
            what = f"{title}calendar: {_unknown(written.value, names)}"
            problems.add(written.place, what, meant(written.value, names))


def resolved(entries: Mapping[str, NamedEntry], problems: Problems) -> dict[str, KnownCalendar]:
    """Return each calendar together with all that it extends; note circles, and what cannot be joined."""
    known: dict[str, KnownCalendar] = {}
    for name in entries:
        _resolve(name, entries, known, chain=(), problems=problems)
    return known


def _resolve(
    name: str,
    entries: Mapping[str, NamedEntry],
    known: dict[str, KnownCalendar],
    *,
    chain: tuple[str, ...],
    problems: Problems,
) -> KnownCalendar:
    if name in known:
        return known[name]
    entry = entries[name]
    found = _own(entry)
    extends = entry.fields.get("extend")
    for base in extends.value if extends else ():
        assert extends
        place = extends.place or entry.place
        if base not in entries:
            problems.add(place, f"{entry.title}extend: {_unknown(base, entries)}", meant(base, entries))
        elif base in (*chain, name):
            circle = (*chain, name, base)
            shown = " -> ".join(circle[circle.index(base) :])
            problems.add(place, f"{entry.title}extend: calendars extend each other in a circle: {shown}")
        else:
            below = None
            if len(chain) < DEEPEST - 1:
                below = _resolve(base, entries, known, chain=(*chain, name), problems=problems)
            if below is None or below.depth == DEEPEST:
                what = f"extend: more than {DEEPEST} calendars extend one another in a row"
                problems.add(place, f"{entry.title}{what}")
                continue
            try:
                found = _joined(found, below)
            except InvalidSchedule as error:
                problems.add(place, f"{entry.title}extend: {error.reason}")
    known[name] = found
    return found


def _own(entry: NamedEntry) -> KnownCalendar:
    said = {key: entry.fields[key] for key in RULES if key in entry.fields}
    values: dict[str, Any] = {key: written.value for key, written in said.items()}
    values["weekdays"] = tuple(dict.fromkeys(day for days in values.get("weekdays", ()) for day in days))
    return KnownCalendar(
        calendar=Calendar(name=entry.name, **values),
        origins={key: (written.origin,) for key, written in said.items()},
    )


def _joined(found: KnownCalendar, below: KnownCalendar) -> KnownCalendar:
    keys = (*below.origins, *found.origins)
    return KnownCalendar(
        calendar=joined(found.calendar, below.calendar),
        origins={
            key: tuple(dict.fromkeys(below.origins.get(key, ()) + found.origins.get(key, ()))) for key in keys
        },
        depth=max(found.depth, below.depth + 1),
    )


def _unknown(name: str, known: Iterable[str]) -> str:
    names = ", ".join(known)
    return f"unknown calendar {quoted(name)} ({f'there are: {names}' if names else 'none is defined'})"
