"""What becomes of the fire times of one window that have come: which of them run, and why the others do not.

So many that they cannot be read at once are decided in portions, and to the same end: a portion says only
what the rest of the window cannot change. What a calendar takes may be told in more parts.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice

import msgspec

from cronledger.domain.catchup import CatchUp, Due, Skipped, catch_up
from cronledger.domain.overlap import admit
from cronledger.domain.schedule import schedule_for
from cronledger.domain.sifting import Sifting, ranges
from cronledger.domain.windows import PAUSED, Window, fire_times

AT_ONCE = 100_000
"""Fire times read for one portion: more than a per-second job has in a day, and some 0.2 s of work."""


class Portion(msgspec.Struct, frozen=True, gc=False):
    """What runs and what is skipped, oldest first; unless it `is_whole`, the window has more."""

    fire: list[datetime]
    skipped: list[Skipped]
    is_whole: bool = True


def decide(
    window: Window, now: datetime, *, in_flight: int, goes_on: bool, at_once: int = AT_ONCE
) -> Portion:
    """Decide the oldest fire times of a window, all of them if they are no more than `at_once`.

    Args:
        window: The fire times that have come.
        now: The instant of planning.
        in_flight: How many runs of the job are in the way of others.
        goes_on: Whether the next fire times of the job follow the same definition.
        at_once: How many are read.
    """
    definition = window.definition
    schedule = schedule_for(definition)
    if window.paused or schedule is None:
        skipped = ranges(islice(fire_times(window), at_once), PAUSED)
        return Portion([], skipped, is_whole=not _has_more(window, skipped, [], at_once))
    if definition.catch_up is CatchUp.ALL:
        at_once = max(at_once, 2 * definition.catch_up_limit)  # or a portion would have little to say
    grace = timedelta(seconds=definition.grace_seconds) if definition.grace_seconds is not None else None
    sifting = Sifting(schedule, window.after, window.until, at_once)
    due = catch_up(definition.catch_up, sifting.left(), now=now, grace=grace, limit=definition.catch_up_limit)
    has_more = _has_more(window, [*due.skipped, *sifting.taken], due.fire, at_once)
    taken = sifting.told(goes_on=goes_on)
    if has_more and due.fire:
        taken = [each for each in taken if each.last_at < due.fire[0]]
        if not due.skipped and not taken:
            return decide(window, now, in_flight=in_flight, goes_on=goes_on, at_once=2 * at_once)
        due = Due([], due.skipped)
    admitted = admit(definition.overlap, len(due.fire), in_flight=in_flight)
    refused = due.fire[: admitted.start] + due.fire[admitted.stop :]
    found = taken + [part for skipped in due.skipped for part in sifting.apart(skipped)]
    if refused:
        found += ranges(refused, "overlap", sifting.taken)
    found.sort(key=lambda each: each.first_at)
    return Portion([due.fire[index] for index in admitted], found, is_whole=not has_more)


def _has_more(window: Window, skipped: list[Skipped], fire: list[datetime], at_once: int) -> bool:
    """Whether there are fire times in a window behind those that were read."""
    if sum(each.count for each in skipped) + len(fire) < at_once:
        return False
    last = max([*(each.last_at for each in skipped), *fire[-1:]])
    return not msgspec.structs.replace(window, after=last).is_empty
