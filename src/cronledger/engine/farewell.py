"""How long an instance that ends may take: its runs their time, and what there is to say a few seconds.

    told to end       the last pass has 5 s, the runs have `drain_seconds`
    runs have ended   3.5 s for what is left to say, counted from `drain_seconds` at the latest
    told again        the runs are handed back now, and 1 s is left for what there is to say

One deadline stands over all of it: what the ledger has not heard by then stays unsaid, and a call to the
database that has not come back is left behind. So 25 s for the runs fit into the 30 s of a service manager.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from cronledger.engine.leader import Leader
from cronledger.engine.world import World
from cronledger.errors import LedgerUnreachable
from cronledger.jobs.calling import PATIENCE_SECONDS

log = logging.getLogger("cronledger.engine")
LAST_PASS_SECONDS = 5.0
GOODBYE_SECONDS = 3.0
FAREWELL_SECONDS = 3.5
FLUSH_SECONDS = 1.0
LEAST_SECONDS = 0.2
"""What is done for good must at least have begun: it ends by itself."""


class Farewell:
    """The scopes of an instance's end; `passes` and `runs` are entered by the engine's loop."""

    def __init__(self) -> None:
        self.passes = anyio.CancelScope()
        self.runs = anyio.CancelScope()
        self.was_cut_short = False
        """Whether something was left behind that had not come back in time."""
        self._until = math.inf
        self._words: anyio.CancelScope | None = None

    def begin(self, drain_seconds: float) -> None:
        """Count from now; asked again, only what is sooner counts."""
        now = anyio.current_time()
        self._end_by(now + drain_seconds + FAREWELL_SECONDS)
        self.passes.deadline = min(self.passes.deadline, now + LAST_PASS_SECONDS, self._until)
        self.runs.deadline = min(self.runs.deadline, now + drain_seconds)

    def runs_have_ended(self) -> None:
        """Leave only what is to be said."""
        self._end_by(anyio.current_time() + FAREWELL_SECONDS)

    def hurry(self, *, runs: bool) -> None:
        """Wait no longer; `runs`: there are some, whose code may take its moment to stop."""
        now = anyio.current_time()
        self.passes.deadline = min(self.passes.deadline, now + FLUSH_SECONDS)
        self.runs.cancel()
        self._end_by(now + FLUSH_SECONDS + (PATIENCE_SECONDS if runs else 0.0))

    @contextmanager
    def words(self) -> Iterator[None]:
        """Say something, as far as the time reaches, whatever else is cancelled."""
        least = anyio.current_time() + LEAST_SECONDS
        with anyio.CancelScope(shield=True, deadline=max(self._until, least)) as words:
            self._words = words
            yield
        self.was_cut_short |= words.cancelled_caught

    def _end_by(self, until: float) -> None:
        self._until = min(self._until, until)
        if self._words is not None:
            self._words.deadline = min(self._words.deadline, self._until)


async def hand_over(leader: Leader, world: World, reason: str) -> bool:
    """Let others lead and claim what is left; whether the ledger has heard of it."""
    try:
        with anyio.move_on_after(GOODBYE_SECONDS) as limit:
            await leader.resign(reason)
            await world.beat(state="draining")
    except LedgerUnreachable as error:
        log.warning("the ledger did not hear that this instance drains: %s", error)
        return False
    return not limit.cancelled_caught
