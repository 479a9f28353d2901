"""What a job is, and what it is given when it runs."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Protocol, TypeVar, overload

import anyio
import msgspec

from cronledger.clock import SystemClock
from cronledger.domain.events import Cause
from cronledger.domain.ids import RunId
from cronledger.domain.result import JobResult
from cronledger.errors import DatabaseNotAvailable, ServiceNotAvailable, UsageError
from cronledger.jobs.calling import Threads
from cronledger.jobs.steps import OnError, on_error_of

T = TypeVar("T")


class Job:
    """A named piece of work. Members may be attributes or methods; only `name` and `execute` are required.

    >>> class Tidy(Job):
    ...     name = "tidy"
    ...     schedule = "0 0 3 * * *"
    ...
    ...     async def execute(self, ctx: JobContext) -> JobResult:
    ...         return JobResult.success().with_message("nothing to do")
    """

    name: Any = ""
    description: Any = ""
    schedule: Any = ""
    run_on_startup: Any = False
    tags: Any = ()
    extension: Any = None
    idempotent: Any = False
    isolation: Any = "thread"
    params: type[msgspec.Struct] | None = None

    async def execute(self, ctx: JobContext) -> JobResult | None:
        """Do the work. None means success; raise for what should not have happened."""
        raise NotImplementedError(f"{type(self).__name__} does not say what to do: define `execute`")


class RunInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The run that a job is performing.

    `fence` is the position of the attempt's start: it grows with every attempt, so a foreign system can
    refuse an older one. `fire_at` is the fire time of a scheduled run, None otherwise. `owner` is on whose
    behalf the job runs, as its entry says: for the audit rows of other systems.
    """

    id: RunId
    job: str
    attempt: int
    fire_at: datetime | None
    cause: Cause
    fence: int
    owner: str | None = None


Work = Callable[..., Any] | Job
"""What a step is made of: a function, or a job."""


class Step(Protocol):
    """A step that is being performed."""

    name: str

    def report(
        self,
        *,
        processed: int | None = None,
        failed: int | None = None,
        message: str | None = None,
        result: object = None,
    ) -> None:
        """Add counts, a message and a small result to what the ledger keeps of this step."""


class Steps(Protocol):
    """Records the steps of one run: in production as in `cronledger.testing`, whose ledger is in memory."""

    def open(self, name: str, on_error: OnError) -> AbstractAsyncContextManager[Step]:
        """Record a step round a block of code."""

    async def perform(
        self, name: str, work: Work, args: Sequence[Any], ctx: JobContext, *, on_error: OnError
    ) -> Any:
        """Record a step round a call; a step that has succeeded before returns its recorded result."""

    async def skip(self, name: str, reason: str) -> None:
        """Record that a step is not begun."""


class StepHandle:
    """Either `async with ctx.step("name") as step:` or `await ctx.step("name", function, ...)`."""

    def __init__(
        self, open_step: Callable[[], AbstractAsyncContextManager[Step]], call: Awaitable[Any] | None
    ) -> None:
        self._open = open_step
        self._call = call
        self._block: AbstractAsyncContextManager[Step] | None = None

    def __await__(self) -> Any:
        if self._call is None:
            raise TypeError("a step without a function is used as `async with ctx.step(name):`")
        return self._call.__await__()

    async def __aenter__(self) -> Step:
        if self._call is not None:
            raise TypeError("a step with a function is awaited: `await ctx.step(name, function)`")
        self._block = self._open()
        return await self._block.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._block is not None
        return await self._block.__aexit__(kind, error, trace)


LONGEST_SLEEP_SECONDS = 3600

Log = logging.Logger | logging.LoggerAdapter[logging.Logger]
"""What a job writes its lines to."""


class JobContext:
    """What one run is given; every run has its own."""

    def __init__(
        self,
        run: RunInfo,
        *,
        steps: Steps,
        params: Any = None,
        config: Mapping[str, Any] | None = None,
        db: Any = None,
        open_db: Callable[[], Any] | None = None,
        root: str = "",
        now: Callable[[], datetime] | None = None,
        services: Sequence[object] = (),
        enforce: bool = True,
        log: Log | Callable[[], Log] | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        idempotency_key: str | None = None,
        threads: Threads | None = None,
        progress: Callable[[Any, Any, Any], None] | None = None,
    ) -> None:
        self.run = run
        self.params: Any = params if params is not None else {}
        self.config: Mapping[str, Any] = MappingProxyType(config or {})
        self.enforce = enforce
        self._log = log
        self.idempotency_key = idempotency_key or f"run-{run.id}"
        self.threads = threads
        self._db = db
        self._open_db = open_db
        self._root = root
        self._now = now or SystemClock().now
        self._services = tuple(services)
        self._steps = steps
        self._is_cancelled = is_cancelled
        self._progress = progress

    @property
    def log(self) -> Log:
        """The log of this run: every line says which run it is of, and is kept with it."""
        if self._log is None:
            self._log = logging.getLogger("cronledger.jobs")
        elif not isinstance(self._log, logging.Logger | logging.LoggerAdapter):
            self._log = self._log()  # made by the first who writes: most runs say nothing
        return self._log

    @property
    def db(self) -> Any:
        """The application's database engine; raises DatabaseNotAvailable if none is configured."""
        if self.db_or_none is None:
            raise DatabaseNotAvailable
        return self._db

    @property
    def db_or_none(self) -> Any | None:
        """The application's database engine, or None if none is configured."""
        if self._db is None and self._open_db is not None:
            self._db = self._open_db()
        return self._db

    @property
    def root(self) -> Path:
        """The application's folder: `application.root`, else the one that holds `services/`."""
        return Path(self._root).absolute()

    def now(self) -> datetime:
        """Return the present instant, in UTC, by the clock that the schedule follows."""
        return self._now()

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants this run to stop: long plain functions look here from time to time."""
        return self._is_cancelled()

    async def sleep(self, seconds: float) -> None:
        """Wait, for instance until another system may be asked again; a run told to stop does so at once.

        It is real time that passes, by the machine's own clock and not by `now()`, and the run keeps its slot
        and its `timeout_seconds` meanwhile. At most an hour: what has to wait longer is a schedule. Raises
        UsageError for anything else.

        >>> async def ask_again(ctx: JobContext) -> None:
        ...     await ctx.sleep(0.25)
        """
        if not 0 <= seconds <= LONGEST_SLEEP_SECONDS:
            raise UsageError(
                f"a run cannot sleep {seconds} seconds",
                hint=f"at least 0 and at most {LONGEST_SLEEP_SECONDS} seconds: beyond that, use a schedule",
            )
        await anyio.sleep(seconds)

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Tell people who watch how far this run is: `ctx.progress(300, 1000, "importing")`.

        Call it as often as you like, from any thread: it never waits and never raises, and the latest word is
        shown about once a second. Numbers that cannot be true are left out, with one warning in the log.
        """
        if self._progress is not None:
            self._progress(done, total, message)

    def service(self, kind: type[T]) -> T:
        """Return the application's or an extension's service of a type.

        Raises ServiceNotAvailable with the type's name if nobody provides one.
        """
        for service in self._services:
            if isinstance(service, kind):
                return service
        raise ServiceNotAvailable(f"{kind.__module__}.{kind.__qualname__}")

    def step(self, name: str, work: Work | None = None, *args: Any, on_error: str = "stop") -> StepHandle:
        """Record a part of this run: as a block, or round a function or another job.

        A step that has succeeded is not repeated when its run is tried again: its recorded result stands. A
        block cannot be left out; it is performed, and recorded, in every attempt.

        A failure is recorded and raised as StepFailed (out of a block, as itself). With
        `on_error="continue"` it is recorded and returned as a `JobResult` that is not `ok` (a block is left),
        and the run ends `partial`, or `failed` if none of its steps succeeded.

        Each name is used once in a run; DuplicateStep is raised for the second, and the run fails. A result
        that the ledger cannot keep as plain JSON of at most 16 KiB fails its step.

        >>> async def count(ctx: JobContext) -> JobResult:
        ...     total = await ctx.step("add", sum, [1, 2, 3])
        ...     return JobResult.success().with_stats(total, 0)
        """
        chosen = on_error_of(on_error)
        if work is not None:
            check_work(name, work)
        call = None if work is None else self._steps.perform(name, work, args, self, on_error=chosen)
        return StepHandle(lambda: self._steps.open(name, chosen), call)

    async def skip_step(self, name: str, reason: str) -> None:
        """Record that a part of this run is left out, and why; it may be performed in a later attempt.

        >>> async def publish(ctx: JobContext) -> None:
        ...     await ctx.skip_step("upload", "nothing has changed")
        """
        await self._steps.skip(name, reason)


def check_work(name: str, work: object) -> None:
    """Refuse what a step cannot be made of. Raises UsageError."""
    if isinstance(work, type) and issubclass(work, Job):
        raise UsageError(
            f"step '{name}' is given the class {work.__name__}", hint=f"give it a job: {work.__name__}()"
        )
    if not isinstance(work, Job) and not callable(work):
        raise UsageError(
            f"step '{name}' is given a value of type {type(work).__name__}",
            hint="give it a function or a job",
        )


@overload
def member(owner: object, name: str) -> Any: ...
@overload
def member(owner: object, name: str, default: Any) -> Any: ...
def member(owner: object, name: str, default: Any = None) -> Any:
    """Read a member of a job or an extension that may be written as an attribute or as a method."""
    value = getattr(owner, name, default)
    return value() if callable(value) and name != "params" else value
