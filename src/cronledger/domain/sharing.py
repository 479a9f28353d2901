"""One copy of what many jobs say alike.

Each job that is read from the ledger brings its own copy of the zone, the schedule, the names of its code, of
the instant up to which it is planned. Of a hundred thousand jobs that is most of what they weigh. What is
shared here is equal to what it replaces, and never changes, so nobody can tell.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

from msgspec.structs import force_setattr

from cronledger.domain.definition import JobDefinition
from cronledger.domain.job import JobState

_TEXTS = ("extension", "job", "description", "schedule", "timezone", "queue")
_NO_PARAMETERS: dict[str, Any] = {}
"""Of every job that has none. A definition is a value: whoever wants other parameters makes a copy."""

Instants = dict[datetime, datetime]
"""The instants that have been seen, each under itself."""


def share_texts(definition: JobDefinition) -> None:
    """Let a definition use the one copy of each text."""
    for field in _TEXTS:
        force_setattr(definition, field, sys.intern(getattr(definition, field)))
    if not definition.parameters:
        force_setattr(definition, "parameters", _NO_PARAMETERS)


def share(state: JobState, instants: Instants | None = None) -> JobState:
    """Let a job use the one copy of its texts, and of its instants among those given; return it.

    >>> from datetime import UTC
    >>> jobs = [JobState(name=name, planned_until=datetime(2026, 1, 1, tzinfo=UTC)) for name in ("a", "b")]
    >>> known: Instants = {}
    >>> one, other = (share(each, known) for each in jobs)
    >>> one.planned_until is other.planned_until
    True
    """
    definition = state.definition
    if definition is not None:
        share_texts(definition)
        force_setattr(definition, "name", state.name)
    force_setattr(state, "revision", sys.intern(state.revision))
    for field in ("planned_until", "last_fire_at"):
        instant = getattr(state, field)
        if instant is not None and instants is not None:
            force_setattr(state, field, instants.setdefault(instant, instant))
    return state
