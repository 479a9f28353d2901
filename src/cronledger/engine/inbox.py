"""The inbox: the leader makes runs of what applications asked for in their own transactions.

Rows are read in order, a bounded number at a time; the runs are appended under the leader's term; then the
rows are removed. Whoever takes over in between finds rows whose runs exist, and only removes them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from cronledger.domain.ids import JobName, Position, RunId, Term, run_stream
from cronledger.domain.overlap import Overlap
from cronledger.domain.requests import SEQUENCER, Requested, sequence
from cronledger.engine.board import Board
from cronledger.engine.world import World
from cronledger.errors import Fenced
from cronledger.ledger.api import Appended, Item, Quiet, Same, Write

log = logging.getLogger("cronledger.engine")
REQUESTS_AT_ONCE = 250


class Inbox:
    """What the leader does about requests that wait."""

    def __init__(self, world: World, board: Board) -> None:
        self._world = world
        self._board = board

    async def tick(self, term: Term) -> bool:
        """Make the oldest requests history; return whether to look again at once. Raises Fenced."""
        requests = await self._world.requests(REQUESTS_AT_ONCE)
        known = await self._world.known_runs({each.run_id for each in requests})
        by_job: dict[JobName, dict[RunId, Requested]] = {}
        for request in requests:
            if not request.can_be_named:
                log.error(
                    "a row of the inbox was removed: no run can be named after id %.80r and job %.80r",
                    request.id, request.job,
                )  # fmt: skip
            elif request.run_id not in known:
                by_job.setdefault(request.job, {}).setdefault(request.run_id, request)
        asked = [self._item(name, list(wanted.values()), term) for name, wanted in by_job.items()]
        refused: set[JobName] = set()
        for name, answer in zip(by_job, await self._world.submit(asked), strict=True):
            if isinstance(answer, Fenced):
                raise answer
            if not isinstance(answer, Appended | Same):
                refused.add(name)  # something has happened to the job since the board was folded
        await self._world.remove_requests([each.id for each in requests if each.job not in refused])
        return bool(requests)

    def _item(self, name: JobName, requests: Sequence[Requested], term: Term) -> Item:
        """Ask for all runs of one job, guarded by what was known of it."""
        state = self._board.jobs.get(name)
        decided = sequence(state, requests)
        quiet: Quiet | None = Quiet(name, state.position if state else Position(0))
        if state and state.definition and state.definition.overlap is Overlap.ALLOW:
            quiet = None
        writes = [
            Write(run_stream(request.run_id), events, quiet_since=None if number else quiet)
            for number, (request, events) in enumerate(zip(requests, decided.runs, strict=True))
        ]
        writes += self._board.cancels(decided.replaced, SEQUENCER, "replaced by a manual run")
        return Item(tuple(writes), fence=term)
