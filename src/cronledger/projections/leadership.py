"""Who led when: one row for each term."""

from __future__ import annotations

from itertools import pairwise

import msgspec
from sqlalchemy import Connection, select

from cronledger.domain import leadership
from cronledger.domain.events import LeaderElected, LeaderResigned, Recorded
from cronledger.domain.leadership import TermState
from cronledger.projections.projection import Projection
from cronledger.projections.rows import Key
from cronledger.projections.tables import LEADERSHIP


def _term(recorded: Recorded) -> Key | None:
    return None if recorded.term is None else (recorded.term,)


PROJECTION = Projection(
    name="leadership",
    version=1,
    rows=LEADERSHIP,
    key=_term,
    evolve=leadership.evolve,
    bodies=frozenset({LeaderElected, LeaderResigned}),
)


def terms(connection: Connection, limit: int) -> list[TermState]:
    """Return the newest terms, newest first; a term that nobody ended was ended by the next."""
    statement = LEADERSHIP.select().order_by(LEADERSHIP.table.c.term.desc()).limit(limit)
    newest = LEADERSHIP.read(connection, statement)
    return newest[:1] + [_superseded(term, later) for later, term in pairwise(newest)]


def known_builds(connection: Connection) -> frozenset[str]:
    """Return the builds that have led before."""
    return frozenset(connection.execute(select(LEADERSHIP.table.c.build).distinct()).scalars())


def _superseded(term: TermState, later: TermState) -> TermState:
    if term.ended_at is not None:
        return term
    return msgspec.structs.replace(term, ended_at=later.elected_at, ended_by="superseded")
