"""Recovery: the leader ends or hands on what nobody is looking after.

A run whose instance is dead is lost; a waiting run that somebody cancelled ends; a run that no living
instance has been able to claim for too long ends too. One run's refusal does not hold up the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import InstanceId, Term, run_stream
from cronledger.domain.run import Phase, RunState
from cronledger.engine.board import Board
from cronledger.engine.world import World
from cronledger.errors import Fenced
from cronledger.ledger.api import Item, Write

ACTOR = e.Actor.engine("recovery")


async def tick(world: World, board: Board, now: datetime, term: Term) -> None:
    """Decide every run that waits in vain or has lost its instance. Raises Fenced once the term is over."""
    decided: list[tuple[RunState, Sequence[e.Event]]] = []
    living: frozenset[str] | None = None
    for state in board.runs.values():
        known = board.jobs.get(state.job)
        definition = known.definition if known else None
        if state.phase is Phase.WAITING:
            decided.append(
                (state, run.cancel_waiting(state, ACTOR) or run.expire(state, definition, now, ACTOR))
            )
        elif state.instance != world.instance:
            if living is None:
                living = frozenset(each.id for each in await world.instances() if not each.is_dead)
            if _is_lost(state.instance, living):
                decided.append((state, run.lose(state, definition or JobDefinition(name=state.job), ACTOR)))
    items = [
        Item((Write(run_stream(state.run_id), tuple(events), expected=state.version),), fence=term)
        for state, events in decided
        if events
    ]
    for answer in await world.submit(items) if items else []:
        if isinstance(answer, Fenced):
            raise answer


def _is_lost(instance: InstanceId | None, living: frozenset[str]) -> bool:
    """Whether the instance that claimed a run is gone: its row is, or its own lock is free."""
    return instance is None or instance not in living
