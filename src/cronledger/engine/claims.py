"""Claims that stand in the ledger: the runs they begin, and those whose answer never arrived.

A connection can break after the commit and before the reply. Asked again, the ledger says `Same`, unless a
later term has begun in between: then it says `Fenced`, though the claim stands. Nobody else may touch such a
run while this instance lives, and its code has not begun, so this instance performs it, or hands it back when
it ends.
"""

from __future__ import annotations

from datetime import datetime

from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.ids import InstanceId, Position, RunId, run_stream
from cronledger.domain.run import Phase, RunState
from cronledger.engine.board import Board
from cronledger.engine.world import World
from cronledger.ledger.api import Appended, Item, Same, Write


def claimed(state: RunState, answer: Appended | Same, instance: InstanceId) -> RunState:
    """Return a waiting run as its claim by this instance has made it."""
    at, version, attempt = answer.recorded_at, state.version + 1, state.attempt + 1
    return run.started(state, instance, at, version=version, attempt=attempt)


def triggered(event: e.Event, position: Position, recorded_at: datetime, instance: InstanceId) -> RunState:
    """Return a run that was triggered, at a position, and claimed in one append."""
    assert event.run_id is not None
    assert event.job is not None
    assert isinstance(event.body, e.RunTriggered)
    return RunState(
        run_id=event.run_id,
        job=event.job,
        cause=e.Cause.SCHEDULE,
        position=position,
        version=2,
        phase=Phase.RUNNING,
        triggered_at=recorded_at,
        fire_at=event.fire_at,
        started_at=recorded_at,
        attempt=1,
        instance=instance,
        parameters=event.body.parameters,
    )


async def unperformed(
    world: World, board: Board, performed: frozenset[RunId]
) -> list[tuple[RunState, Position]]:
    """Return the runs claimed here that are not among those performed, each with its fence.

    `performed` must have been noted before the board was brought up to the head: what ended since then is
    in the set, and what ended before is no longer running on the board.
    """
    found = []
    for claim in _not_among(performed, world, board):
        stream = await world.stream_of(claim.run_id)
        state = run.folded(stream)
        if state is not None and state.phase is Phase.RUNNING and state.instance == world.instance:
            fences = [each.position for each in stream if isinstance(each.body, e.RunStarted)]
            found.append((state, fences[-1]))
    return found


async def hand_back(world: World, board: Board, performed: frozenset[RunId]) -> None:
    """Let others claim the runs that are claimed here and not performed; `performed` is noted as above."""
    items = []
    for state in _not_among(performed, world, board):
        event = run.about(state, e.AttemptInterrupted(reason="drain"), run.CLAIMED)
        items.append(Item((Write(run_stream(state.run_id), (event,), expected=state.version),)))
    if items:
        await world.submit(items)


def _not_among(performed: frozenset[RunId], world: World, board: Board) -> list[RunState]:
    """Return the runs that are claimed here, as the board knows them, and are not among these."""
    return [
        state
        for state in board.runs.values()
        if state.phase is Phase.RUNNING and state.instance == world.instance and state.run_id not in performed
    ]
