"""Planning: every fire time that has come is triggered or skipped, and both are recorded.

The domain decides; here is an agenda of next fire times, so that a wake-up looks at nothing that is not due,
and the append, one item per job: a job whose item conflicts is read and decided again, the others go on.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import anyio
import anyio.lowlevel

from cronledger.domain import events as e
from cronledger.domain import job, run
from cronledger.domain.foresight import foresee
from cronledger.domain.ids import JobName, Position, Term, job_stream, run_stream
from cronledger.domain.job import Decision, JobState
from cronledger.domain.overlap import Overlap
from cronledger.domain.schedule import unreadable
from cronledger.engine.agenda import Agenda
from cronledger.engine.board import Board
from cronledger.engine.foresight import AHEAD, MANY, Decided, Foresight
from cronledger.engine.world import Answers, World
from cronledger.errors import Early, Fenced
from cronledger.ledger.api import Appended, Item, Quiet, Same, Write

log = logging.getLogger("cronledger.engine")

CHUNK = 250
"""Jobs decided in one append: small enough that the first of a thousand need not wait for the last."""
JOBS_AT_ONCE = 8 * CHUNK
"""Jobs decided before the loop goes on: it has a lease to renew and claims to make, however many are due."""
CHUNK_SECONDS = 0.25
"""How long deciding may keep the loop; it is cut off between two jobs."""
SECONDS_AT_ONCE = 1.0
"""How long the planner decides before the loop goes on, as long as none of it waits for an answer."""
FORESEEN_AT_ONCE = 50
"""Jobs decided ahead before the loop goes on."""
EARLY_PAUSE = timedelta(milliseconds=5)

Claims = Callable[[JobState, int], bool]
Claimed = Callable[[e.Event, Position, datetime], None]
"""Told the trigger, the position where it stands, directly before its start, and when both were recorded."""


class _Asked(NamedTuple):
    """Decisions that were handed over, the answers to them, and how many slots they claim."""

    decided: list[Decided]
    answers: Answers
    claims: int


class Planner:
    """The agenda of all jobs, for the leader; `many` that are due at once are decided about before."""

    def __init__(self, world: World, board: Board, *, many: int = MANY) -> None:
        self._world = world
        self._board = board
        self._many = many
        self._agenda = Agenda()
        self._knows_jobs = False
        self._decided: dict[JobName, tuple[int, datetime | None]] = {}
        self._not_before: datetime | None = None
        self._foresight = Foresight()
        self._unreadable: set[tuple[JobName, str]] = set()

    def next_due(self) -> datetime | None:
        """Return the earliest instant at which there is something to decide, or to look ahead."""
        fire_at = self._agenda.next_instant()
        if fire_at and self._deserves_a_look(fire_at):
            return fire_at - AHEAD
        return max(fire_at, self._not_before) if fire_at and self._not_before else fire_at

    def begin(self) -> None:
        """Forget what was planned before, and learn the next fire time of every job: a term begins."""
        self._agenda = Agenda()
        self._foresight.begin(None)
        self._knows_jobs = False
        self._decided.clear()

    async def tick(self, now: datetime, term: Term, *, may_claim: Claims, claimed: Claimed) -> bool:
        """Decide what is due at `now`; return whether to look again at once. Raises Fenced after the term.

        `may_claim` says whether this instance can perform the run at once: then the claim is part of the
        same append, and `claimed` is told.
        """
        self._refresh()
        self._not_before = None
        due = deque(sorted(self._agenda.take(now, JOBS_AT_ONCE), key=self._after_more_urgent))
        again = len(due) == JOBS_AT_ONCE
        asked: deque[_Asked] = deque()
        until = self._world.clock.monotonic() + SECONDS_AT_ONCE
        while due:
            if self._world.clock.monotonic() > until:
                self._board.changed.update(due)
                again = True
                break
            taken = sum(each.claims for each in asked)
            asked.append(self._ask(due, now, term, may_claim=may_claim, taken=taken))
            await anyio.lowlevel.checkpoint()  # the writer has these before the next ones are decided
            while asked and asked[0].answers.done():
                again |= await self._settle(asked.popleft(), claimed)
        while asked:
            again |= await self._settle(asked.popleft(), claimed)
        return again

    async def look_ahead(self, now: datetime, term: Term, *, may_claim: Claims) -> None:
        """Decide about the next fire time already, if it is time for that, as far as there is time."""
        self._refresh()
        fire_at = self._agenda.next_instant()
        if fire_at is None or now < fire_at - AHEAD or not self._deserves_a_look(fire_at):
            return
        self._foresight.begin(fire_at)
        room = 0
        names = sorted(self._agenda.at(fire_at)[:JOBS_AT_ONCE], key=self._after_more_urgent)
        for number, name in enumerate(names):
            if number % FORESEEN_AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()
                if self._world.now() >= fire_at:
                    return
            state = self._board.jobs.get(name)
            decision = foresee(state, fire_at) if state else None
            if state is None or decision is None:
                continue
            decided = self._made(state, decision, fire_at, term, claims=may_claim(state, room))
            if decided is not None:
                room += decided.claims
                self._foresight.keep(decided._replace(prepared=self._world.prepare(decided.item)))

    def _after_more_urgent(self, name: JobName) -> int:
        state = self._board.jobs.get(name)
        return -state.definition.priority if state and state.definition else 0

    def _deserves_a_look(self, fire_at: datetime) -> bool:
        """Whether many jobs share a fire time that nobody has looked ahead to."""
        return fire_at != self._foresight.fire_at and self._agenda.count(fire_at) >= self._many

    def _refresh(self) -> None:
        """Learn the next fire time of every job that has changed."""
        changed: Iterable[JobName] = self._board.changed if self._knows_jobs else self._board.jobs
        self._board.changed, self._knows_jobs = set(), True
        for name in changed:
            state = self._board.jobs.get(name)
            decided = self._decided.pop(name, None)
            if state and (state.version, state.planned_until) == decided:
                continue  # nothing but what was decided here: what comes after it is known
            fire_at = job.next_fire(state) if state else None
            if state and fire_at is None:
                self._warn_of(state)
            self._enter(name, fire_at)

    def _warn_of(self, state: JobState) -> None:
        """Say once for each reason that a job is not planned here, since its schedule cannot be read."""
        why = unreadable(state.definition) if state.is_active and state.definition else None
        if why is not None and (state.name, why) not in self._unreadable:
            self._unreadable.add((state.name, why))
            log.warning("job %s is not planned here, its schedule cannot be read: %s", state.name, why)

    def _enter(self, name: JobName, fire_at: datetime | None) -> None:
        if fire_at is not None:
            self._agenda.enter(name, fire_at)

    def _ask(
        self, due: deque[JobName], now: datetime, term: Term, *, may_claim: Claims, taken: int
    ) -> _Asked:
        """Decide about the first jobs and hand over what is to be appended; `taken` slots are spoken for.

        Fewer than a chunk where there is much to decide: a backlog of millions of fire times takes its time.
        """
        decided: list[Decided] = []
        room = taken
        until = self._world.clock.monotonic() + CHUNK_SECONDS
        for _ in range(min(CHUNK, len(due))):
            if decided and self._world.clock.monotonic() > until:
                break
            name = due.popleft()
            state = self._board.jobs.get(name)
            if state is None:
                continue
            may = may_claim(state, room)
            known = self._foresight.take(state, now)
            if known is None or known.claims != (may and _at_once(known.decision.triggers[0])):
                known = self._made(state, job.due(state, now), now, term, claims=may)
            if known is None:
                self._enter(name, job.next_fire(state))
                continue
            room += known.claims
            decided.append(known)
        return _Asked(
            decided, self._world.submit([each.prepared or each.item for each in decided]), room - taken
        )

    def _made(
        self, state: JobState, decision: Decision, now: datetime, term: Term, *, claims: bool
    ) -> Decided | None:
        """Make what is to be appended of a decision; None if nothing was decided."""
        claims = claims and bool(decision.triggers) and _at_once(decision.triggers[0])
        item = self._item(state, decision, term, claims=claims)
        if item is None:
            return None
        return Decided(state, decision, claims, item, job.next_fire_after(state, now))

    async def _settle(self, asked: _Asked, claimed: Claimed) -> bool:
        """Take note of the answers; return whether to look again at once."""
        again = False
        for decided, answer in zip(asked.decided, await asked.answers, strict=True):
            state, decision = decided.state, decided.decision
            if isinstance(answer, Fenced):
                raise answer
            if isinstance(answer, Early):
                self._not_before = self._world.now() + EARLY_PAUSE
                self._enter(state.name, job.next_fire(state))
            elif isinstance(answer, Appended | Same):
                if decided.claims:
                    position = Position(answer.first + len(decision.skips))
                    claimed(decision.triggers[0], position, answer.recorded_at)
                if not decision.is_whole:
                    again = True  # the rest of it, once this is folded
                    continue
                self._enter(state.name, decided.next_at)
                if not state.undecided and not decision.skips:
                    self._decided[state.name] = (state.version, decision.triggers[-1].fire_at)
            else:
                self._board.changed.add(state.name)
                again = True
        return again

    def _item(self, state: JobState, decision: Decision, term: Term, *, claims: bool) -> Item | None:
        """Ask for all that was decided about one job, guarded by what the decision was based on."""
        if not decision.skips and not decision.triggers:
            return None
        quiet = Quiet(state.name, state.position) if _counts(state, claims=claims) else None
        writes = [Write(job_stream(state.name), decision.skips, expected=state.version, quiet_since=quiet)]
        for number, trigger in enumerate(decision.triggers):
            assert trigger.run_id is not None
            is_claimed = claims and number == 0
            events = (trigger, run.start_of(trigger)) if is_claimed else (trigger,)
            writes.append(Write(run_stream(trigger.run_id), events))
        writes += self._board.cancels(decision.replaced, job.PLANNER, "replaced by a newer run")
        return Item(tuple(writes), fence=term)


def _at_once(trigger: e.Event) -> bool:
    """Whether nobody has to wait before claiming the run."""
    return isinstance(trigger.body, e.RunTriggered) and trigger.body.claim_from is None


def _counts(state: JobState, *, claims: bool) -> bool:
    """Whether what was decided depends on how many runs of the job there are.

    Also under `allow` where a claim obeys `max_concurrent`, or an earlier definition has fire times left.
    """
    definition = state.definition
    if definition is None or definition.overlap is not Overlap.ALLOW or state.undecided:
        return True
    return claims and definition.max_concurrent is not None
