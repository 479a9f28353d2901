"""How an instance takes part: what it is for, and the limits it was given."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from cronledger.domain.ids import RunId
from cronledger.domain.leadership import Lease
from cronledger.engine import features
from cronledger.engine.foresight import MANY


class Kind(StrEnum):
    """What a process is for: to serve, or to perform one manual run and go."""

    SERVICE = "service"
    ONESHOT = "oneshot"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How this instance takes part.

    Attributes:
        look_seconds: The longest that the loop waits before it looks at the ledger unasked: wake-ups may be
            lost. Shorter than the pauses between renewals of the lease, which are looks as well. With
            1.3 an instance that has nothing to do says less than one thing a second to its database.
        many: So many jobs that are due at the same instant are decided about shortly before it.
    """

    kind: Kind = Kind.SERVICE
    enabled: bool = True
    max_runs: int = 100
    lease: Lease = Lease()
    look_seconds: float = 1.3
    many: int = MANY
    startup_wait_seconds: float = 300.0
    drain_seconds: float = 25.0
    only: frozenset[RunId] | None = None
    features: frozenset[str] = features.FEATURES
