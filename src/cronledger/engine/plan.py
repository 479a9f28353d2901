"""How an instance takes part: what it is for, and the limits it was given."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from cronledger.domain.ids import RunId
from cronledger.domain.leadership import Lease
from cronledger.engine import features


class Kind(StrEnum):
    """What a process is for: to serve, or to perform one manual run and go."""

    SERVICE = "service"
    ONESHOT = "oneshot"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How this instance takes part."""

    kind: Kind = Kind.SERVICE
    enabled: bool = True
    max_runs: int = 100
    lease: Lease = Lease()
    startup_wait_seconds: float = 300.0
    drain_seconds: float = 25.0
    only: frozenset[RunId] | None = None
    features: frozenset[str] = features.FEATURES
