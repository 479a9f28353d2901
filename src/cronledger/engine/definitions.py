"""The leader's configuration becomes the cluster's: definitions are events.

A revision that the cluster has moved on from does not come back by a change of leader alone. While somebody
alive carries the current one, or crashed with it a moment ago, or an operator made it current, a leader with
a superseded file keeps the ledger's definitions and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import msgspec

from cronledger.domain import events as e
from cronledger.domain import job
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import CONFIG, JobName, Term, job_stream
from cronledger.domain.job import FILES, JobState
from cronledger.domain.revisions import Revisions
from cronledger.engine.board import Board
from cronledger.engine.world import World
from cronledger.errors import Conflict
from cronledger.ledger.api import START, Item, Write

log = logging.getLogger("cronledger.config")
JOBS_PER_ITEM = 200
NAMES = 100
"""Of a long list of jobs, how many are named."""
APPLY_SECONDS = 1.0
"""For how long definitions are recorded in one go."""
RETURNS_WITHIN = timedelta(seconds=60)
"""How long an instance that fell silent without a goodbye is expected back with the same files."""

Definitions = Mapping[JobName, JobDefinition]


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """The names of the jobs that a revision registers, redefines and retires; of a long list the first."""

    registered: tuple[JobName, ...] = ()
    redefined: tuple[JobName, ...] = ()
    retired: tuple[JobName, ...] = ()


def events_for(
    definitions: Definitions,
    jobs: Mapping[JobName, JobState],
    revision: str,
    actor: e.Actor = FILES,
    *,
    names: Iterable[JobName] | None = None,
) -> list[tuple[Write, e.Event]]:
    """Return what makes the jobs of the ledger, or some of them, be as defined.

    Each is guarded by what it was based on.
    """
    decided: list[tuple[JobName, e.Event]] = []
    for name in _names(definitions, jobs) if names is None else names:
        definition, state = definitions.get(name), jobs.get(name)
        if definition is not None:
            decided += [(name, event) for event in job.define(state, definition, revision, actor)]
        elif state is not None:
            decided += [(name, event) for event in job.retire(state, revision, actor)]
    return [
        (Write(job_stream(name), (event,), expected=jobs[name].version if name in jobs else START), event)
        for name, event in decided
    ]


def _names(definitions: Definitions, jobs: Mapping[JobName, JobState]) -> list[JobName]:
    return [*definitions, *(name for name in jobs if name not in definitions)]


def is_listed(state: JobState) -> bool:
    """Whether some file has an entry for a job."""
    return state.definition is not None and state.definition.scheduled and not state.retired


def named(events: Iterable[e.Event], *, most: int | None = NAMES) -> Changes:
    """Say which jobs some events register, redefine and retire."""
    found = list(events)

    def names(kind: type[e.Body]) -> tuple[JobName, ...]:
        return tuple(event.job for event in found if isinstance(event.body, kind) and event.job)[:most]

    return Changes(
        registered=names(e.JobRegistered), redefined=names(e.JobRedefined), retired=names(e.JobRetired)
    )


def joined(one: Changes, other: Changes) -> Changes:
    """Return the changes of both, of each kind the first."""
    kinds = zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)
    return Changes(
        **{
            kind: (*mine, *theirs)[:NAMES]
            for kind, (mine, theirs) in zip(Changes.__struct_fields__, kinds, strict=True)
        }
    )


def compared(before: Iterable[JobDefinition], after: Iterable[JobDefinition]) -> Changes:
    """Say which definitions came, changed and went between two sets of them."""
    old, new = ({each.name: each for each in definitions} for definitions in (before, after))
    return Changes(
        registered=tuple(name for name in new if name not in old)[:NAMES],
        redefined=tuple(name for name in new if name in old and old[name] != new[name])[:NAMES],
        retired=tuple(name for name in old if name not in new)[:NAMES],
    )


def applied(
    revision: str, previous: str | None, changes: Changes, actor: e.Actor, *, reason: str | None = None
) -> e.Event:
    """Say that a revision has become current."""
    body = e.ConfigApplied(
        revision=revision, previous=previous, reason=reason, **msgspec.structs.asdict(changes)
    )
    return e.Event(body=body, actor=actor)


class Configuration:
    """The definitions that this instance carries, and their revision; `spare` are known by hand only.

    One that was not read from files lists no jobs, so it says nothing about those that others have listed.
    """

    def __init__(
        self,
        definitions: Sequence[JobDefinition],
        revision: str,
        spare: Sequence[JobDefinition] = (),
        *,
        has_files: bool = True,
    ) -> None:
        self.definitions = {definition.name: definition for definition in definitions}
        self.every = {definition.name: definition for definition in spare} | self.definitions
        self.revision = revision
        self._has_files = has_files
        self._told: str | None = None
        self._said = Changes()
        self._term: Term | None = None

    async def apply(self, world: World, board: Board, term: Term) -> bool:
        """Make this revision current, if it may; return False if that has begun and is to be gone on with.

        A hundred thousand jobs take longer than a lease lasts, and the leader has to renew it in between.
        """
        if self._term != term:
            self._said, self._term = Changes(), term
        if not await self._may_apply(world, board):
            return True
        until = world.clock.monotonic() + APPLY_SECONDS
        before = board.revisions.current
        names = _names(self.definitions, board.jobs)
        changed = False
        for start in range(0, len(names), JOBS_PER_ITEM):
            some = names[start : start + JOBS_PER_ITEM]
            while changes := events_for(self.definitions, board.jobs, self.revision, names=some):
                changed = True
                await self._append(world, changes, term)
                await board.follow(world)
                if board.revisions.current != before:
                    return True  # somebody else made theirs current: whether ours may follow is asked anew
                if world.clock.monotonic() >= until:
                    return False
        if changed:
            return False  # who knows what has come meanwhile
        if self._said != Changes() or self.revision != before:
            event = applied(self.revision, before, self._said, FILES)
            await world.append(Item((Write(CONFIG, (event,), expected=None),), fence=term))
            self._said = Changes()
            await board.follow(world)
        return True

    async def _append(self, world: World, changes: Sequence[tuple[Write, e.Event]], term: Term) -> None:
        try:
            await world.append(Item(tuple(write for write, _ in changes), fence=term))
        except Conflict:
            log.info("a job was changed by an operator meanwhile; looking again")
        else:
            self._said = joined(self._said, named(event for _, event in changes))

    async def _may_apply(self, world: World, board: Board) -> bool:
        revisions = board.revisions
        why: str | None = None
        if not self._has_files and any(is_listed(state) for state in board.jobs.values()):
            why = "this instance has found no configuration files, and others have listed jobs in theirs"
        elif revisions.has_superseded(self.revision) and (by := await self._kept_away(world, revisions)):
            why = f"configuration {self.revision} was superseded by {revisions.current}, which {by}"
        if why is not None and why != self._told:
            log.warning(
                "%s: the ledger's definitions stay (`cronledger config apply --force` replaces them)",
                why,
            )
        self._told = why
        return why is None

    async def _kept_away(self, world: World, revisions: Revisions) -> str | None:
        """Say what defends the current revision, None if nothing does."""
        if revisions.by_operator:
            return "an operator made current"
        now = world.now()
        for each in await world.instances():
            if each.kind != "service" or each.id == world.instance:
                continue
            if each.config_revision == revisions.current:
                if not each.is_dead:
                    return f"{each.id} carries"
                if each.beat_at is not None and now - each.beat_at < RETURNS_WITHIN:
                    return f"{each.id} carried until a moment ago"
        return None
