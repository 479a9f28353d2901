"""Making a revision current by an operator's word: with or without an instance that is up.

The events are those of a leader that takes its files in, and under the same guards; they name the operator,
and no leader takes them back by itself.
"""

from __future__ import annotations

import logging
from functools import reduce

import msgspec

from cronledger.config.resolve import Resolution
from cronledger.domain import events as e
from cronledger.domain.ids import CONFIG, InstanceId, JobName, Position
from cronledger.domain.job import JobState
from cronledger.domain.revisions import Revisions, evolve
from cronledger.engine.definitions import JOBS_PER_ITEM, Changes, applied, events_for, named
from cronledger.errors import Conflict, Refusal, Superseded
from cronledger.ledger import instances
from cronledger.ledger.api import START, TRIES, Write
from cronledger.ledger.database import Store
from cronledger.projections import fold, job_status

log = logging.getLogger("cronledger.config")


MOST_NAMED = 10
"""Of the jobs that a refusal is about."""


class WithoutFiles(Refusal):
    """No file lists the jobs that would change: somebody may stand in the wrong folder."""

    code = "without_files"

    def __init__(self, jobs: tuple[JobName, ...]) -> None:
        super().__init__(
            "there is no configuration here, and without one these jobs would be redefined or retired: "
            f"{', '.join(jobs[:MOST_NAMED])}{', ...' if len(jobs) > MOST_NAMED else ''}",
            hint="name a file, or say --force if that is what you want",
        )


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an application changes or has changed; without `changed` the ledger says so already."""

    revision: str
    previous: str | None
    changed: bool
    changes: Changes
    position: Position


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says of the configuration; `version` is that of its stream."""

    revisions: Revisions
    version: int
    jobs: dict[JobName, JobState]


def apply(
    store: Store,
    resolution: Resolution,
    actor: e.Actor,
    *,
    force: bool = False,
    dry_run: bool = False,
    reason: str | None = None,
) -> Outcome:
    """Make a revision current; `dry_run`: only say what that would change.

    Unless `force`, raises Superseded if the cluster has moved on from it and a living instance carries the
    current one, and WithoutFiles if it would change jobs for want of files; Conflict if others go on changing
    what this changes.
    """
    conflicts = 0
    changed = False
    done: list[e.Event] = []
    before = standing(store)
    now = before
    while True:
        if not force:
            _refuse_superseded(store, now.revisions, resolution.revision)
        events, writes = _asked(resolution, now, actor, reason=reason, done=done)
        if dry_run or not writes:
            return _outcome(store, resolution, before, [*done, *events], changed=changed or bool(writes))
        if not (force or resolution.has_files):
            _refuse_without_files(named(events, most=None))
        try:
            store.ledger.append(*writes)
        except Conflict:
            conflicts += 1
            if conflicts == TRIES:
                raise
        else:
            changed = True
            done += events[:JOBS_PER_ITEM]
        now = standing(store)


def at_start(store: Store, resolution: Resolution, actor: e.Actor) -> None:
    """Make the files of an instance current before it comes up.

    Refused, it comes up all the same: the next instance of a deployment that rolls back may be the one that
    replaces the last with the newer files.
    """
    try:
        apply(store, resolution, actor)
    except (Superseded, WithoutFiles) as refusal:
        log.warning("%s: the ledger's definitions stay", refusal.message)


def standing(store: Store) -> Standing:
    """Return what the ledger says of the configuration."""
    said = store.ledger.read_stream(CONFIG)
    fold.catch_up(store)
    with store.reading() as connection:
        jobs = job_status.all_jobs(connection)
    version = said[-1].version if said else START
    return Standing(revisions=reduce(evolve, said, Revisions()), version=version, jobs=jobs)


def carriers(store: Store, revision: str | None) -> list[InstanceId]:
    """Return the living instances that have a revision."""
    now = store.ledger.head().clock
    with store.reading() as connection:
        living = [each for each in instances.living(connection, now) if each.kind == "service"]
    dead = store.dead_instances(living, now)
    return [each.id for each in living if each.id not in dead and each.config_revision == revision]


def _refuse_superseded(store: Store, revisions: Revisions, revision: str) -> None:
    if not revisions.has_superseded(revision):
        return
    found = carriers(store, revisions.current)
    if found:
        raise Superseded(revision, revisions.current, found[0])


def _refuse_without_files(changes: Changes) -> None:
    if changed := (*changes.redefined, *changes.retired):
        raise WithoutFiles(changed)


def _asked(
    resolution: Resolution, now: Standing, actor: e.Actor, *, reason: str | None, done: list[e.Event]
) -> tuple[list[e.Event], list[Write]]:
    """Return all that is still to be said, and the writes of the next item; none once all is said.

    The last item makes the revision current. Each item stands only if nobody else has meanwhile.
    """
    definitions = {each.name: each for each in resolution.definitions}
    wanted = events_for(definitions, now.jobs, resolution.revision, actor)
    events = [event for _, event in wanted]
    is_said = now.revisions.current == resolution.revision and now.revisions.by_operator
    if is_said and not wanted:
        return [], []
    writes = [write for write, _ in wanted[:JOBS_PER_ITEM]]
    current: tuple[e.Event, ...] = ()
    if len(wanted) <= JOBS_PER_ITEM:
        changes = named([*done, *events])
        current = (applied(resolution.revision, now.revisions.current, changes, actor, reason=reason),)
    return events, [*writes, Write(CONFIG, current, expected=now.version)]


def _outcome(
    store: Store, resolution: Resolution, before: Standing, events: list[e.Event], *, changed: bool
) -> Outcome:
    return Outcome(
        revision=resolution.revision,
        previous=before.revisions.current,
        changed=changed,
        changes=named(events, most=None),
        position=store.ledger.head().position,
    )
