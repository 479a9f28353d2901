"""The one loop and the one wait.

A pass reads what is new, leads if it may, plans, recovers and claims, each part bounded; then it waits until
the next due instant, a wake-up, or one second, after which only the head is looked at.
"""

from __future__ import annotations

import logging
from datetime import datetime
from enum import StrEnum

import anyio
import msgspec
from anyio.abc import TaskGroup

from cronledger.domain import events as e
from cronledger.domain.definition import JobDefinition, Startup
from cronledger.domain.ids import JobName, RunId, Term
from cronledger.domain.leadership import Lease
from cronledger.domain.run import Phase, RunState
from cronledger.engine import recovery, startup
from cronledger.engine.board import Board
from cronledger.engine.definitions import Configuration
from cronledger.engine.dispatcher import Dispatcher
from cronledger.engine.executor import Executor, Provision
from cronledger.engine.leader import Leader
from cronledger.engine.planner import Planner
from cronledger.engine.world import World
from cronledger.errors import Fenced, LedgerUnreachable
from cronledger.ledger.api import Appended, Head, Same

log = logging.getLogger("cronledger.engine")
LONGEST_WAIT = 1.0
RECOVERY_SECONDS = 1.0
PROJECTION_SECONDS = 1.0
GOODBYE_SECONDS = 5.0


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


class Engine:
    """An instance at work. `run` returns after `stop`, when everything has drained."""

    def __init__(self, world: World, configuration: Configuration, provision: Provision, plan: Plan) -> None:
        self._world = world
        self._configuration = configuration
        self._plan = plan
        self.board = Board()
        self._leader = Leader(world, plan.lease)
        self._planner = Planner(world, self.board)
        self.executor = Executor(world, provision, max_runs=plan.max_runs, definition_of=self._definition_of)
        self._dispatcher = Dispatcher(
            world,
            self.board,
            provides=self.executor.provides,
            room=lambda: self.executor.room,
            definition_of=self._definition_of,
            only=plan.only,
        )
        self._woken = anyio.Event()
        self._stopping = False
        self.ready = anyio.Event()
        self.drained = anyio.Event()
        self._drain_scope = anyio.CancelScope()
        self._startup_triggered = False
        self._recover_at = 0.0
        self._project_at = 0.0
        self._epoch_told: int | None = None
        self._instance_startup_due = False
        self._lease_seen: Head | None = None

    # --- from outside -----------------------------------------------------------------------------------

    def wake(self) -> None:
        """Let the loop look again now; to be called on the loop's thread."""
        self._woken.set()

    def stop(self) -> None:
        """Ask the loop to end: leadership goes at once, runs get the drain time."""
        self._stopping = True
        self.wake()

    def abandon(self) -> None:
        """Drain no longer: hand every run back now."""
        self._drain_scope.cancel()

    async def run(self) -> None:
        """Take part until stopped, then drain."""
        leads = self._plan.enabled and self._plan.kind is Kind.SERVICE
        try:
            self.board.load(await self._world.load())
            async with anyio.create_task_group() as tasks:
                self.executor.open(tasks, self.wake)
                if leads:
                    self._world.leader_lock.contend(self._wake_soon)
                    tasks.start_soon(self._limit_startup)
                try:
                    while not self._stopping:
                        await self._pass(leads=leads)
                finally:
                    with anyio.CancelScope(shield=True):
                        await self._drain(tasks)
            await self._world.project()
        finally:
            self.ready.set()
            self.drained.set()

    # --- one pass ---------------------------------------------------------------------------------------

    async def _pass(self, *, leads: bool) -> None:
        self._woken = anyio.Event()
        try:
            head = await self._world.head()
            if head.position > self.board.position:
                await self.board.follow(self._world)
            self._see_leader(head)
            more = leads and await self._lead(head)
            more |= self._plan.enabled and await self._claim()
            self._obey_cancels()
            await self._check_ready()
        except Fenced:
            self._leader.step_down("a later term has begun")
            more = True
        except LedgerUnreachable as error:
            log.warning("the ledger does not answer: %s", error)
            more = False
        if not more:
            await self._wait()

    def _see_leader(self, head: Head) -> None:
        """Learn the boot epoch of a cluster that was up before us, once its leader has renewed its lease.

        A lease that only runs proves nothing: its leader may have died, and then a new boot begins.
        """
        seen, self._lease_seen = self._lease_seen, head
        if self.board.epoch or seen is None or seen.term != head.term:
            return
        if seen.lease_until and head.lease_until and head.lease_until > seen.lease_until:
            self.board.epoch = head.epoch

    async def _lead(self, head: Head) -> bool:
        """Do what only the leader does; return whether to look again at once."""
        elected = await self._leader.tick(head)
        term = self._leader.term
        if term is None:
            return False
        if elected:
            self._startup_triggered = False
            await self.board.follow(self._world)
            self.board.changed.update(self.board.jobs)
            await self._configuration.apply(self._world, self.board, term)
        if not self._startup_triggered:
            await self._tell_epoch()
            await startup.trigger(self._world, self.board, Startup.CLUSTER, term)
            self._startup_triggered = True
        now = self._world.now()
        again = await self._planner.tick(
            now, term, may_claim=self._dispatcher.may_claim, claimed=self._perform_triggered
        )
        await self._every_second(now, term)
        return again

    async def _every_second(self, now: datetime, term: Term) -> None:
        """Do what need not be done at once: look for lost runs, keep the views near the head."""
        elapsed = self._world.clock.monotonic()
        if elapsed >= self._recover_at:
            self._recover_at = elapsed + RECOVERY_SECONDS
            await recovery.tick(self._world, self.board, now, term)
        if elapsed >= self._project_at:
            self._project_at = elapsed + PROJECTION_SECONDS
            await self._world.project()

    async def _claim(self) -> bool:
        await self._tell_epoch()
        if self.board.changed and self._leader.term is None:
            self.board.changed.clear()
        return await self._dispatcher.tick(self._world.now(), self._perform_claimed)

    async def _tell_epoch(self) -> None:
        """Carry the boot epoch, once a leader is seen; instance-scoped startup runs belong to it too."""
        if self.board.epoch and self._epoch_told != self.board.epoch and self._plan.kind is Kind.SERVICE:
            first = self._epoch_told is None
            self._epoch_told = self.board.epoch
            await self._world.beat(epoch=self.board.epoch, config_revision=self._configuration.revision)
            if first:
                self._instance_startup_due = True
        if self._instance_startup_due and self._plan.enabled and self.board.revisions:
            self._instance_startup_due = False
            await startup.trigger(self._world, self.board, Startup.INSTANCE, None)

    # --- runs -------------------------------------------------------------------------------------------

    def _perform_claimed(self, state: RunState, answer: Appended | Same) -> None:
        """Begin a run that this instance has just claimed."""
        self.board.waiting.pop(state.run_id, None)
        started = msgspec.structs.replace(
            state,
            version=state.version + 1,
            phase=Phase.RUNNING,
            attempt=state.attempt + 1,
            instance=self._world.instance,
            started_at=answer.recorded_at,
        )
        self.executor.perform(started, answer.last)

    def _perform_triggered(self, event: e.Event, answer: Appended) -> None:
        """Begin a run that was triggered and claimed in one append."""
        assert event.run_id is not None
        assert event.job is not None
        assert isinstance(event.body, e.RunTriggered)
        state = RunState(
            run_id=event.run_id,
            job=event.job,
            cause=e.Cause.SCHEDULE,
            position=answer.first,
            version=2,
            phase=Phase.RUNNING,
            triggered_at=answer.recorded_at,
            fire_at=event.fire_at,
            started_at=answer.recorded_at,
            attempt=1,
            instance=self._world.instance,
            parameters=event.body.parameters,
        )
        self.executor.perform(state, answer.last)

    def _obey_cancels(self) -> None:
        for run_id in list(self.executor.attempts):
            state = self.board.runs.get(run_id)
            if state is not None and state.cancel_requested:
                self.executor.cancel(run_id)

    def _definition_of(self, name: JobName) -> JobDefinition | None:
        """Return what the ledger says a job is; a process that came for one run trusts its own files."""
        state = self.board.jobs.get(name)
        recorded = state.definition if state else None
        own = self._configuration.definitions.get(name)
        return own or recorded if self._plan.kind is Kind.ONESHOT else recorded or own

    # --- readiness --------------------------------------------------------------------------------------

    async def _check_ready(self) -> None:
        """Say so once the startup runs of this boot have ended, whatever their outcome."""
        if self.ready.is_set():
            return
        if not self._plan.enabled or self._plan.kind is Kind.ONESHOT:
            return self.ready.set()
        expected = startup.expected_runs(self._world, self.board, self._configuration)
        if expected is None:
            return None
        missing = expected - self.board.ended_startup
        if missing:
            known = await self._world.startup_runs(missing - self.board.runs.keys())
            ended = {run_id for run_id, state in known.items() if state.phase is Phase.ENDED}
            self.board.ended_startup |= ended
            missing -= ended
        if not missing:
            await self._world.beat(state="ready")
            self.ready.set()
        return None

    async def _limit_startup(self) -> None:
        """Be ready at the latest after `startup_wait_seconds`; do not keep the drain waiting."""
        with anyio.move_on_after(self._plan.startup_wait_seconds):
            await self.ready.wait()
        if not self.ready.is_set():
            log.warning("startup runs have not ended within %s s", self._plan.startup_wait_seconds)
            self.ready.set()

    # --- waiting and ending -----------------------------------------------------------------------------

    async def _wait(self) -> None:
        due = [self._dispatcher.next_claim(self._world.now())]
        if self._leader.term is not None:
            due.append(self._planner.next_due())
        soonest = min((instant for instant in due if instant is not None), default=None)
        seconds = LONGEST_WAIT
        if soonest is not None:
            seconds = min(seconds, max(0.0, (soonest - self._world.now()).total_seconds()))
        with anyio.move_on_after(seconds):
            await self._woken.wait()

    def _wake_soon(self) -> None:
        self._world.call_soon(self.wake)

    async def _drain(self, tasks: TaskGroup) -> None:
        """Give leadership up, let runs end, hand back those that do not, and say goodbye."""
        self.ready.set()
        try:
            with anyio.move_on_after(GOODBYE_SECONDS):
                await self._leader.resign("drain")
                await self._world.beat(state="draining")
        except LedgerUnreachable as error:
            log.warning("the ledger did not hear that this instance drains: %s", error)
        with self._drain_scope, anyio.move_on_after(self._plan.drain_seconds):
            await self._until_idle()
        if self.executor.attempts:
            self.executor.drain()
            with anyio.move_on_after(1.0):
                await self._until_idle()
        tasks.cancel_scope.cancel()

    async def _until_idle(self) -> None:
        while self.executor.attempts:
            self._woken = anyio.Event()
            await self._woken.wait()
