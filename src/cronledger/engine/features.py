"""New ways of writing are used once every living instance knows them.

An instance lists the features it knows in its row. The leader appends `feature.enabled` when all rows list
one; from that event on, and no earlier, the code that needs it may write what older versions would not
understand: it asks `name in board.features`. A feature that is enabled stays so.
"""

from __future__ import annotations

import logging

from cronledger.domain import events as e
from cronledger.domain.ids import CONFIG, Term
from cronledger.engine.board import Board
from cronledger.engine.world import World
from cronledger.ledger.api import Item, Write

log = logging.getLogger("cronledger.engine")
ACTOR = e.Actor.engine("features")

FEATURES: frozenset[str] = frozenset()
"""The features that this version knows. The first version writes nothing that an older one could miss."""


async def tick(world: World, board: Board, known: frozenset[str], term: Term) -> None:
    """Enable, as the leader, what every living instance knows."""
    wanted = known - board.features
    if not wanted:
        return
    living = [each for each in await world.instances() if not each.is_dead]
    for name in sorted(wanted):
        if all(name in each.features for each in living):
            event = e.Event(body=e.FeatureEnabled(name=name), actor=ACTOR)
            await world.append(Item((Write(CONFIG, (event,), expected=None),), fence=term))
            log.info("feature %s is enabled: all %s living instances know it", name, len(living))
            await board.follow(world)
