"""Who may plan: terms, leases, and how long a leader may trust its last renewal.

    candidate --take over: lock held, or lease run out--> leader --renew, at a third of the lease--> leader
                                                            |-- later term, lock gone, trust over--> candidate
                                                            +-- shutdown: resign ------------------> gone

The lock makes a change of leader fast, the lease bounds it when a leader stalls, the term makes it safe:
every append of a leader claims its term under the head and is refused once a later one has begun. So a
leader that has not noticed its end can do no harm, whatever the lock and the clocks say.

The trust window: a renewal was *sent* at boot time s, so the ledger began the lease at s or later, and it
ends at s + lease or later. The leader therefore acts only until s + lease - margin, by a clock that also
runs while the machine sleeps.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from cronledger.domain import events as e
from cronledger.domain.ids import InstanceId, Term


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """How long a leader is believed without a sign, how often it gives one, and when it stops itself."""

    seconds: float = 10.0
    renew_seconds: float = 3.0
    margin_seconds: float = 1.0

    @property
    def duration(self) -> timedelta:
        """The lease as the ledger counts it."""
        return timedelta(seconds=self.seconds)


class TermState(msgspec.Struct, frozen=True, kw_only=True):
    """One reign: a row of the history of leadership."""

    term: Term
    leader: InstanceId
    elected_at: datetime
    epoch: int
    why: str = ""
    build: str = ""
    session: int | None = None
    previous: InstanceId | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None


def trusted_until(sent_at: float, lease: Lease) -> float:
    """Return until when, in boot-time seconds, a leader may act on a renewal sent at `sent_at`."""
    return sent_at + lease.seconds - lease.margin_seconds


def is_vacant(*, leader: InstanceId | None, lease_until: datetime | None, clock: datetime) -> bool:
    """Whether nobody leads, or the lease of whoever did has run out."""
    return leader is None or lease_until is None or lease_until < clock


def opens_epoch(*, epoch: int, living: frozenset[int], known_builds: frozenset[str], build: str) -> bool:
    """Whether a new term begins a new boot: nobody alive carries the current epoch, or the build is new."""
    return epoch == 0 or epoch not in living or build not in known_builds


def evolve(current: TermState | None, recorded: e.Recorded) -> TermState | None:
    """Fold one event of the leader's stream into the reign it belongs to."""
    body = recorded.body
    if isinstance(body, e.LeaderElected) and recorded.term is not None:
        return TermState(
            term=recorded.term,
            leader=recorded.instance,
            elected_at=recorded.recorded_at,
            epoch=body.epoch,
            why=body.why,
            build=body.build,
            session=body.session,
            previous=body.previous,
        )
    if isinstance(body, e.LeaderResigned) and current is not None:
        return msgspec.structs.replace(current, ended_at=recorded.recorded_at, ended_by="resigned")
    return current
