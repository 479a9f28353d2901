"""What the leader need not do at once: look for lost runs, keep the views near the head.

Each chore is done about once a second while there is something to do, and costs nothing while there is not:
the views are brought up only to a head that has moved since, and recovery asks only about runs of others.
"""

from __future__ import annotations

import math
from datetime import datetime

from anyio.abc import TaskGroup

from cronledger.domain.ids import Position, Term
from cronledger.engine import features
from cronledger.engine.board import Board
from cronledger.engine.recovery import Recovery
from cronledger.engine.world import World

RECOVERY_SECONDS = 1.0
PROJECTION_SECONDS = 1.0


class Chores:
    """When what is due."""

    def __init__(self, world: World, board: Board) -> None:
        self._world = world
        self._board = board
        self._recovery = Recovery(world, board)
        self._recover_at = 0.0
        self._project_at = 0.0
        self._projected: Position | None = None

    async def tick(self, now: datetime, term: Term, known: frozenset[str], tasks: TaskGroup) -> None:
        """Do what is due; `known` are the features of this version. Raises Fenced once the term is over."""
        elapsed = self._world.clock.monotonic()
        if elapsed >= self._recover_at or self._recovery.is_asked:
            self._recover_at = elapsed + RECOVERY_SECONDS
            await self._recovery.tick(now, term)
            await features.tick(self._world, self._board, known, term)
        if elapsed >= self._project_at and self._projected != self._board.position:
            self._project_at = math.inf
            tasks.start_soon(self._project)

    async def _project(self) -> None:
        """Bring the views up beside the loop: over a slow way that takes longer than a renewal."""
        position = self._board.position
        is_done = await self._world.project()
        self._projected = position if is_done else None
        self._project_at = self._world.clock.monotonic() + PROJECTION_SECONDS
