"""Performing: the job's own code, isolated, timed and cancellable, and an honest outcome.

Whatever a job raises ends its own run and nothing else. Code cannot be stopped against its will, neither a
thread nor a coroutine that swallows its cancellation: the run ends all the same, and the slot stays taken
until the code does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from datetime import datetime
from typing import Any

import msgspec
from anyio.abc import TaskGroup
from msgspec.structs import replace

from cronledger.domain import run
from cronledger.domain.definition import Isolation, JobDefinition
from cronledger.domain.ids import JobName, Position, RunId, run_stream
from cronledger.domain.line import LEVEL_OF
from cronledger.domain.result import JobResult
from cronledger.domain.retry import RetryOn
from cronledger.domain.run import Ended, Outcome, RunState
from cronledger.engine.attempt import Attempt, ClaimLost, RunUnknown
from cronledger.engine.discretion import Hide, discreet
from cronledger.engine.steps import NotANumber, Recorder, counted, told
from cronledger.engine.world import World
from cronledger.errors import LedgerDamaged, Outdated
from cronledger.jobs.api import Job, JobContext, RunInfo
from cronledger.jobs.calling import Threads, call, caller, is_cancellation, said
from cronledger.jobs.isolation import perform_apart
from cronledger.jobs.registry import is_built_in
from cronledger.jobs.together import PlainGroup
from cronledger.ledger.api import Item, Write
from cronledger.ledger.normal import MESSAGE_BYTES, truncated, worded

log = logging.getLogger("cronledger.run")
_NOTHING_TO_SAY = JobResult.success()
RUN_THREADS = 32
"""How many plain functions of one run, steps that are performed side by side, may be at work at once."""


class Provision(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is given besides its own parameters."""

    find: Callable[[str, str], Job | None]
    reveal: Callable[[Any], Any] = lambda value: value
    hide: Hide = lambda value: value
    config: Mapping[str, Any] = {}
    db: Any = None
    database_url: str | None = None
    open_own_db: Callable[[], Any] | None = None
    root: str = ""
    services: Sequence[object] = ()
    now: Callable[[], datetime] | None = None  # None: the ledger's clock


class Executor:
    """Performs claimed runs, up to `max_runs` at once, each as a task of its own."""

    def __init__(
        self,
        world: World,
        provision: Provision,
        *,
        max_runs: int,
        definition_of: Callable[[JobName], JobDefinition | None],
    ) -> None:
        self._world = world
        self._provision = provision
        self._definition_of = definition_of
        self._max_runs = max_runs
        self._tasks: PlainGroup | None = None
        self._held: list[Coroutine[Any, Any, None]] | None = None
        self._left: set[Any] = set()
        self._left_threads: list[Threads] = []
        self.attempts: dict[Attempt, None] = {}  # in the order of their beginning: a drain ends them so
        self.ended: Callable[[], None] = lambda: None

    def open(self, tasks: TaskGroup, ended: Callable[[], None]) -> None:
        """Let the runs to come end with a task group, and it with them; `ended` is called after each."""
        self._tasks = PlainGroup(tasks)
        self.ended = ended

    def reconfigure(self, provision: Provision, *, max_runs: int) -> None:
        """Give the runs to come something else, and another limit; those that have begun are not touched."""
        self._provision = provision
        self._max_runs = max_runs

    @property
    def runs(self) -> tuple[RunId, ...]:
        """The runs that are performed here."""
        return tuple(attempt.run.run_id for attempt in self.attempts)

    @property
    def room(self) -> int:
        """How many more runs may be claimed; code that was left behind still takes its slot."""
        return self._max_runs - len(self.attempts) - self.left_behind

    @property
    def left_behind(self) -> int:
        """How many threads and coroutines still run code whose run has ended."""
        return len(self._left) + sum(threads.at_work for threads in self._left_threads)

    def provides(self, definition: JobDefinition) -> bool:
        """Whether this instance has the code of a job."""
        return self._provision.find(definition.extension, definition.code) is not None

    def perform(self, state: RunState, fence: Position) -> None:
        """Begin to perform a run whose claim is durable."""
        attempt = Attempt(self._world, state, fence, self._provision.hide)
        self.attempts[attempt] = None
        self._start(self._perform(attempt))

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Begin runs in this block, many perhaps: those that end meanwhile tell their outcome after it.

        Unless there is no room by then, and they would keep others from beginning.
        """
        held: list[Coroutine[Any, Any, None]] = []
        self._held = held
        try:
            yield
        finally:
            self._held = None
            for telling in held:
                self._start(telling)

    def drain(self) -> None:
        """Stop every attempt; each hands its run back or ends it."""
        for attempt in list(self.attempts):
            attempt.is_draining = True
            attempt.code.stop()

    @property
    def are_ending(self) -> bool:
        """Whether all that is performed here is cut off, because the instance cannot go on."""
        return self._tasks is not None and self._tasks.are_ending

    def _start(self, work: Coroutine[Any, Any, None]) -> Any:
        assert self._tasks is not None
        return self._tasks.start(work)

    async def _perform(self, attempt: Attempt) -> None:
        """Perform a run and let its outcome be told; code that was left behind has no say in it any more."""
        definition = self._definition_of(attempt.run.job)
        threads = Threads(RUN_THREADS)
        began = self._world.clock.monotonic()
        try:
            if definition is None:
                ended = Ended(outcome=Outcome.FAILED, error=f"job '{attempt.run.job}' is not defined")
            else:
                ended = await self._run_code(attempt, definition, threads)
        except BaseException:
            self._forget(attempt)
            raise
        finally:
            if threads.at_work:
                self._left_threads = [each for each in (*self._left_threads, threads) if each.at_work]
        if not attempt.code.is_left:
            self._conclude(attempt, ended, definition, began)

    def _conclude(
        self, attempt: Attempt, ended: Ended, definition: JobDefinition | None, began: float
    ) -> None:
        """Let another task tell the outcome: on that of the code, the code may still have a hold."""
        took = round((self._world.clock.monotonic() - began) * 1000)
        ended = replace(ended, took_ms=took, duration_ms=ended.duration_ms or took)
        telling = self._told(attempt, ended, definition or JobDefinition(name=attempt.run.job))
        if self._held is not None and self.room > 0:
            self._held.append(telling)
        else:
            self._start(telling)

    async def _told(self, attempt: Attempt, ended: Ended, definition: JobDefinition) -> None:
        try:
            await self._record(attempt, ended, definition)
        finally:
            self._forget(attempt)

    def _forget(self, attempt: Attempt) -> None:
        """Give the slot back, unless code still holds it."""
        self.attempts.pop(attempt, None)
        attempt.notes.end()
        self._left_threads = [each for each in self._left_threads if each.at_work]
        self.ended()
        if self.left_behind and attempt.code.is_told_to_stop:
            log.warning("%s threads or coroutines run code whose run has ended", self.left_behind)

    async def _run_code(self, attempt: Attempt, definition: JobDefinition, threads: Threads) -> Ended:
        """Call the job and say how it came out, whatever it does."""
        job = self._provision.find(definition.extension, definition.code)
        if job is None:  # redefined elsewhere, after its run was claimed here
            return _failed(f"job '{attempt.run.job}' is not provided by this instance")
        leave = self._leaver(attempt, definition)
        try:
            with attempt.code:
                await attempt.recall_steps()
                ctx = self._context(attempt, definition, job, threads)
                attempt.code.begin(definition.timeout_seconds, leave)
                return _ended(await self._called(job, ctx, definition), attempt)
        except BaseException as error:
            if self.are_ending and is_cancellation(error):
                raise
            return _failed_in_the_end(attempt, definition, _raised(error))
        return _stopped(attempt, definition)

    def _leaver(self, attempt: Attempt, definition: JobDefinition) -> Callable[[], None] | None:
        """Return what to do once code has not stopped in time; a process of its own is killed instead."""
        if definition.isolation is Isolation.PROCESS:
            return None
        began, task = self._world.clock.monotonic(), caller()

        def leave() -> None:
            self._left.add(task)
            task.add_done_callback(self._left.discard)
            self._conclude(attempt, _stopped(attempt, definition), definition, began)

        return leave

    async def _called(self, job: Job, ctx: JobContext, definition: JobDefinition) -> Any:
        """Call the code where its definition says."""
        if definition.isolation is Isolation.PROCESS:
            return await perform_apart(job, ctx, database_url=self._provision.database_url)
        return await call(job.execute, ctx, threads=ctx.threads)

    def _context(self, attempt: Attempt, definition: JobDefinition, job: Job, threads: Threads) -> JobContext:
        state = attempt.run
        given = {**self._provision.reveal(definition.parameters), **state.parameters}
        parameters: Any = deepcopy(given)  # the job may change it, and the run's own state must not
        if job.params is not None:
            parameters = msgspec.convert(parameters, job.params, strict=False)
        info = RunInfo(
            id=state.run_id,
            job=state.job,
            attempt=state.attempt,
            fire_at=state.fire_at,
            cause=state.cause,
            fence=attempt.fence,
            owner=definition.owner,
        )
        return JobContext(
            info,
            steps=Recorder(attempt, self._world.clock),
            params=parameters,
            config=self._provision.config,
            db=self._provision.db,
            open_db=self._provision.open_own_db if is_built_in(job) else None,
            root=self._provision.root,
            now=self._provision.now or self._world.now,
            services=self._provision.services,
            enforce=definition.enforce,
            log=attempt.notes.log,
            progress=attempt.notes.progress,
            is_cancelled=lambda: attempt.code.is_told_to_stop,
            idempotency_key=run_stream(_first_of_chain(state)),
            threads=threads,
        )

    async def _record(self, attempt: Attempt, ended: Ended, definition: JobDefinition) -> None:
        """Append the outcome; one that cannot be written ends the run as failed, so that it does end."""
        try:
            await self._tell(attempt, ended, definition)
        except (LedgerDamaged, ArithmeticError, TypeError, ValueError) as error:
            ended = _failed(f"unserialisable: the outcome could not be recorded: {said(error)}")
            await self._tell(attempt, ended, definition)
        level: int = logging.getLevelName(LEVEL_OF[ended.outcome])
        if not log.isEnabledFor(level):
            return
        why = f": {truncated(self._provision.hide(ended.error), MESSAGE_BYTES)}" if ended.error else ""
        about = {"job": attempt.run.job, "run_id": attempt.run.run_id}
        text = "%s %s after %s ms%s"
        log.log(level, text, attempt.run.run_id, ended.outcome.value, ended.duration_ms, why, extra=about)

    async def _tell(self, attempt: Attempt, ended: Ended, definition: JobDefinition) -> None:
        """Append the outcome; what a lost attempt reports is kept beside it and changes nothing."""

        def decide(state: RunState) -> Sequence[Any]:
            if ended.outcome is Outcome.CANCELLED and attempt.is_draining and not state.cancel_requested:
                return run.interrupt(state, definition, attempt.actor)
            return run.finish(state, ended, definition)

        try:
            await attempt.append(decide, is_last=True)
        except RunUnknown:
            log.warning("%s: the ledger has lost the run, and so its outcome", attempt.run.run_id)
        except ClaimLost:
            late = tuple(
                discreet(event, self._provision.hide)
                for event in run.late(attempt.run, attempt.run.attempt, ended, attempt.actor)
            )
            await self._world.append(Item((Write(run_stream(attempt.run.run_id), late, expected=None),)))
        except Outdated as error:
            log.error(  # noqa: TRY400 - the sentence says it all
                "the outcome of %s cannot be recorded: %s", attempt.run.run_id, error.message
            )


def _ended(returned: Any, attempt: Attempt) -> Ended:
    """Read a job's result: some failed steps make it partial, a returned failure makes it failed."""
    if attempt.misuse is not None:
        return _raised(attempt.misuse)
    result = returned if isinstance(returned, JobResult) else _NOTHING_TO_SAY
    try:
        told = Ended(
            outcome=Outcome.SUCCEEDED,
            message=worded(result.message),
            items_processed=counted(result.items_processed),
            items_failed=counted(result.items_failed),
            duration_ms=counted(result.duration_ms) or 0,
        )
    except NotANumber as unfit:
        return _failed(f"unserialisable: {unfit}")
    if not result.ok:
        error = told.message or "the job reported a failure"
        return replace(told, outcome=Outcome.FAILED, retry_on=RetryOn.FAILURE, error=error)
    if attempt.steps_failed:
        outcome = Outcome.PARTIAL if attempt.steps_done else Outcome.FAILED
        many = attempt.steps_failed
        retry_on = RetryOn.FAILURE if outcome is Outcome.FAILED else None
        error = f"{many} step{'' if many == 1 else 's'} failed"
        return replace(told, outcome=outcome, retry_on=retry_on, error=error)
    return told


def _stopped(attempt: Attempt, definition: JobDefinition) -> Ended:
    """Say why code was told to stop."""
    if attempt.code.has_timed_out:
        text = f"took longer than timeout_seconds ({definition.timeout_seconds:g})"
        return Ended(outcome=Outcome.TIMED_OUT, retry_on=RetryOn.TIMEOUT, error=text)
    return Ended(outcome=Outcome.CANCELLED)


def _failed_in_the_end(attempt: Attempt, definition: JobDefinition, failed: Ended) -> Ended:
    """Say how code came out that has raised, if only when it was told to stop."""
    if attempt.code.has_timed_out:
        late = _stopped(attempt, definition)
        return replace(late, error=f"{late.error}; then it failed: {failed.error}")
    if attempt.is_draining and definition.idempotent and not attempt.run.cancel_requested:
        log.warning("%s failed when it was told to stop; it is handed back", attempt.run.run_id)
        return _stopped(attempt, definition)
    return failed


def _raised(error: BaseException) -> Ended:
    return _failed(told(error))


def _failed(error: str) -> Ended:
    return Ended(outcome=Outcome.FAILED, retry_on=RetryOn.ERROR, error=error)


def _first_of_chain(state: RunState) -> RunId:
    """Return the first run of a chain of retries: the name that foreign systems may rely on."""
    return RunId(state.run_id.partition("!retry-")[0]) if state.of else state.run_id
