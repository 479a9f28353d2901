"""Claims without an answer: runs that the ledger says this instance performs, and that nobody performs.

A connection can break after the commit and before the reply. Asked again, the ledger says `Same`, unless a
later term has begun in between: then it says `Fenced`, though the claim stands. Nobody else may touch such a
run while this instance lives, and its code has not begun, so this instance performs it.
"""

from __future__ import annotations

from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.ids import Position, RunId
from cronledger.domain.run import Phase, RunState
from cronledger.engine.board import Board
from cronledger.engine.world import World


async def unperformed(
    world: World, board: Board, performed: frozenset[RunId]
) -> list[tuple[RunState, Position]]:
    """Return the runs claimed here that are not among those performed, each with its fence.

    `performed` must have been noted before the board was brought up to the head: what ended since then is
    in the set, and what ended before is no longer running on the board.
    """
    claimed = [
        state.run_id
        for state in board.runs.values()
        if state.phase is Phase.RUNNING and state.instance == world.instance and state.run_id not in performed
    ]
    found = []
    for run_id in claimed:
        state: RunState | None = None
        fence = Position(0)
        for recorded in await world.stream_of(run_id):
            state = run.evolve(state, recorded)
            if isinstance(recorded.body, e.RunStarted):
                fence = recorded.position
        if state is not None and state.phase is Phase.RUNNING and state.instance == world.instance:
            found.append((state, fence))
    return found
