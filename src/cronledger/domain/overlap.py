"""Whether a due run may join the runs of the same job that are still going.

The policy is asked once, when the fire time is planned, and the answer is recorded. A skipped fire time
stays skipped, even if the run that stood in its way ends a moment later.
"""

from __future__ import annotations

from enum import StrEnum


class Overlap(StrEnum):
    """How many runs of one job may be in flight at once, and what becomes of the others."""

    SKIP = "skip"
    """One; a fire time that finds it is skipped, and the skip is recorded."""
    QUEUE = "queue"
    """One runs, one may wait behind it; further fire times are skipped."""
    REPLACE = "replace"
    """One; a newer one asks it to stop and takes its place."""
    ALLOW = "allow"
    """Any number, up to `max_concurrent` at once; the others wait."""


def admit(policy: Overlap, due: int, *, in_flight: int) -> range:
    """Decide which of the `due` fire times, numbered oldest first, may be triggered.

    >>> list(admit(Overlap.SKIP, 3, in_flight=0)), list(admit(Overlap.REPLACE, 3, in_flight=1))
    ([0], [2])
    """
    match policy:
        case Overlap.ALLOW:
            return range(due)
        case Overlap.SKIP:
            return range(min(due, max(0, 1 - in_flight)))
        case Overlap.QUEUE:
            return range(min(due, max(0, 2 - in_flight)))
        case Overlap.REPLACE:
            return range(max(0, due - 1), due)


def may_start(policy: Overlap, *, running: int, max_concurrent: int | None) -> bool:
    """Whether a waiting run of the job may be claimed while `running` others are being performed."""
    if policy is Overlap.ALLOW:
        return max_concurrent is None or running < max_concurrent
    return running == 0
