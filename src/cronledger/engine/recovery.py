"""Recovery: the leader ends or hands on what nobody is looking after.

A run whose instance is dead is lost; a waiting run that somebody cancelled ends, and one that waits for an
instance that is gone; a run that no living instance provides ends too after a while. One run's refusal does
not hold up the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import InstanceId, Term, run_stream
from cronledger.domain.run import Phase, RunState
from cronledger.engine.board import Board
from cronledger.engine.world import Instance, World
from cronledger.errors import Fenced
from cronledger.ledger.api import Item, Write

ACTOR = e.Actor.engine("recovery")

UNTIL_REGISTERED = timedelta(seconds=30)
"""So soon a process that has triggered a run for itself is on the list of instances."""
FORGET_SECONDS = 600.0
FORGOTTEN_AFTER = timedelta(days=1)
"""How long an instance that went without a goodbye stays in the list of instances."""


class Recovery:
    """What the leader does about those that nobody looks after."""

    def __init__(self, world: World, board: Board) -> None:
        self._world = world
        self._board = board
        self._forget_at = world.clock.monotonic() + FORGET_SECONDS

    @property
    def is_asked(self) -> bool:
        """Whether somebody waits for a run to end that nobody performs."""
        return any(state.cancel_requested for state in self._board.waiting.values())

    async def tick(self, now: datetime, term: Term) -> None:
        """Decide every run that waits in vain or has lost its instance; Fenced once the term is over."""
        items = [
            Item((Write(run_stream(state.run_id), tuple(events), expected=state.version),), fence=term)
            for state, events in await self._decided(now)
            if events
        ]
        for answer in await self._world.submit(items) if items else []:
            if isinstance(answer, Fenced):
                raise answer
        elapsed = self._world.clock.monotonic()
        if elapsed >= self._forget_at:
            self._forget_at = elapsed + FORGET_SECONDS
            await self._forget(now)

    async def _decided(self, now: datetime) -> list[tuple[RunState, Sequence[e.Event]]]:
        decided: list[tuple[RunState, Sequence[e.Event]]] = []
        living: list[Instance] | None = None  # read once, and only if a run depends on it
        for state in self._board.runs.values():
            known = self._board.jobs.get(state.job)
            definition = known.definition if known else None
            if state.phase is Phase.WAITING:
                ended = run.cancel_waiting(state, ACTOR)
                if not ended and state.bound_to and now >= state.triggered_at + UNTIL_REGISTERED:
                    living = await self._living() if living is None else living
                    if _is_gone(state.bound_to, living):
                        ended = run.withdraw(state, ACTOR, f"instance {state.bound_to} is gone")
                if not ended and (known is None or not known.running):  # else it stands in line
                    free_since = known.last_ended_at if known else None
                    ended = run.expire(state, definition, now, ACTOR, free_since=free_since)
                    if ended:
                        living = await self._living() if living is None else living
                        ended = [] if _waits_its_turn(state, living) else ended
                decided.append((state, ended))
            elif state.instance != self._world.instance:
                living = await self._living() if living is None else living
                if _is_gone(state.instance, living):
                    known_as = definition or JobDefinition(name=state.job)
                    decided.append((state, run.lose(state, known_as, ACTOR, now=now)))
        return decided

    async def _living(self) -> list[Instance]:
        return [each for each in await self._world.instances() if not each.is_dead]

    async def _forget(self, now: datetime) -> None:
        """Take those off the list of instances that have been dead for so long that nobody looks for them."""
        gone = [
            each.id
            for each in await self._world.instances()
            if each.is_dead and each.beat_at is not None and each.beat_at < now - FORGOTTEN_AFTER
        ]
        if gone:
            await self._world.forget(gone)


def _waits_its_turn(state: RunState, living: Sequence[Instance]) -> bool:
    """Whether it is for a place that a run waits: somebody alive could perform it."""
    return any(
        state.job in each.jobs
        and (each.kind == "service" if state.bound_to is None else each.id == state.bound_to)
        for each in living
    )


def _is_gone(instance: InstanceId | None, living: Sequence[Instance]) -> bool:
    """Whether the instance of a run is gone: its row is, or it is dead."""
    return all(each.id != instance for each in living)
