"""What becomes of fire times that nobody could plan in time.

A fire time is a *misfire* once it is planned later than its grace. The same rule holds after a crash, a
suspend, a change of leader and a step of the clock: the planner only ever sees fire times that are due and
the instant at which it looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec


class CatchUp(StrEnum):
    """Which misfires run after all."""

    NONE = "none"
    """None of them."""
    LATEST = "latest"
    """The newest one, unless a fire time within its grace is due as well."""
    ALL = "all"
    """All, up to `catch_up_limit`, the newest ones."""


GRACE_WITHOUT_CATCH_UP = timedelta(seconds=60)
"""How late still counts as on time when nothing is caught up and no grace is set."""


class Skipped(msgspec.Struct, frozen=True, gc=False):
    """Neighbouring fire times that will not run, and why."""

    first_at: datetime
    last_at: datetime
    count: int
    reason: str


class Due(msgspec.Struct, frozen=True, gc=False):
    """What is to be triggered, oldest first, and what is to be recorded as skipped."""

    fire: list[datetime]
    skipped: list[Skipped]


def catch_up(
    policy: CatchUp, due: Iterable[datetime], *, now: datetime, grace: timedelta | None, limit: int
) -> Due:
    """Divide the due fire times, oldest first, into those that run and those that are skipped.

    Args:
        policy: What becomes of misfires.
        due: Fire times at or before `now`, ascending; read once, never held as a whole.
        now: The instant of planning.
        grace: How late still counts as on time. None: a minute under `none`, otherwise nothing, so that
            under `latest` a backlog always becomes one run.
        limit: How many misfires `all` lets through.
    """
    if grace is None:
        grace = GRACE_WITHOUT_CATCH_UP if policy is CatchUp.NONE else timedelta(0)
    keep = {CatchUp.NONE: 0, CatchUp.LATEST: 1, CatchUp.ALL: limit}[policy]
    on_time: list[datetime] = []
    kept: deque[datetime] = deque()
    first: datetime | None = None
    last: datetime | None = None
    count = 0
    for fire_at in due:
        if now - fire_at <= grace:
            on_time.append(fire_at)
            continue
        kept.append(fire_at)
        if len(kept) > keep:
            last = kept.popleft()
            first = first or last
            count += 1
    if policy is CatchUp.LATEST and on_time and kept:
        last = kept.popleft()
        first = first or last
        count += 1
    skipped: list[Skipped] = []
    if first is not None and last is not None:
        reason = "catch_up_limit" if policy is CatchUp.ALL else "misfire"
        skipped.append(Skipped(first, last, count, reason))
    return Due([*kept, *on_time], skipped)
