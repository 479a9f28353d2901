"""What this version is too old for: then it folds no further and says so, instead of showing half a truth."""

from __future__ import annotations

from typing import ClassVar

from cronledger.domain.events import Recorded, Unrecognized
from cronledger.errors import CronledgerError


class Outdated(CronledgerError):
    """The ledger holds something that only a newer version may fold."""

    code: ClassVar[str] = "version_outdated"
    exit_code: ClassVar[int] = 6


class NotUnderstood(Outdated):
    """An event that must be understood is of a type that this version does not know."""

    code: ClassVar[str] = "event_not_understood"

    def __init__(self, recorded: Recorded) -> None:
        super().__init__(
            f"the event at position {recorded.position} is of type '{recorded.type}' (schema "
            f"{recorded.schema}), which this version of cronledger does not know and must not skip",
            hint="use the newer version of cronledger that wrote it",
        )
        self.position = recorded.position
        self.type = recorded.type


class ViewNewer(Outdated):
    """The rows of a view were folded by a newer version."""

    code: ClassVar[str] = "view_newer"

    def __init__(self, projection: str, found: int, own: int) -> None:
        super().__init__(
            f"the view {projection} was folded by version {found} of its rules; "
            f"this instance has version {own}",
            hint="use the newer version of cronledger, or, to go back for good, run "
            "`cronledger projections rebuild` with this one",
        )
        self.projection = projection
        self.found = found
        self.own = own


def understood(events: list[Recorded]) -> list[Recorded]:
    """Return the events before the first that this version may not fold past.

    Raises NotUnderstood if there is none before it.
    """
    for index, recorded in enumerate(events):
        if recorded.must_understand and isinstance(recorded.body, Unrecognized):
            if index == 0:
                raise NotUnderstood(recorded)
            return events[:index]
    return events
