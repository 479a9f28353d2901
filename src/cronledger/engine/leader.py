"""Leading: standing for election, renewing the lease, stopping in time.

The reasoning is in `cronledger.domain.leadership`; here is only the shell round it. `term` is what every
append of the leader claims, and None while this instance does not lead.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from cronledger.domain import events as e
from cronledger.domain.ids import LEADER, Term
from cronledger.domain.leadership import Lease, may_stand, opens_epoch, trusted_until
from cronledger.engine.world import World
from cronledger.errors import Fenced, Led
from cronledger.ledger.api import Head, Item, Takeover, Write

log = logging.getLogger("cronledger.leader")
ACTOR = e.Actor.engine("leader")
PATIENCE_SECONDS = 1.0


class Leader:
    """Whether this instance leads, and until when it may believe so."""

    def __init__(self, world: World, lease: Lease) -> None:
        self._world = world
        self._lease = lease
        self.term: Term | None = None
        self._trusted_until = 0.0
        self._renew_at = 0.0
        self._vacant_since: float | None = None
        self._had_lock = False  # a term that was won by an expired lease is led without the lock

    @property
    def renew_at(self) -> float:
        """When the lease is to be renewed next, in boot-time seconds."""
        return self._renew_at

    async def tick(self, head: Head) -> bool:
        """Renew, step down or stand for election; return whether a new term has just begun here."""
        if self.term is None:
            return await self._stand(head)
        boottime = self._world.clock.boottime()
        if head.term != self.term:
            self.step_down("a later term has begun")
        elif self._had_lock and not self._world.leader_lock.held:
            self.step_down("the lock is gone")
        elif boottime > self._trusted_until:
            self.step_down("the lease could not be renewed in time")
        elif boottime >= self._renew_at:
            await self._renew()
        return False

    def step_down(self, why: str) -> None:
        """Stop leading at once; the ledger refuses what may still be under way."""
        log.warning("term %s: this instance no longer leads: %s", self.term, why)
        self.term = None

    async def resign(self, reason: str) -> None:
        """Give leadership up so that another instance can lead at once."""
        term, self.term = self.term, None
        if term is not None:
            event = e.Event(body=e.LeaderResigned(reason=reason), actor=ACTOR)
            try:
                await self._world.append(Item((Write(LEADER, (event,), expected=None),), fence=term))
                await self._world.renew(term, timedelta(0))
            except Fenced:
                log.info("term %s was already over", term)
        self._world.leader_lock.release()

    async def _renew(self) -> None:
        sent_at = self._world.clock.boottime()
        term = self.term
        assert term is not None
        try:
            await self._world.renew(term, self._lease.duration)
        except Fenced:
            self.step_down("a later term has begun")
            return
        self._had_lock = self._had_lock or self._world.leader_lock.held
        self._trust(sent_at)

    async def _stand(self, head: Head) -> bool:
        lock = self._world.leader_lock
        have_lock = lock.held
        if not may_stand(
            have_lock=have_lock, leader=head.leader, lease_until=head.lease_until, clock=head.clock
        ):
            self._vacant_since = None
            return False
        if not have_lock and self._is_soon(self._world.clock.boottime()):
            return False
        sent_at = self._world.clock.boottime()
        epoch = await self._epoch(head)
        why = "lock" if have_lock else "lease"
        body = e.LeaderElected(
            epoch=epoch, why=why, previous=head.leader, build=self._world.build, session=lock.session
        )
        takeover = Takeover(self._world.instance, self._lease.duration, epoch, force=have_lock)
        write = Write(LEADER, (e.Event(body=body, actor=ACTOR),), expected=None)
        try:
            await self._world.append(Item((write,), fence=head.term, takeover=takeover))
        except (Fenced, Led):
            return False
        self.term = Term(head.term + 1)
        self._had_lock = have_lock
        self._trust(sent_at)
        log.info("term %s: this instance leads (epoch %s, by %s)", self.term, epoch, why)
        return True

    def _is_soon(self, boottime: float) -> bool:
        """Whether whoever holds the lock should still be given the time to stand first."""
        if self._vacant_since is None:
            self._vacant_since = boottime
        return boottime < self._vacant_since + PATIENCE_SECONDS

    async def _epoch(self, head: Head) -> int:
        living = [
            each for each in await self._world.instances() if not each.is_dead and each.kind == "service"
        ]
        opens = opens_epoch(
            epoch=head.epoch,
            living=frozenset(each.epoch for each in living if each.epoch is not None),
            known_builds=await self._world.known_builds(),
            build=self._world.build,
        )
        return head.term + 1 if opens else head.epoch

    def _trust(self, sent_at: float) -> None:
        self._trusted_until = trusted_until(sent_at, self._lease)
        self._renew_at = sent_at + self._lease.renew_seconds
