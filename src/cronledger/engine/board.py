"""What an instance knows: every job and every unfinished run, folded from the tail of the ledger."""

from __future__ import annotations

from collections.abc import Iterator

from cronledger.domain import events as e
from cronledger.domain import job, run
from cronledger.domain.ids import JobName, Position, RunId
from cronledger.domain.job import JobState
from cronledger.domain.run import Phase, RunState
from cronledger.engine.world import Loaded, World

PAGE = 1000


class Board:
    """The folds that decisions use. `changed` collects the jobs whose next fire time may have moved."""

    def __init__(self) -> None:
        self.position = Position(0)
        self.jobs: dict[JobName, JobState] = {}
        self.runs: dict[RunId, RunState] = {}
        self.revisions: list[str] = []
        self.epoch = 0
        self.leader: e.Recorded | None = None
        self.changed: set[JobName] = set()
        self.waiting: dict[RunId, RunState] = {}
        self.ended_startup: set[RunId] = set()

    def load(self, loaded: Loaded) -> None:
        """Begin from the views instead of from the first event."""
        self.position = loaded.position
        self.jobs = dict(loaded.jobs)
        self.changed = set(loaded.jobs)
        self.revisions = list(loaded.revisions)
        for state in loaded.runs:
            self._keep(state)

    async def follow(self, world: World) -> bool:
        """Fold what was appended since; return whether anything was."""
        moved = False
        while True:
            page = await world.events_after(self.position, PAGE)
            for recorded in page:
                self.fold(recorded)
            moved = moved or bool(page)
            if len(page) < PAGE:
                return moved

    def fold(self, recorded: e.Recorded) -> None:
        """Fold the event that stands at the next position."""
        self.position = recorded.position
        if recorded.job is not None:
            self._fold_job(recorded, recorded.job)
        if recorded.run_id is not None:
            self._fold_run(recorded, recorded.run_id)
        match recorded.body:
            case e.ConfigApplied(revision=revision):
                self.revisions = [*(known for known in self.revisions if known != revision), revision]
            case e.LeaderElected(epoch=epoch):
                self.epoch = epoch
                self.leader = recorded
            case e.LeaderResigned():
                self.leader = None
            case _:
                return

    def runs_of(self, job_name: JobName) -> Iterator[RunState]:
        """Yield the unfinished runs of a job."""
        state = self.jobs.get(job_name)
        for run_id in state.in_flight if state else ():
            found = self.runs.get(run_id)
            if found is not None:
                yield found

    def _fold_job(self, recorded: e.Recorded, name: JobName) -> None:
        before = self.jobs.get(name)
        after = job.evolve(before, recorded)
        if after is None:
            return
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
