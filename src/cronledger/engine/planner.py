"""Planning: every fire time that has come is triggered or skipped, and both are recorded.

The domain decides; here is an agenda of next fire times, so that a wake-up looks at nothing that is not due,
and the append, one item per job: a job whose item conflicts is read and decided again, the others go on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import anyio
import anyio.lowlevel

from cronledger.domain import events as e
from cronledger.domain import job, run
from cronledger.domain.ids import JobName, Position, Term, job_stream, run_stream
from cronledger.domain.job import Decision, JobState
from cronledger.domain.overlap import Overlap
from cronledger.engine.agenda import Agenda
from cronledger.engine.board import Board
from cronledger.engine.world import World
from cronledger.errors import Early, Fenced
from cronledger.ledger.api import Answer, Appended, Item, Quiet, Same, Write

CHUNK = 250
"""Jobs decided in one append: small enough that the first of a thousand need not wait for the last."""
JOBS_AT_ONCE = 8 * CHUNK
"""Jobs decided before the loop goes on: it has a lease to renew and claims to make, however many are due."""
EARLY_PAUSE = timedelta(milliseconds=5)

Claims = Callable[[JobState, int], bool]
Claimed = Callable[[e.Event, Position, datetime], None]
"""Told the trigger, the position where it stands, directly before its start, and when both were recorded."""


class _Asked(NamedTuple):
    """Decisions that were handed over, the answers to them, and how many slots they claim."""

    decided: list[tuple[JobState, Decision, list[e.Event]]]
    answers: Awaitable[list[Answer]]
    claims: int


class Planner:
    """The agenda of all jobs, for the leader."""

    def __init__(self, world: World, board: Board) -> None:
        self._world = world
        self._board = board
        self._agenda = Agenda()
        self._knows_jobs = False
        self._decided: dict[JobName, tuple[int, datetime | None]] = {}
        self._not_before: datetime | None = None

    def next_due(self) -> datetime | None:
        """Return the earliest instant at which there is something to decide."""
        fire_at = self._agenda.next_instant()
        return max(fire_at, self._not_before) if fire_at and self._not_before else fire_at

    def begin(self) -> None:
        """Forget what was planned before, and learn the next fire time of every job: a term begins."""
        self._agenda = Agenda()
        self._knows_jobs = False
        self._decided.clear()

    async def tick(self, now: datetime, term: Term, *, may_claim: Claims, claimed: Claimed) -> bool:
        """Decide what is due at `now`; return whether to look again at once. Raises Fenced after the term.

        `may_claim` says whether this instance can perform the run at once: then the claim is part of the
        same append, and `claimed` is told.
        """
        self._refresh()
        self._not_before = None
        due = self._agenda.take(now, JOBS_AT_ONCE)
        again = len(due) == JOBS_AT_ONCE
        asked: _Asked | None = None
        for start in range(0, len(due), CHUNK):
            before, names = asked, due[start : start + CHUNK]
            asked = self._ask(names, now, term, may_claim=may_claim, taken=before.claims if before else 0)
            await anyio.lowlevel.checkpoint()  # the writer has these before the next ones are decided
            if before:
                again |= await self._settle(before, now, claimed)
        return (asked is not None and await self._settle(asked, now, claimed)) or again

    def _refresh(self) -> None:
        """Learn the next fire time of every job that has changed."""
        changed: Iterable[JobName] = self._board.changed if self._knows_jobs else self._board.jobs
        self._board.changed, self._knows_jobs = set(), True
        for name in changed:
            state = self._board.jobs.get(name)
            decided = self._decided.pop(name, None)
            if state and (state.version, state.planned_until) == decided:
                continue  # nothing but what was decided here: what comes after it is known
            self._enter(name, job.next_fire(state) if state else None)

    def _enter(self, name: JobName, fire_at: datetime | None) -> None:
        if fire_at is not None:
            self._agenda.enter(name, fire_at)

    def _ask(
        self, names: Sequence[JobName], now: datetime, term: Term, *, may_claim: Claims, taken: int
    ) -> _Asked:
        """Decide about some jobs and hand over what is to be appended; `taken` slots are spoken for."""
        items: list[Item] = []
        decided: list[tuple[JobState, Decision, list[e.Event]]] = []
        room = taken
        for name in names:
            state = self._board.jobs.get(name)
            if state is None:
                continue
            decision = job.due(state, now)
            claims = [first for first in decision.triggers[:1] if _at_once(first) and may_claim(state, room)]
            item = self._item(state, decision, claims, term)
            if item is None:
                self._enter(name, job.next_fire(state))
                continue
            room += len(claims)
            items.append(item)
            decided.append((state, decision, claims))
        return _Asked(decided, self._world.submit(items), room - taken)

    async def _settle(self, asked: _Asked, now: datetime, claimed: Claimed) -> bool:
        """Take note of the answers; return whether to look again at once."""
        again = False
        for (state, decision, claims), answer in zip(asked.decided, await asked.answers, strict=True):
            if isinstance(answer, Fenced):
                raise answer
            if isinstance(answer, Early):
                self._not_before = self._world.now() + EARLY_PAUSE
                self._enter(state.name, job.next_fire(state))
            elif isinstance(answer, Appended | Same):
                for event in claims:
                    claimed(event, Position(answer.first + len(decision.skips)), answer.recorded_at)
                self._enter(state.name, job.next_fire_after(state, now))
                if not state.undecided and not decision.skips:
                    self._decided[state.name] = (state.version, decision.triggers[-1].fire_at)
            else:
                self._board.changed.add(state.name)
                again = True
        return again

    def _item(self, state: JobState, decision: Decision, claims: list[e.Event], term: Term) -> Item | None:
        """Ask for all that was decided about one job, guarded by what the decision was based on."""
        if not decision.skips and not decision.triggers:
            return None
        quiet = Quiet(state.name, state.position) if _counts(state, claims) else None
        writes = [Write(job_stream(state.name), decision.skips, expected=state.version, quiet_since=quiet)]
        for trigger in decision.triggers:
            assert trigger.run_id is not None
            events = [trigger] + [run.start_of(trigger) for claim in claims if claim is trigger]
            writes.append(Write(run_stream(trigger.run_id), tuple(events)))
        writes += self._board.cancels(decision.replaced, job.PLANNER, "replaced by a newer run")
        return Item(tuple(writes), fence=term)


def _at_once(trigger: e.Event) -> bool:
    """Whether nobody has to wait before claiming the run."""
    return isinstance(trigger.body, e.RunTriggered) and trigger.body.claim_from is None


def _counts(state: JobState, claims: Sequence[e.Event]) -> bool:
    """Whether what was decided depends on how many runs of the job there are.

    Also under `allow` where a claim obeys `max_concurrent`, or an earlier definition has fire times left.
    """
    definition = state.definition
    if definition is None or definition.overlap is not Overlap.ALLOW or state.undecided:
        return True
    return bool(claims) and definition.max_concurrent is not None
