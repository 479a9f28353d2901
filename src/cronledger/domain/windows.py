"""Windows: spans of time whose fire times are still to be decided, by the definition that held then.

A window of a pause is decided in another way than the others: its fire times are skipped as a whole, so that
a decision about the one kind never touches what is left of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from cronledger.domain.catchup import Skipped
from cronledger.domain.definition import JobDefinition
from cronledger.domain.schedule import Schedule, schedule_of
from cronledger.errors import CronledgerError

FIRE_TIMES_PER_DECISION = 10_000_000
"""More than a per-second job misses in a season; a backlog beyond it is decided in several passes."""

PAUSED = "paused"
"""Why the fire times of a pause are skipped."""


class Window(msgspec.Struct, frozen=True):
    """Fire times after one instant up to another, read by the definition that held then.

    Attributes:
        paused: Whether an operator had suspended the schedule.
    """

    after: datetime
    until: datetime
    definition: JobDefinition
    paused: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is no fire time in it."""
        return next(fire_times(self), None) is None


def fire_times(window: Window) -> Iterator[datetime]:
    """Return the fire times of a window, oldest first."""
    schedule = schedule_for(window.definition)
    if schedule is None:
        return iter(())
    return schedule.fire_times(window.after, window.until, FIRE_TIMES_PER_DECISION)


def skipped_whole(windows: Iterable[Window], reason: str) -> Skipped | None:
    """Return the one skip of all fire times of neighbouring windows, oldest first; None if there are none."""
    first, last, count = None, None, 0
    for window in windows:
        for fire_at in fire_times(window):
            first, last, count = first or fire_at, fire_at, count + 1
    return Skipped(first, last, count, reason) if first and last else None


def planned(windows: Iterable[Window], until: datetime) -> tuple[Window, ...]:
    """Return what is left once the planner has decided fire times up to an instant."""
    return tuple(rest for window in windows for rest in _rest(window, until, is_decided=not window.paused))


def passed_over(windows: Iterable[Window], first: datetime, last: datetime) -> tuple[Window, ...]:
    """Return what is left once the fire times of a pause are skipped, from the first to the last."""
    return tuple(
        rest
        for window in windows
        for rest in _rest(window, last, is_decided=window.paused and window.until >= first)
    )


def _rest(window: Window, until: datetime, *, is_decided: bool) -> Iterator[Window]:
    if not is_decided:
        yield window
        return
    rest = msgspec.structs.replace(window, after=max(window.after, until))
    if rest.after < rest.until and not rest.is_empty:
        yield rest


def schedule_for(definition: JobDefinition) -> Schedule | None:
    """Return the schedule of a definition; None for manual only, or if this version cannot read it."""
    try:
        return schedule_of(
            definition.schedule,
            timezone=definition.timezone,
            day_match=definition.day_match,
            dst=definition.dst,
        )
    except CronledgerError:
        return None
