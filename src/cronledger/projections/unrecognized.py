"""Events that were folded past because their type is not known here: counted, so that nobody is misled."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from cronledger.domain.events import Recorded, Unrecognized
from cronledger.projections.projection import Projection
from cronledger.projections.rows import Key
from cronledger.projections.tables import UNRECOGNIZED, UnrecognizedType


def _type(recorded: Recorded) -> Key | None:
    return (recorded.type,) if isinstance(recorded.body, Unrecognized) else None


def _counted(before: UnrecognizedType | None, recorded: Recorded) -> UnrecognizedType:
    if before is None:
        position = recorded.position
        return UnrecognizedType(type=recorded.type, events=1, first_position=position, last_position=position)
    return msgspec.structs.replace(before, events=before.events + 1, last_position=recorded.position)


PROJECTION = Projection(name="unrecognized", version=1, rows=UNRECOGNIZED, key=_type, evolve=_counted)


def seen(connection: Connection) -> list[UnrecognizedType]:
    """Return the types that were folded past, by name."""
    return UNRECOGNIZED.read(connection, UNRECOGNIZED.select().order_by(UNRECOGNIZED.table.c.type))
