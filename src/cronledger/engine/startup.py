"""Startup runs: once per boot of the cluster, or once in every process, before any fire time is planned.

Whether a job runs at start was resolved from code and configuration (the two-layer rule) and stands in its
definition. The run is named after the boot, so that a change of leader does not repeat it.
"""

from __future__ import annotations

from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.definition import JobDefinition, Startup
from cronledger.domain.ids import RunId, Term, run_stream, startup_run
from cronledger.domain.job import JobState
from cronledger.engine.board import Board
from cronledger.engine.definitions import Configuration
from cronledger.engine.world import World
from cronledger.errors import Conflict, Fenced
from cronledger.ledger.api import Item, Write

ACTOR = e.Actor.engine("startup")


def wanted(state: JobState | None, scope: Startup) -> JobDefinition | None:
    """Return the definition of a job that runs at start in this scope, by what the ledger says of it."""
    if state is None or state.definition is None or state.retired or not state.is_enabled:
        return None
    return state.definition if state.definition.startup is scope else None


async def trigger(world: World, board: Board, scope: Startup, term: Term | None) -> None:
    """Trigger every startup run of this boot that is not there yet. Raises Fenced once the term is over."""
    boot = board.epoch if scope is Startup.CLUSTER else world.instance
    items = []
    for state in board.jobs.values():
        definition = wanted(state, scope)
        if definition is None:
            continue
        run_id = startup_run(definition.name, boot)
        bound = world.instance if scope is Startup.INSTANCE else None
        event = run.trigger(definition, run_id, e.Cause.STARTUP, ACTOR, instance=bound)
        items.append(Item((Write(run_stream(run_id), (event,)),), fence=term))
    for answer in await world.submit(items) if items else []:
        if isinstance(answer, Fenced):
            raise answer
        assert not isinstance(answer, Exception) or isinstance(answer, Conflict), answer


def expected_runs(world: World, board: Board, configuration: Configuration) -> set[RunId] | None:
    """Return the startup runs that readiness waits for; None while that cannot be said yet."""
    if board.epoch == 0:
        return None
    names = set()
    for definition in configuration.definitions.values():
        if definition.startup is Startup.NEVER:
            continue
        state = board.jobs.get(definition.name)
        if state is None:
            return None
        if wanted(state, definition.startup) is not None:
            boot = board.epoch if definition.startup is Startup.CLUSTER else world.instance
            names.add(startup_run(definition.name, boot))
    return names


async def have_ended(world: World, board: Board, configuration: Configuration) -> bool:
    """Whether the startup runs of this boot have all ended, whatever their outcome."""
    expected = expected_runs(world, board, configuration)
    if expected is None:
        return False
    missing = expected - board.ended_startup
    if missing:
        known = await world.known_runs(missing - board.runs.keys())
        ended = {run_id for run_id, state in known.items() if state.phase is run.Phase.ENDED}
        board.ended_startup |= ended
        missing -= ended
    return not missing
