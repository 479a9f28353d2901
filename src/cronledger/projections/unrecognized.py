"""Events that were folded past because their type is not known here: counted, so that nobody is misled."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from cronledger.domain.events import BODIES, Recorded, Unrecognized
from cronledger.projections.projection import Projection
from cronledger.projections.rows import Key
from cronledger.projections.tables import UNRECOGNIZED, UnrecognizedType


def _type(recorded: Recorded) -> Key:
    return (recorded.type,)


def _counted(before: UnrecognizedType | None, recorded: Recorded) -> UnrecognizedType:
    if before is None:
        position = recorded.position
        return UnrecognizedType(type=recorded.type, events=1, first_position=position, last_position=position)
    return msgspec.structs.replace(before, events=before.events + 1, last_position=recorded.position)


PROJECTION = Projection(
    name="unrecognized",
    version=len(BODIES),  # types are only ever added, and who knows more of them counts anew
    rows=UNRECOGNIZED,
    key=_type,
    evolve=_counted,
    bodies=frozenset({Unrecognized}),
)


def in_words(types: Sequence[UnrecognizedType]) -> str:
    """Say how much was folded past.

    >>> in_words([UnrecognizedType(type="job.dreamed", events=3, first_position=4, last_position=9)])
    '3 events of 1 unknown type were folded past: job.dreamed'
    """
    events = sum(each.events for each in types)
    names = ", ".join(each.type for each in types)
    said = f"{events} event{'' if events == 1 else 's'} of {len(types)} unknown type"
    return f"{said}{'' if len(types) == 1 else 's'} {'was' if events == 1 else 'were'} folded past: {names}"


def seen(connection: Connection) -> list[UnrecognizedType]:
    """Return the types that were folded past, by name."""
    return UNRECOGNIZED.read(connection, UNRECOGNIZED.select().order_by(UNRECOGNIZED.table.c.type))
