"""Another history: what an election has to record if the database is not the one of the last election.

After an asynchronous failover, and in a restored backup, the newest commits of the earlier history may be
missing. A fire time without a decision may have run there. Jobs that are not idempotent forgo it; the skip
says so, in the same append as the election, so that no leader in between can decide otherwise.
"""

from __future__ import annotations

import logging

from cronledger.domain import events as e
from cronledger.domain import job
from cronledger.domain.ids import LEDGER, Position, RunId, job_stream
from cronledger.engine.board import Board
from cronledger.engine.world import World
from cronledger.errors import LedgerRegressed
from cronledger.ledger.api import Head, Item, Write

log = logging.getLogger("cronledger.leader")
ACTOR = e.Actor.engine("leader")


async def changes(world: World, board: Board, head: Head) -> tuple[Write, ...]:
    """Return what is to be recorded with an election: nothing while the history is the same."""
    previous = await world.last_lineage()
    if not previous or previous == head.lineage:
        return ()
    log.warning("the database's history has changed from %s to %s", previous, head.lineage)
    body = e.LineageChanged(previous=previous, current=head.lineage)
    told = Write(LEDGER, (e.Event(body=body, actor=ACTOR),), expected=None)
    forgone = ((state, job.forgo(state, head.clock)) for state in board.jobs.values())
    skips = (Write(job_stream(state.name), each, expected=state.version) for state, each in forgone if each)
    return (told, *skips)


async def record_loss(world: World, error: LedgerRegressed, runs: tuple[RunId, ...]) -> None:
    """Record that an event is gone which this instance had been told is durable, and its runs under way."""
    body = e.LedgerRegressed(position=Position(error.position), id=error.event_id, runs=runs)
    event = e.Event(body=body, actor=e.Actor.engine("instance"))
    await world.append(Item((Write(LEDGER, (event,), expected=None),)))
