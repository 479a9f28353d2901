"""The leader's configuration becomes the cluster's: definitions are events.

A revision that a living instance has moved on from does not come back by a change of leader alone: while
somebody alive carries the ledger's current revision, a leader with a superseded file keeps the ledger's
definitions and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from cronledger.domain import events as e
from cronledger.domain import job
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import CONFIG, JobName, Term, job_stream
from cronledger.domain.job import JobState
from cronledger.engine.board import Board
from cronledger.engine.world import World
from cronledger.errors import Conflict
from cronledger.ledger.api import Item, Write

log = logging.getLogger("cronledger.config")
ACTOR = e.Actor.engine("config")
JOBS_PER_ITEM = 200


class Configuration:
    """The definitions this instance was started with, and their revision."""

    def __init__(self, definitions: Sequence[JobDefinition], revision: str) -> None:
        self.definitions = {definition.name: definition for definition in definitions}
        self.revision = revision

    async def apply(self, world: World, board: Board, term: Term) -> None:
        """Make this revision current, if it may."""
        if not await self._may_apply(world, board):
            return
        applied: list[e.Event] = []
        while changes := self._changes(board)[:JOBS_PER_ITEM]:
            try:
                await world.append(Item(tuple(write for write, _ in changes), fence=term))
                applied += [event for _, event in changes]
            except Conflict:
                log.info("a job was changed by an operator meanwhile; looking again")
            await board.follow(world)
        if applied or self.revision not in board.revisions[-1:]:
            await self._record(world, board, applied, term)
            await board.follow(world)

    async def _may_apply(self, world: World, board: Board) -> bool:
        current = board.revisions[-1] if board.revisions else None
        if self.revision == current or self.revision not in board.revisions:
            return True
        living = [each for each in await world.instances() if not each.is_dead and each.id != world.instance]
        holders = [each.id for each in living if each.config_revision == current]
        if holders:
            log.warning(
                "configuration %s was superseded by %s, which %s carries: the ledger's definitions stay",
                self.revision, current, holders[0],
            )  # fmt: skip
        return not holders

    def _changes(self, board: Board) -> list[tuple[Write, e.Event]]:
        events: list[tuple[JobState | None, JobName, e.Event]] = []
        for name, definition in self.definitions.items():
            state = board.jobs.get(name)
            events += [(state, name, event) for event in job.define(state, definition, self.revision)]
        for name, state in board.jobs.items():
            if name not in self.definitions:
                events += [(state, name, event) for event in job.retire(state, self.revision)]
        return [
            (Write(job_stream(name), (event,), expected=state.version if state else 0), event)
            for state, name, event in events
        ]

    async def _record(self, world: World, board: Board, events: list[e.Event], term: Term) -> None:
        def names(kind: type[e.Body]) -> tuple[JobName, ...]:
            return tuple(event.job for event in events if isinstance(event.body, kind) and event.job)[:100]

        body = e.ConfigApplied(
            revision=self.revision,
            previous=board.revisions[-1] if board.revisions else None,
            registered=names(e.JobRegistered),
            redefined=names(e.JobRedefined),
            retired=names(e.JobRetired),
        )
        event = e.Event(body=body, actor=ACTOR)
        await world.append(Item((Write(CONFIG, (event,), expected=None),), fence=term))
