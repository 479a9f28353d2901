"""Which revision of the configuration is current, and which ones have had their day.

A revision is *superseded* once another one has become current after it. When an operator makes one current,
that is a decision against every other revision the ledger has heard of by then, applied or only loaded: all
of them are superseded, and only files that are new to the ledger take the operator's revision away.
"""

from __future__ import annotations

import msgspec

from cronledger.domain import events as e
from cronledger.domain.actor import ActorKind


class Revisions(msgspec.Struct, frozen=True):
    """The fold of the configuration's stream.

    Attributes:
        current: The revision that the ledger's definitions follow.
        superseded: Those that do not come back by themselves.
        loaded: Those that instances have read from their files.
        by_operator: Whether the current one is an operator's decision.
    """

    current: str | None = None
    superseded: frozenset[str] = frozenset()
    loaded: frozenset[str] = frozenset()
    by_operator: bool = False

    def has_superseded(self, revision: str) -> bool:
        """Whether a revision has had its day.

        >>> Revisions("r2", frozenset({"r1"})).has_superseded("r1")
        True
        """
        return revision in self.superseded and revision != self.current


def evolve(revisions: Revisions, recorded: e.Recorded) -> Revisions:
    """Fold one event about the configuration; an erased one names no revision and changes nothing."""
    match recorded.body:
        case e.ConfigLoaded(revision=revision) if revision:
            return msgspec.structs.replace(revisions, loaded=revisions.loaded | {revision})
        case e.ConfigApplied(revision=revision) if revision:
            return _applied(revisions, revision, by_operator=recorded.actor.kind is ActorKind.OPERATOR)
        case _:
            return revisions


def _applied(before: Revisions, revision: str, *, by_operator: bool) -> Revisions:
    superseded = before.superseded | ({before.current} if before.current else set())
    if by_operator:
        superseded |= before.loaded
    return Revisions(
        current=revision,
        superseded=superseded - {revision},
        loaded=before.loaded | {revision},
        by_operator=by_operator,
    )
