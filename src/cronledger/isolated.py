"""The process of an isolated run: the code of one job, and the way back to the instance that started it.

It ends with the run and never outlives the instance. Nothing of the engine is here: steps are asked for,
and recorded by the instance before their work is done. See `cronledger.jobs.isolation_messages`.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any, NoReturn, TypeVar

import anyio
import msgspec

from cronledger.domain.progress import amount
from cronledger.domain.result import JobResult
from cronledger.engine.steps import NotANumber, StepReport, called, counted, plain_result, told
from cronledger.errors import ConfigError, CronledgerError, DatabaseNotAvailable
from cronledger.jobs import isolation_messages as m
from cronledger.jobs.api import Job, JobContext, RunInfo, Work
from cronledger.jobs.calling import call, is_cancellation
from cronledger.jobs.steps import STEP, DuplicateStep, OnError, StepFailed, named
from cronledger.ledger.normal import ERROR_BYTES, normalised, truncated, worded

T = TypeVar("T")
_Answer = m.StepBegun | m.StepGiven | m.StepRefused
MOST_BYTES = 64 * ERROR_BYTES
"""Of a text that is told: so much more than the ledger keeps that no part of a secret is left of a cut.

The instance hides secrets and shortens after that, when beginning and end are far from the cut.
"""
ORPHANED = 1
_DIE_WITH_PARENT = 1
_INT64 = 2**63 - 1


def main() -> None:
    """Be the process of one run. Words: where this package lies, the instance's process id, the run's id."""
    _end_with(int(sys.argv[2]))
    # A service manager tells all processes of the instance to end, which drains it: this run goes on. It is
    # not ignored, or the programs that the code starts would ignore it as well.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    connection = _Connection()
    setup = connection.setup()
    os.environ.clear()
    os.environ.update(setup.environment)
    sys.path[:], sys.argv[:] = setup.path, setup.arguments
    _log_through(connection, setup)
    try:
        job: Job = pickle.loads(setup.job)  # noqa: S301 - by the instance, through a socket only it has
    except Exception as error:  # noqa: BLE001 - an import is somebody else's code
        connection.send(m.Ended(error=_text(f"the job cannot be imported anew: {told(error)}")))
        return
    anyio.run(_perform, job, setup, connection)


async def _perform(job: Job, setup: m.Setup, connection: _Connection) -> None:
    scope = anyio.CancelScope()
    loop = asyncio.get_running_loop()
    steps = _Steps(connection)
    ctx = _Context(setup, job, steps=steps, scope=scope)

    def take(message: m.Downward) -> None:
        if isinstance(message, m.Stop):
            scope.cancel()
        else:
            steps.take(message)

    connection.listen(loop, take)
    with scope:
        connection.send(await _ended(job, ctx))


async def _ended(job: Job, ctx: JobContext) -> m.Ended:
    """Call the job and say how it came out."""
    try:
        returned = await call(job.execute, ctx)
    except BaseException as error:
        if is_cancellation(error):
            raise
        return m.Ended(error=_text(told(error)))
    if not isinstance(returned, JobResult):
        return m.Ended()
    try:
        return m.Ended(_fitting(returned))
    except NotANumber as unfit:
        return m.Ended(error=f"unserialisable: {unfit}")


class _Connection:
    """The socket to the instance: written to from any thread, read in one of its own."""

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=os.dup(0))
        self._lock = threading.Lock()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)  # the code of the job finds nothing to read, and does not reach the socket
        os.close(null)

    def setup(self) -> m.Setup:
        """Receive what to do."""
        setup: m.Setup = pickle.loads(self._received())  # noqa: S301 - by the instance, through its socket
        return setup

    def send(self, message: m.Upward) -> None:
        """Send a message; returns when it is on its way."""
        with self._lock:
            self._socket.sendall(m.framed(message))

    def listen(self, loop: asyncio.AbstractEventLoop, take: Callable[[m.Downward], None]) -> None:
        """Hand what arrives to whoever waits for it, until the instance is gone; then nobody does."""

        def listening() -> None:
            while True:
                message = m.read_downward(self._received())
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(take, message)

        threading.Thread(target=listening, name="cronledger-instance", daemon=True).start()

    def _received(self) -> bytes:
        (size,) = m.HEADER.unpack(self._exactly(m.HEADER.size))
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self._socket.recv(min(size - len(data), 1 << 20))
            if not part:
                _orphaned()
            data += part
        return bytes(data)


class _Steps:
    """The steps of the run, as far as they are performed here."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[_Answer]] = {}

    def take(self, message: _Answer) -> None:
        """Hand an answer to whoever waits for it."""
        waiter = self._waiting.pop(message.number, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(message)

    @asynccontextmanager
    async def open(self, name: str, on_error: OnError) -> AsyncIterator[StepReport]:
        """Record a step round a block; what it raises is recorded, and raised unless the run goes on."""
        asked = m.StepAsked(next(self._numbers), _name(name), on_error.value, is_block=True)
        await self._ask(asked)
        step = StepReport(asked.name)
        try:
            with named(step.name):
                yield step
        except GeneratorExit:
            raise
        except BaseException as error:
            if is_cancellation(error):
                raise
            await self._tell(_reported(asked.number, step, error=_text(told(error))))
            if on_error is OnError.CONTINUE:
                return
            raise
        await self._ask(_reported(asked.number, step))

    async def perform(
        self, name: str, work: Work, args: Sequence[Any], ctx: JobContext, *, on_error: OnError
    ) -> Any:
        """Record a step round a call; one that has succeeded before is not performed."""
        asked = m.StepAsked(next(self._numbers), _name(name), on_error.value)
        answer = await self._ask(asked)
        error: BaseException | None = None
        if isinstance(answer, m.StepBegun):
            try:
                with named(asked.name):
                    returned = await called(work, args, ctx)
                worked = _worked(asked.number, returned)
            except BaseException as raised:
                if is_cancellation(raised):
                    raise
                error, worked = raised, m.StepWorked(asked.number, error=_text(told(raised)))
            try:
                answer = await self._ask(worked)
            except StepFailed as failure:
                raise failure from error
        assert isinstance(answer, m.StepGiven)
        return answer.value if answer.result is None else answer.result

    async def skip(self, name: str, reason: str) -> None:
        """Record that a step is not begun."""
        await self._ask(m.StepAsked(next(self._numbers), _name(name), skipped=_text(str(normalised(reason)))))

    def moved(self, done: Any, total: Any, message: Any) -> None:
        """Tell how far the run is."""
        words = None if message is None else _text(worded(message) or "")
        with suppress(OSError):
            self._connection.send(m.Moved(_amount(done), _amount(total), words))

    async def _ask(self, message: m.StepAsked | m.StepWorked) -> _Answer:
        """Send a message and wait for its answer. Raises what the instance refuses."""
        answer = await self._tell(message)
        if not isinstance(answer, m.StepRefused):
            return answer
        if answer.failed_step is not None:
            raise StepFailed(answer.failed_step, answer.error)
        if answer.is_duplicate and isinstance(message, m.StepAsked):
            raise DuplicateStep(message.name)
        raise CronledgerError(answer.error, hint=answer.hint)

    async def _tell(self, message: m.StepAsked | m.StepWorked) -> _Answer:
        waiter: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting[message.number] = waiter
        self._connection.send(message)
        return await waiter


class _Context(JobContext):
    """The context of a run, as far as it reaches into a process of its own."""

    def __init__(self, setup: m.Setup, job: Job, *, steps: _Steps, scope: anyio.CancelScope) -> None:
        params = setup.params
        if job.params is not None:
            params = msgspec.convert(params, job.params, strict=False)
        self._setup = setup
        run = msgspec.convert(setup.run, RunInfo)
        super().__init__(
            run,
            steps=steps,
            params=params,
            config=_Config(setup.config),
            root=setup.root,
            enforce=setup.enforce,
            log=logging.LoggerAdapter(logging.getLogger(f"cronledger.jobs.{run.job}"), {}),
            is_cancelled=lambda: scope.cancel_called,
            idempotency_key=setup.idempotency_key,
            progress=steps.moved,
        )

    @property
    def db(self) -> Any:
        """The application's database, opened anew here; raises DatabaseNotAvailable, NotIsolated."""
        if self._db is None and self._setup.database_url is not None:
            # Most runs need no database, and SQLAlchemy takes longer to import than everything else.
            from cronledger.ledger.application import application_engine  # noqa: PLC0415

            self._db = application_engine(self._setup.database_url)
        if self._db is not None:
            return self._db
        if self._setup.has_database:
            raise m.NotIsolated(
                "the database that was given as an object",
                "set `application: {database_url: ...}`, or say `isolation: thread`",
            )
        raise DatabaseNotAvailable

    @property
    def db_or_none(self) -> Any | None:
        """The application's database, opened anew here, or None if none is configured."""
        return self.db if self._setup.has_database else None

    def service(self, kind: type[T]) -> T:
        """Raise NotIsolated: services live in the instance."""
        raise m.NotIsolated(
            f"service {kind.__module__}.{kind.__qualname__}",
            "make what the job needs in the job itself, or say `isolation: thread`",
        )


class _Config(Mapping[str, Any]):
    """What `ctx.config` gives; what could not be looked up is missed when it is read."""

    def __init__(self, values: dict[str, tuple[Any, str | None]]) -> None:
        self._values = values

    def __getitem__(self, key: str) -> Any:
        value, problem = self._values[key]
        if problem is not None:
            raise ConfigError([problem])
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class _Through(logging.Handler):
    """Hands every line to the instance, whose log it belongs in."""

    def __init__(self, connection: _Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        """Send a line with what was raised."""
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - whatever somebody else's arguments do when they are formatted
            self.handleError(record)
            return
        line = m.Said(record.name, record.levelno, _text(text), STEP.get())
        with suppress(OSError):
            self._connection.send(line)


def _log_through(connection: _Connection, setup: m.Setup) -> None:
    root = logging.getLogger()
    root.addHandler(_Through(connection))
    root.setLevel(setup.log_level)
    logging.getLogger(f"cronledger.jobs.{setup.run['job']}").setLevel(setup.own_log_level)


def _worked(number: int, returned: Any) -> m.StepWorked:
    """Say what the work of a step returned, as the ledger keeps it. Raises NotKept or NotANumber."""
    if isinstance(returned, JobResult):
        return m.StepWorked(number, result=_fitting(returned))
    return m.StepWorked(number, value=plain_result(returned))


def _reported(number: int, step: StepReport, *, error: str | None = None) -> m.StepWorked:
    return m.StepWorked(
        number,
        error=error,
        value=normalised(step.result),
        processed=_bounded(step.processed),
        failed=_bounded(step.failed),
        message=None if step.message is None else _text(step.message),
    )


def _fitting(result: JobResult) -> JobResult:
    """Return a result whose fields have their types. Raises NotANumber."""
    message = worded(result.message)
    return JobResult(
        ok=bool(result.ok),
        message=None if message is None else _text(message),
        items_processed=_bounded(counted(result.items_processed)),
        items_failed=_bounded(counted(result.items_failed)),
        duration_ms=_bounded(counted(result.duration_ms)),
    )


def _bounded(value: int | None) -> int | None:
    return None if value is None else max(-_INT64, min(int(value), _INT64))


def _amount(value: object) -> Any:
    """Return a number as it is kept, and of anything else what the instance will warn of."""
    number = amount(value)
    return normalised(value) if number is None else number


def _name(name: object) -> str:
    return _text(worded(name) or "")


def _text(text: str) -> str:
    return truncated(text, MOST_BYTES)


def _end_with(instance: int) -> None:
    """Be killed when the instance ends, however it does; elsewhere than on Linux, when its socket closes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != instance:
        _orphaned()


def _orphaned() -> NoReturn:
    """End at once, with whatever was started here: nobody waits for it any more."""
    os.killpg(0, signal.SIGKILL)
    os._exit(ORPHANED)
