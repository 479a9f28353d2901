"""What the leader need not do at once: look for lost runs, keep the views near the head.

Each chore is done about once a second while there is something to do, and costs nothing while there is not:
recovery asks only about runs of others, and the views are brought up only if there is something new, in the
middle between two seconds: fire times come at whole ones, and have the interpreter to themselves.
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


class Chores:
    """When what is due."""

    def __init__(self, world: World, board: Board) -> None:
        self._world = world
        self._board = board
        self._recovery = Recovery(world, board)
        self._recover_at = 0.0
        self._project_at = 0.0
        self._projected: Position | None = None
        self._is_projecting = False

    @property
    def seconds_to_views(self) -> float:
        """How long until the views are to be brought up; for ever if nothing is new, or it is being done."""
        return max(0.0, self._project_at - self._world.clock.monotonic())

    async def tick(self, now: datetime, term: Term, known: frozenset[str], tasks: TaskGroup) -> None:
        """Do what is due; `known` are the features of this version. Raises Fenced once the term is over."""
        elapsed = self._world.clock.monotonic()
        if elapsed >= self._recover_at or self._recovery.is_asked:
            self._recover_at = elapsed + RECOVERY_SECONDS
            await self._recovery.tick(now, term)
            await features.tick(self._world, self._board, known, term)
        if self._project_at == math.inf and not self._is_projecting:
            self._plan_views()
        if elapsed >= self._project_at:
            self._project_at, self._is_projecting = math.inf, True
            tasks.start_soon(self._project)

    async def _project(self) -> None:
        """Bring the views up beside the loop: over a slow way that takes longer than a renewal."""
        position = self._board.position
        is_done = await self._world.project()
        self._projected = position if is_done else None
        self._is_projecting = False
        self._plan_views()

    def _plan_views(self) -> None:
        """Say when the views are brought up next, if they are behind."""
        if self._projected != self._board.position:
            self._project_at = self._world.clock.monotonic() + _seconds_to_middle(self._world.now())


def _seconds_to_middle(now: datetime) -> float:
    """Return how long it is until the next half second.

    >>> from datetime import UTC
    >>> _seconds_to_middle(datetime(2026, 1, 1, 12, 0, 0, 250_000, UTC))
    0.25
    >>> _seconds_to_middle(datetime(2026, 1, 1, 12, 0, 0, 750_000, UTC))
    0.75
    """
    return (0.5 - now.microsecond / 1e6) % 1.0
