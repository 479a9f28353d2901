"""Windows: spans of time whose fire times are still to be decided, by the definition that held then.

A window of a pause is decided in another way than the others: its fire times are skipped as a whole, so that
a decision about the one kind never touches what is left of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import takewhile

import msgspec

from cronledger.domain.definition import JobDefinition
from cronledger.domain.schedule import schedule_for
from cronledger.domain.sifting import MOST

PAUSED = "paused"
"""Why the fire times of a pause are skipped."""


class Window(msgspec.Struct, frozen=True, gc=False):
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
    """Return the fire times of a window, oldest first, whatever a calendar takes away of them."""
    schedule = schedule_for(window.definition)
    if schedule is None:
        return iter(())
    return schedule.ruled(window.after, window.until, MOST)


def parted(windows: Sequence[Window]) -> tuple[tuple[Window, ...], tuple[Window, ...]]:
    """Part the windows that a pause which still lasts has left from those before it."""
    count = sum(1 for _ in takewhile(lambda window: window.paused, reversed(windows)))
    cut = len(windows) - count
    return tuple(windows[:cut]), tuple(windows[cut:])


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
