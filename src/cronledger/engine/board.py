"""What an instance knows: every job and every unfinished run, folded from the tail of the ledger."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from cronledger.domain import events as e
from cronledger.domain import job, revisions, run
from cronledger.domain.ids import JobName, Position, RunId, run_stream
from cronledger.domain.job import JobState
from cronledger.domain.revisions import Revisions
from cronledger.domain.run import Phase, RunState
from cronledger.domain.sharing import share
from cronledger.domain.understanding import require_understood
from cronledger.engine.world import Loaded, World
from cronledger.errors import LedgerRegressed
from cronledger.ledger.api import Write

log = logging.getLogger("cronledger.engine")
PAGE = 1000


class Board:
    """The folds that decisions use.

    `changed` collects the jobs whose next fire time may have moved since somebody began to plan.
    """

    def __init__(self) -> None:
        self.position = Position(0)
        self.jobs: dict[JobName, JobState] = {}
        self.runs: dict[RunId, RunState] = {}
        self.revisions = Revisions()
        self.features: set[str] = set()
        self.unknown_types: set[str] = set()
        self.epoch = 0
        self.leader: e.Recorded | None = None
        self.changed: set[JobName] = set()
        self.waiting: dict[RunId, RunState] = {}
        self.ended_startup: set[RunId] = set()
        self._last_id: str | None = None

    def load(self, loaded: Loaded) -> None:
        """Begin from the views instead of from the first event, and forget what was known before."""
        self.position = loaded.position
        self._last_id = None
        self.runs, self.waiting = {}, {}
        self.jobs = loaded.jobs
        self.changed = set()
        self.revisions = loaded.revisions
        self.features = set(loaded.features)
        for state in loaded.runs:
            self._keep(state)

    async def follow(self, world: World) -> bool:
        """Fold what was appended since; return whether anything was.

        Raises NotUnderstood, and stands before it, at an event that this version must not skip;
        LedgerRegressed if the event folded last is not there any more: this is another history then.
        """
        moved = False
        while True:
            known = 0 if self._last_id is None else 1
            page = await world.events_after(Position(self.position - known), PAGE)
            if self._last_id is not None and (not page or page[0].id != self._last_id):
                raise LedgerRegressed(self.position, self._last_id)
            for recorded in page[known:]:
                self.fold(recorded)
            moved = moved or len(page) > known
            if len(page) < PAGE:
                return moved

    def fold(self, recorded: e.Recorded) -> None:
        """Fold the event that stands at the next position."""
        require_understood(recorded)
        self.position = recorded.position
        self._last_id = recorded.id
        if recorded.job is not None:
            self._fold_job(recorded, recorded.job)
        if recorded.run_id is not None:
            self._fold_run(recorded, recorded.run_id)
            if not isinstance(recorded.body, e.Unrecognized):
                return
        match recorded.body:
            case e.ConfigApplied() | e.ConfigLoaded():
                self.revisions = revisions.evolve(self.revisions, recorded)
            case e.FeatureEnabled(name=name):
                self.features.add(name)
            case e.Unrecognized() if recorded.type not in self.unknown_types:
                self.unknown_types.add(recorded.type)
                log.warning(
                    "events of type %s are not known to this version of cronledger: they are folded past",
                    recorded.type,
                )
            case e.LeaderElected(epoch=epoch):
                self.epoch = epoch
                self.leader = recorded
            case e.LeaderResigned():
                self.leader = None
            case _:
                return

    def cancels(self, run_ids: Iterable[RunId], actor: e.Actor, reason: str) -> list[Write]:
        """Return what asks unfinished runs to stop."""
        writes = []
        for run_id in run_ids:
            state = self.runs.get(run_id)
            events = run.request_cancel(state, actor, reason) if state else []
            if state and events:
                writes.append(Write(run_stream(run_id), tuple(events), expected=state.version))
        return writes

    def _fold_job(self, recorded: e.Recorded, name: JobName) -> None:
        before = self.jobs.get(name)
        after = job.evolve(before, recorded)
        if after is None:
            return
        if isinstance(recorded.body, e.JobRegistered | e.JobRedefined):
            share(after)
        self.jobs[name] = after
        if (
            before is None
            or after.version != before.version
            or after.planned_until is not before.planned_until
        ):
            self.changed.add(name)

    def _fold_run(self, recorded: e.Recorded, run_id: RunId) -> None:
        after = run.evolve(self.runs.get(run_id), recorded)
        if after is not None:
            self._keep(after)

    def _keep(self, state: RunState) -> None:
        if state.phase is Phase.WAITING:
            self.waiting[state.run_id] = state
        else:
            self.waiting.pop(state.run_id, None)
        if state.phase is not Phase.ENDED:
            self.runs[state.run_id] = state
            return
        self.runs.pop(state.run_id, None)
        if state.cause is e.Cause.STARTUP:
            self.ended_startup.add(state.run_id)
