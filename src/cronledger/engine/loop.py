"""The one loop and the one wait.

A pass reads what is new, leads if it may, plans, recovers and claims, each part bounded; then it waits until
the next due instant, a wake-up, or `Plan.look_seconds`, after which only the head is looked at.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime

import anyio
from anyio.abc import TaskGroup

from cronledger.domain import events as e
from cronledger.domain.definition import JobDefinition, Startup
from cronledger.domain.ids import JobName, Position, RunId, Term
from cronledger.domain.run import RunState
from cronledger.engine import claims, lineage, startup
from cronledger.engine.attempt import UNREACHABLE_PAUSE
from cronledger.engine.board import Board
from cronledger.engine.chores import Chores
from cronledger.engine.definitions import Configuration
from cronledger.engine.dispatcher import Dispatcher
from cronledger.engine.executor import Executor, Provision
from cronledger.engine.farewell import FLUSH_SECONDS, Farewell, hand_over
from cronledger.engine.inbox import Inbox
from cronledger.engine.leader import Leader
from cronledger.engine.plan import Kind, Plan
from cronledger.engine.planner import Planner
from cronledger.engine.world import World
from cronledger.errors import Fenced, LedgerRegressed, LedgerUnreachable, Outdated
from cronledger.jobs.calling import PATIENCE_SECONDS
from cronledger.jobs.together import together
from cronledger.ledger.api import Appended, Head, Same, require_writer

log = logging.getLogger("cronledger.engine")
LONGEST_WAIT = 1.0
RECONSIDER_SECONDS = 5.0


class Engine:
    """An instance at work. `run` returns after `stop`, when everything has drained."""

    def __init__(self, world: World, configuration: Configuration, provision: Provision, plan: Plan) -> None:
        self._world = world
        self._configuration = configuration
        self._plan = plan
        self.board = Board()
        self._leader = Leader(world, plan.lease, self.board)
        self._planner = Planner(world, self.board, many=plan.many)
        self._chores = Chores(world, self.board)
        self._inbox = Inbox(world, self.board)
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
        self._stopping = self._has_stepped_aside = self._contends = False
        self.ready = anyio.Event()
        self.farewell = Farewell()
        self._startup_triggered = False
        self._configuration_due = False
        self._epoch_told: int | None = None
        self._instance_startup_due = False
        self._lease_seen: Head | None = None
        self._apply_at = 0.0
        self._untold: dict[str, object] = {}
        self._regressed: LedgerRegressed | None = None
        self._tasks: TaskGroup | None = None

    # --- from outside -----------------------------------------------------------------------------------

    def wake(self) -> None:
        """Let the loop look again now; to be called on the loop's thread."""
        self._woken.set()

    def stop(self) -> None:
        """Ask the loop to end: leadership goes at once, runs get the drain time.

        A pass that waits for a ledger that is away is given up, so that it does not hold up the drain.
        """
        self._stopping = True
        self.farewell.begin(self._plan.drain_seconds)
        self.wake()

    def lead_no_longer(self) -> Term | None:
        """Learn, from any thread, that the term that it returns is given up: this loop does not go on."""
        return self._leader.let_go()

    def abandon(self) -> None:
        """Drain no longer: hand every run back now."""
        self.stop()
        self.farewell.hurry(runs=bool(self.executor.attempts))

    def reconfigure(
        self, configuration: Configuration, plan: Plan, provision: Provision, *, jobs: tuple[JobName, ...]
    ) -> None:
        """Go on with other files; `jobs` are those that this instance provides by them. On the loop's thread.

        Runs that have begun keep what they were given; the others see the new definitions and limits.
        """
        self._configuration = configuration
        self._plan = plan
        self.executor.reconfigure(provision, max_runs=plan.max_runs)
        self._untold |= {"config_revision": configuration.revision, "jobs": jobs}
        self._apply_at = 0.0
        self.wake()

    async def run(self) -> None:
        """Take part until stopped, then drain."""
        try:
            async with together() as tasks:
                self._tasks = tasks
                self.executor.open(tasks, self.wake)
                try:
                    with self.farewell.passes:  # a ledger that does not answer must not hold up the drain
                        await self._load()
                        if self._leads:
                            tasks.start_soon(self._limit_startup)
                        while not self._stopping:
                            await self._pass()
                finally:
                    self.stop()  # where a pass has failed nobody else has said so
                    with self.farewell.words():
                        await self._drain()
                    tasks.cancel_scope.cancel()
        finally:
            self.ready.set()

    async def _load(self) -> None:
        """Learn what is known so far, as soon as the ledger answers."""
        while not self._stopping:
            self._woken = anyio.Event()
            try:
                return self.board.load(await self._world.load())
            except LedgerUnreachable as error:
                log.warning("the ledger does not answer: %s", error)
            await self._pause(LONGEST_WAIT)
        return None

    # --- one pass ---------------------------------------------------------------------------------------

    @property
    def _leads(self) -> bool:
        """Whether this instance may lead at all."""
        return self._plan.enabled and self._plan.kind is Kind.SERVICE

    async def _pass(self) -> None:
        self._woken = anyio.Event()
        if self._has_stepped_aside:
            return await self._woken.wait()
        performed = frozenset(self.executor.runs)  # before the board learns what has ended since
        try:
            await self._obey_plan()
            if self._regressed is not None:
                await self._begin_again(self._regressed)
            head = await self._leader.look()
            require_writer(head)
            if head.position != self.board.position:
                await self.board.follow(self._world)
            await self._adopt(performed)
            self._see_leader(head)
            more = self._leads and await self._lead(head)
            more |= self._plan.enabled and await self._claim()
            self._obey_cancels()
            await self._check_ready()
        except Fenced:
            self._leader.step_down("a later term has begun")
            more = True
        except Outdated as error:
            return await self._step_aside(error)
        except LedgerRegressed as error:
            self._regressed = self._regressed or error
            more = True
        except LedgerUnreachable as error:
            log.warning("the ledger does not answer: %s", error)
            # Not until the next fire time: one that is overdue would be asked for without a pause.
            return await self._pause(UNREACHABLE_PAUSE)
        if not more:
            await self._look_ahead()
            await self._wait()
        return None

    async def _step_aside(self, error: Outdated) -> None:
        """Lead and claim no more, for good: only a newer version may. Runs under way here go on."""
        self._has_stepped_aside = True
        log.error("this instance neither leads nor claims any more: %s; %s", error.message, error.hint)
        await hand_over(self._leader, self._world, "outdated")

    async def _obey_plan(self) -> None:
        """Contend or resign as `scheduler.enabled` says, and let the others know what is configured here."""
        if self._leads and not self._contends:
            self._contends = True
            self._leader.contend(self._wake_soon)
        elif self._contends and not self._leads:
            self._contends = False
            await self._leader.resign("scheduler.enabled is false")
        if self._untold:
            untold, self._untold = self._untold, {}
            try:
                await self._world.beat(**untold)
            except LedgerUnreachable:
                self._untold = untold | self._untold
                raise

    async def _begin_again(self, regressed: LedgerRegressed) -> None:
        """Take the ledger as it is now for the truth, and record what it has lost."""
        log.error("%s", regressed.message)
        if self._leader.term is not None:
            self._leader.step_down("the ledger has lost events")
        self.board.load(await self._world.load())
        await lineage.record_loss(self._world, regressed, self.executor.runs)
        self._regressed = None

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
            self._configuration_due = True
            self._planner.begin()
            await self.board.follow(self._world)
        if self._configuration_due or self._differs():
            self._apply_at = self._world.clock.monotonic() + RECONSIDER_SECONDS
            self._configuration_due = not await self._configuration.apply(self._world, self.board, term)
        if not self._startup_triggered:
            if self._configuration_due:
                return True
            await self._tell_epoch()
            await startup.trigger(self._world, self.board, Startup.CLUSTER, term)
            self._startup_triggered = True
        now = self._world.now()
        with self.executor.starting():
            again = await self._planner.tick(
                now, term, may_claim=self._dispatcher.may_claim, claimed=self._perform_triggered
            )
        if head.has_requests:
            again |= await self._inbox.tick(term)
        assert self._tasks is not None
        await self._chores.tick(now, term, self._plan.features, self._tasks)
        return again or self._configuration_due

    def _differs(self) -> bool:
        """Whether to ask again for files that are not current: what kept them away may be gone."""
        differs = self._configuration.revision != self.board.revisions.current
        return differs and self._world.clock.monotonic() >= self._apply_at

    async def _claim(self) -> bool:
        await self._tell_epoch()
        if self.board.changed and self._leader.term is None:
            self.board.changed.clear()
        return await self._dispatcher.tick(self._world.now(), self._perform_claimed)

    async def _tell_epoch(self) -> None:
        """Carry the boot epoch, once a leader is seen; instance-scoped startup runs belong to it too."""
        if self.board.epoch and self._epoch_told != self.board.epoch and self._plan.kind is Kind.SERVICE:
            await self._world.beat(epoch=self.board.epoch, config_revision=self._configuration.revision)
            self._instance_startup_due |= self._epoch_told is None
            self._epoch_told = self.board.epoch
        if self._instance_startup_due and self._plan.enabled and self.board.revisions.current:
            await startup.trigger(self._world, self.board, Startup.INSTANCE, None)
            self._instance_startup_due = False

    # --- runs -------------------------------------------------------------------------------------------

    def _perform_claimed(self, state: RunState, answer: Appended | Same) -> None:
        """Begin a run that this instance has just claimed."""
        self.board.waiting.pop(state.run_id, None)
        self.executor.perform(claims.claimed(state, answer, self._world.instance), answer.last)

    def _perform_triggered(self, event: e.Event, position: Position, recorded_at: datetime) -> None:
        """Begin a run that was triggered and claimed in one append."""
        state = claims.triggered(event, position, recorded_at, self._world.instance)
        self.executor.perform(state, Position(position + 1))

    async def _adopt(self, performed: frozenset[RunId]) -> None:
        """Perform the runs that this instance has claimed without knowing: the answer did not arrive."""
        for state, fence in await claims.unperformed(self._world, self.board, performed):
            log.warning("%s was claimed here, but the answer was lost; it is performed now", state.run_id)
            self.executor.perform(state, fence)

    def _obey_cancels(self) -> None:
        for attempt in list(self.executor.attempts):
            state = self.board.runs.get(attempt.run.run_id)
            if state is not None and state.cancel_requested:
                attempt.cancel()

    def _definition_of(self, name: JobName) -> JobDefinition | None:
        """Return what the ledger says a job is; a process that came for one run trusts its own files."""
        state = self.board.jobs.get(name)
        recorded = state.definition if state else None
        own = self._configuration.every.get(name)
        is_gone = state is not None and state.retired  # what its entry said counts no more
        return own or recorded if is_gone or self._plan.kind is Kind.ONESHOT else recorded or own

    # --- readiness --------------------------------------------------------------------------------------

    async def _check_ready(self) -> None:
        """Say so once the startup runs of this boot have ended, whatever their outcome."""
        if self.ready.is_set():
            return
        if not self._plan.enabled or self._plan.kind is Kind.ONESHOT:
            return self.ready.set()
        if await startup.have_ended(self._world, self.board, self._configuration):
            await self._world.beat(state="ready")
            self.ready.set()
        return None

    async def _limit_startup(self) -> None:
        """Be ready at the latest after `startup_wait_seconds`; do not keep the drain waiting."""
        with anyio.move_on_after(self._plan.startup_wait_seconds):
            await self.ready.wait()
        if not self.ready.is_set():
            log.warning("startup runs have not ended within %s s", self._plan.startup_wait_seconds)
            self._untold["state"] = "ready"
            self.ready.set()
            self.wake()

    # --- waiting and ending -----------------------------------------------------------------------------

    async def _wait(self) -> None:
        due = [self._dispatcher.next_claim(self._world.now())]
        seconds = min(self._plan.look_seconds, self._leader.seconds_to_chance)
        if self._leader.term is not None:
            due.append(self._planner.next_due())
            seconds = min(seconds, self._chores.seconds_to_views)
        soonest = min((instant for instant in due if instant is not None), default=None)
        if soonest is not None:
            seconds = min(seconds, max(0.0, (soonest - self._world.now()).total_seconds()))
        await self._pause(seconds)

    async def _look_ahead(self) -> None:
        """Use the time that is left until many jobs are due."""
        term = self._leader.term
        if term is not None:
            now = self._world.now()
            await self._planner.look_ahead(now, term, may_claim=self._dispatcher.may_claim)

    async def _pause(self, seconds: float) -> None:
        """Wait for a wake-up, but not for longer."""
        with anyio.move_on_after(seconds):
            await self._woken.wait()

    def _wake_soon(self) -> None:
        self._world.call_soon(self.wake)

    async def _drain(self) -> None:
        """Give leadership up, let runs end, hand back those that do not, and leave the views at the head."""
        self.ready.set()
        is_heard = await hand_over(self._leader, self._world, "drain")
        with self.farewell.runs:
            await self._until_idle()
        if self.executor.attempts:
            self.executor.drain()
            with anyio.move_on_after(PATIENCE_SECONDS + FLUSH_SECONDS):
                await self._until_idle()
        self.farewell.runs_have_ended()
        if is_heard:
            performed = frozenset(self.executor.runs)  # before the board learns what has ended since
            with suppress(LedgerUnreachable, LedgerRegressed, Outdated):
                await self.board.follow(self._world)
                if not self.executor.are_ending:  # else runs were cut off that have begun
                    await claims.hand_back(self._world, self.board, performed)
            await self._world.project()

    async def _until_idle(self) -> None:
        """Wait until nothing is performed here; who asks a run to stop is heard meanwhile."""
        while self.executor.attempts:
            self._woken = anyio.Event()
            await self._pause(LONGEST_WAIT)
            with suppress(LedgerUnreachable, LedgerRegressed, Outdated), anyio.move_on_after(LONGEST_WAIT):
                await self.board.follow(self._world)
                self._obey_cancels()
