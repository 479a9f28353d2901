"""For tests of jobs and schedules: a clock that is set by hand, a ledger in memory, one job performed.

>>> from cronledger import JobResult, job
>>> @job
... def count() -> JobResult:
...     return JobResult.success().with_stats(3, 0)
>>> import asyncio
>>> asyncio.run(perform(count)).items_processed
3
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from cronledger.clock import Clock, SystemClock
from cronledger.config.model import JobEntry, Override, Settings
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import instance_id
from cronledger.domain.run import RunState
from cronledger.engine.executor import Provision
from cronledger.entropy import SeededEntropy, SystemEntropy
from cronledger.errors import UnknownJob
from cronledger.jobs.api import Job, member
from cronledger.jobs.decorator import FunctionJob
from cronledger.jobs.registry import Registry, is_built_in
from cronledger.ledger.database import open_store
from cronledger.ledger.memory import MemoryLedger
from cronledger.projections import step_history
from cronledger.projections.replay import current
from cronledger.projections.step_state import StepRow
from cronledger.scheduler import Scheduler

__all__ = ["ManualClock", "MemoryLedger", "Performed", "SeededEntropy", "perform", "perform_with_steps"]


class ManualClock:
    """A clock that stands still until it is moved; all three of its readings move together."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._elapsed = 0.0

    def now(self) -> datetime:
        """Return the instant the clock was moved to."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds by which the clock was advanced."""
        return self._elapsed

    def boottime(self) -> float:
        """Return the seconds by which the clock was advanced."""
        return self._elapsed

    def advance(self, seconds: float) -> datetime:
        """Let time pass."""
        self._elapsed += seconds
        self._now += timedelta(seconds=seconds)
        return self._now

    def step(self, seconds: float) -> datetime:
        """Move only the wall clock, as an administrator or a time server does."""
        self._now += timedelta(seconds=seconds)
        return self._now


class Performed(msgspec.Struct, frozen=True):
    """A run that has ended, and its steps in the order in which they began."""

    run: RunState
    steps: list[StepRow]


async def perform(
    job: Job,
    *,
    params: Mapping[str, str] | None = None,
    db: Any = None,
    services: Sequence[object] = (),
    config: str | Path | None = None,
    clock: Clock | None = None,
) -> RunState:
    """Perform a job once on a ledger in memory and return the run with its outcome, counts and error.

    `config`: a configuration file, for the job's entry, `ctx.config` and `ctx.root`, whatever it says of jobs
    that are not at hand; without it no file is read. `clock`: what `ctx.now()` reads; timeouts and the waits
    between attempts take real time.
    """
    return (
        await perform_with_steps(job, params=params, db=db, services=services, config=config, clock=clock)
    ).run


async def perform_with_steps(
    job: Job,
    *,
    params: Mapping[str, str] | None = None,
    db: Any = None,
    services: Sequence[object] = (),
    config: str | Path | None = None,
    clock: Clock | None = None,
) -> Performed:
    """Perform a job once on a ledger in memory and return the run and its steps.

    The steps are those of the engine itself: with the same limits, and the same errors for a name that is
    used twice, a result that cannot be kept, or needs that cannot be met.

    >>> from cronledger import Pipeline
    >>> def fetch(ctx): ...
    >>> def store(ctx): raise OSError("disk full")
    >>> import asyncio
    >>> done = asyncio.run(perform_with_steps(Pipeline([fetch, store], name="sync")))
    >>> done.run.outcome.value, [(step.name, step.outcome.value, step.error) for step in done.steps]
    ('partial', [('fetch', 'succeeded', None), ('store', 'failed', 'OSError: disk full')])
    """
    entropy = SystemEntropy()
    url = f"memory://perform-{entropy.token().hex()}"
    given = [] if is_built_in(job) else [job]
    scheduler = _Alone(database_url=url, jobs=given, db=db, services=services, config=config)
    scheduler.seen = clock
    if config is None:
        scheduler.settings = Settings()
    scheduler.settings = _of_the_provided(scheduler.settings, scheduler.registry)
    reader = instance_id("reader", 0, entropy.token().hex()[:12])
    with closing(open_store(url, instance=reader, clock=SystemClock(), entropy=entropy)) as store:
        label = _definition(scheduler, job).name
        (run,) = await scheduler.run_manually([label], parameters=params, actor="test", local=True)
        with current(store) as views, views.reading() as connection:
            return Performed(run, step_history.of_run(connection, run.run_id))


class _Alone(Scheduler):
    """A scheduler whose jobs are shown another clock than the one that it goes by, which has to go on."""

    seen: Clock | None = None

    def _provision(self) -> Provision:
        return msgspec.structs.replace(super()._provision(), now=self.seen.now if self.seen else None)


def _of_the_provided(settings: Settings, registry: Registry) -> Settings:
    """Leave out what is said of jobs that no code here provides, and what would run at start."""

    def is_provided(said: JobEntry | Override) -> bool:
        return registry.find(said.extension, said.job) is not None

    return msgspec.structs.replace(
        settings,
        jobs=tuple(filter(is_provided, settings.jobs)),
        overrides=tuple(filter(is_provided, settings.overrides)),
        bootstrap_jobs=(),
    )


def _definition(scheduler: Scheduler, job: Job) -> JobDefinition:
    """Return what is configured for a job: its entry, be it for another object of the same class and name."""
    name = str(member(job, "name"))

    def rank(definition: JobDefinition) -> tuple[bool, bool, bool]:
        return not definition.scheduled, _code(scheduler, definition) is not job, definition.name != name

    found = [each for each in scheduler.resolution.every if _provides(_code(scheduler, each), job, name)]
    if not found:
        raise UnknownJob(name)
    return min(found, key=rank)


def _code(scheduler: Scheduler, definition: JobDefinition) -> Job | None:
    return scheduler.registry.code_of(definition.extension, definition.code)


def _provides(code: Job | None, job: Job, name: str) -> bool:
    if code is job or isinstance(job, FunctionJob):
        return code is job
    return type(code) is type(job) and name == str(member(code, "name"))
