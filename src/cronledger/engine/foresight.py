"""What is decided shortly before its fire time, so that the fire time itself has less to do.

Of what lies between a fire time and the first line of a job, deciding and sealing events takes the longest.
Neither needs the fire time to have come. What was decided about a job counts as long as the job stands as it
stood; otherwise it is decided at the fire time, as everything is that nobody has looked at before.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from cronledger.domain.foresight import HOLDS
from cronledger.domain.ids import JobName
from cronledger.domain.job import Decision, JobState
from cronledger.ledger.api import Item, Prepared

AHEAD = timedelta(milliseconds=250)
"""How long before a fire time its decisions are made: after the views were brought up, in the middle between
two seconds, and most runs of the fire time before have ended."""
MANY = 50
"""Fewer jobs than these that are due at once are not worth an early look."""


class Decided(NamedTuple):
    """What was decided about a job, what is to be appended for it, and its next fire time after that."""

    state: JobState
    decision: Decision
    claims: bool
    item: Item
    next_at: datetime | None
    prepared: Prepared | None = None


class Foresight:
    """Decisions about one fire time that is still to come, or has just come."""

    def __init__(self) -> None:
        self.fire_at: datetime | None = None
        self._decided: dict[JobName, Decided] = {}

    def begin(self, fire_at: datetime | None) -> None:
        """Forget what is known, and begin with another fire time."""
        self.fire_at = fire_at
        self._decided.clear()

    def keep(self, decided: Decided) -> None:
        """Keep a decision about the fire time."""
        self._decided[decided.state.name] = decided

    def take(self, state: JobState, now: datetime) -> Decided | None:
        """Return, once, what was decided about a job, if that holds."""
        known = self._decided.pop(state.name, None)
        if known is None or known.state is not state:
            return None
        assert self.fire_at is not None
        return known if self.fire_at <= now <= self.fire_at + HOLDS else None
