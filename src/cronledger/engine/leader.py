"""Leading: standing for election, renewing the lease, stopping in time.

`term` is what every append of the leader claims, and None while this instance does not lead.

    candidate ── holds the lock, or no lease runs: takeover, term + 1 ─────────────> leader
    leader    ── every `renew_seconds`: the lease is prolonged, under the term ────> leader
    leader    ── a later term has begun, the lock is gone, trust has run out ──────> candidate
    leader    ── the loop is blocked: the watchdog resigns in its place ───────────> candidate, once it wakes
    leader    ── told to stop: resign, end the lease, free the lock, then drain ───> gone

Three things, each for one purpose. The *lock* frees itself when its holder dies, so the next one leads within
moments. The *lease*, by the ledger's clock, runs out when the leader stalls and keeps the lock. The *term* is
what makes it safe: it stands in the head that orders all appends, and an append under an earlier one is
refused. So a wrong belief costs time and nothing else, and none of the clocks below has to be right.

Trust. A renewal that was *sent* at boot time s begins a lease of L at s or later. The leader acts until

    s + L - m        (`lease.seconds`, `lease.margin_seconds`; 10 and 1)

by CLOCK_BOOTTIME: CLOCK_MONOTONIC stands still while a machine sleeps, the wall clock can be set. The lease
ends at s + L or later, so a leader has stopped before another one may begin by the lease alone. After the
lock was freed, or when clocks run at different rates, two may believe that they lead; one of them is fenced.

    fault                          who notices                            others lead within
    the leader dies                its lock is free                       2 s
    told to stop                   the leader itself, before it drains    1 s
    its loop is blocked            its watchdog, after 5 s                7 s
    stopped, paused, partitioned   the lease, or the idle session, ends   L + 2 s: a second of patience with
    a job holds the interpreter    the lease, or the idle session, ends   who holds the lock, one of looking
    the database is away           nobody may append                      2 s after it answers again
    the machine slept              trust has run out on waking            it stands again itself
    a wall clock is set            fires by the ledger's clock only,      no need: the term goes on
                                   and the step is recorded
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from cronledger.domain import events as e
from cronledger.domain.ids import LEADER, Term
from cronledger.domain.leadership import Lease, opens_epoch, trusted_until
from cronledger.engine import lineage
from cronledger.engine.board import Board
from cronledger.engine.world import World
from cronledger.errors import Conflict, Fenced, Led, Outdated
from cronledger.ledger.api import Head, Item, Takeover, Write

log = logging.getLogger("cronledger.leader")
ACTOR = e.Actor.engine("leader")
PATIENCE_SECONDS = 1.0
SHORTEST_WAIT = 0.05


class Leader:
    """Whether this instance leads, and until when it may believe so."""

    def __init__(self, world: World, lease: Lease, board: Board) -> None:
        self._world = world
        self._board = board
        self._lease = lease
        self.term: Term | None = None
        self._trusted_until = 0.0
        self._renew_at = 0.0
        self._vacant_since: float | None = None
        self._chance_at = math.inf
        self._lineage = ""
        self._had_lock = False  # a term that was won by an expired lease is led without the lock
        self._on_lock_change: Callable[[], None] = lambda: None
        self._let_go = False

    @property
    def seconds_to_chance(self) -> float:
        """How long until this instance may be able to stand: a lease runs out, or patience does."""
        return max(SHORTEST_WAIT, self._chance_at - self._world.clock.boottime())

    def contend(self, on_lock_change: Callable[[], None]) -> None:
        """Contend for the lock; `on_lock_change` is called, from any thread, when it comes or goes."""
        self._on_lock_change = on_lock_change
        self._world.leader_lock.contend(on_lock_change)

    def let_go(self) -> Term | None:
        """Learn, from any thread, that leadership is given up; return the term that ends so."""
        term = self.term  # before the loop is told, for it may begin another one then
        self._let_go = True
        return term

    async def look(self) -> Head:
        """Return the head of the ledger; a renewal of the lease, when it is due, tells it as well."""
        boottime = self._world.clock.boottime()
        term = self.term
        if term is None or self._let_go or not self._renew_at <= boottime <= self._trusted_until:
            return await self._world.head()
        try:
            head = await self._world.renew(term, self._lease.duration)
        except Fenced:
            self.step_down("a later term has begun")
            return await self._world.head()
        self._had_lock = self._had_lock or self._world.leader_lock.held
        self._trust(boottime)
        return head

    async def tick(self, head: Head) -> bool:
        """Step down or stand for election; return whether a new term has just begun here."""
        if self._let_go:
            self._let_go = False
            if self.term is not None:
                self.step_down("the event loop was blocked")
            self._world.leader_lock.contend(self._on_lock_change)
        if self.term is None:
            return await self._stand(head)
        boottime = self._world.clock.boottime()
        if (head.term, head.leader) != (self.term, self._world.instance):
            self.step_down("a later term has begun")
        elif head.lineage != self._lineage:
            self.step_down("the database's history has changed")
        elif self._had_lock and not self._world.leader_lock.held:
            self.step_down("the lock is gone")
        elif boottime > self._trusted_until:
            self.step_down("the lease could not be renewed in time")
        return False

    def step_down(self, why: str) -> None:
        """Stop leading at once; the ledger refuses what may still be under way."""
        log.warning("term %s: this instance no longer leads: %s", self.term, why)
        self.term = None

    async def resign(self, reason: str) -> None:
        """Give leadership up so that another instance can lead at once."""
        term, self.term = self.term, None
        self._chance_at = math.inf
        try:
            if term is not None:
                event = e.Event(body=e.LeaderResigned(reason=reason), actor=ACTOR)
                with suppress(Outdated):  # then it goes without a word: only newer versions may append
                    await self._world.append(Item((Write(LEADER, (event,), expected=None),), fence=term))
                await self._world.renew(term, timedelta(0))
        except Fenced:
            log.info("term %s was already over", term)
        finally:
            # Also if the ledger does not hear the goodbye: whoever is heard shall lead.
            await self._world.release_lock()

    async def _stand(self, head: Head) -> bool:
        lock = self._world.leader_lock
        have_lock = lock.held
        if not self._may_stand(head, have_lock=have_lock):
            return False
        epoch = await self._epoch(head)
        why = "lock" if have_lock else "lease"
        body = e.LeaderElected(
            epoch=epoch,
            why=why,
            previous=head.leader,
            build=self._world.build,
            session=lock.session,
            lineage=head.lineage,
        )
        takeover = Takeover(self._world.instance, self._lease.duration, epoch, force=have_lock)
        write = Write(LEADER, (e.Event(body=body, actor=ACTOR),), expected=None)
        writes = (write, *await lineage.changes(self._world, self._board, head))
        sent_at = self._world.clock.boottime()
        try:
            await self._world.append(Item(writes, fence=head.term, takeover=takeover))
        except (Fenced, Led, Conflict):
            return False
        self.term, self._chance_at = Term(head.term + 1), math.inf
        self._lineage = head.lineage
        self._had_lock = have_lock
        self._trust(sent_at)
        log.info("term %s: this instance leads (epoch %s, by %s)", self.term, epoch, why)
        return True

    def _may_stand(self, head: Head, *, have_lock: bool) -> bool:
        """Whether to stand now: of a vacant ledger, whoever holds the lock is let stand first."""
        boottime = self._world.clock.boottime()
        if have_lock or head.is_vacant:
            self._vacant_since = boottime if self._vacant_since is None else self._vacant_since
            self._chance_at = self._vacant_since + PATIENCE_SECONDS
            return have_lock or boottime >= self._chance_at
        assert head.lease_until is not None
        self._vacant_since = None
        self._chance_at = boottime + (head.lease_until - head.clock).total_seconds()
        return False

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
