"""What must be understood: an event that says so stops whoever does not know its type.

Any other event of an unknown type is folded past, and counted.
"""

from __future__ import annotations

from cronledger.domain.events import Recorded, Unrecognized
from cronledger.errors import NotUnderstood


def require_understood(recorded: Recorded) -> None:
    """Raise NotUnderstood if this version may not fold past an event."""
    if recorded.must_understand and isinstance(recorded.body, Unrecognized):
        raise NotUnderstood(recorded.position, recorded.type, recorded.schema)


def understood(events: list[Recorded]) -> list[Recorded]:
    """Return the events before the first that this version may not fold past.

    Raises NotUnderstood if there is none before it.
    """
    demanding = [index for index, each in enumerate(events) if each.must_understand]
    for index in demanding:
        try:
            require_understood(events[index])
        except NotUnderstood:
            if index == 0:
                raise
            return events[:index]
    return events
