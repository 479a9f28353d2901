"""Isolated runs: the code of a job in a process of its own, which can be killed.

The instance's side. It starts the process, records the steps that the process asks for, and ends it: whatever
happens, the process and what it has started are gone before the run has its outcome. Only plain values are
read from it; code that goes wrong there, even in C, costs its own run and nothing else.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup

from cronledger.domain.result import JobResult
from cronledger.errors import CronledgerError
from cronledger.jobs import isolation_messages as m
from cronledger.jobs.api import Job, JobContext
from cronledger.jobs.calling import PATIENCE_SECONDS, said
from cronledger.jobs.decorator import check_importable
from cronledger.jobs.steps import DuplicateStep, StepFailed, named
from cronledger.jobs.together import together

IMPORTABLE = (
    "define it at the top level of a module that can be imported, and not in the program's main module; or "
    "say `isolation: thread`"
)
START = "import sys; sys.path.append(sys.argv[1]); from cronledger.isolated import main; main()"
PACKAGES = str(Path(__file__).parents[2])
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_", "TZ", "TMPDIR", "PYTHON", "LD_", "DYLD_", "VIRTUAL_ENV")
"""What the process is started with; the rest of the environment follows where no other user can read it."""


def obstacle(job: Job) -> str | None:
    """Return why a process of its own would not find a job, None if it would.

    >>> obstacle(Job())
    >>> obstacle(lambda: None)  # doctest: +ELLIPSIS
    "Can't pickle ..."
    """
    try:
        _Finder(io.BytesIO(pickle.dumps(job))).load()
    except Exception as error:  # noqa: BLE001 - whatever a class of somebody else's does when it is pickled
        return said(error)
    return None


async def perform_apart(job: Job, ctx: JobContext, *, database_url: str | None = None) -> JobResult | None:
    """Perform a job in a process of its own, and return or raise what it does.

    `database_url`: what `ctx.db` is opened from there. When the caller is cancelled the process is told to
    end, and killed `PATIENCE_SECONDS` later. Raises RaisedApart for whatever the code raised, and if the
    process has come to an end by itself.
    """
    setup = _setup(job, ctx, database_url)
    process = _Process(ctx.run.id)
    try:
        await process.connect()
        ended = await _Conversation(process, ctx).held(setup)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await process.end(tell=True)
        raise
    with anyio.CancelScope(shield=True):
        status = await process.end(tell=False)
    if ended is None:
        raise m.RaisedApart(_last_words(status, was_killed=process.was_killed))
    if ended.error is not None:
        raise m.RaisedApart(ended.error)
    return ended.result


class _Finder(pickle.Unpickler):
    """Loads what was pickled, as far as a fresh process could."""

    def find_class(self, module: str, name: str) -> Any:
        check_importable(module, name)
        return super().find_class(module, name)


class _Process:
    """The process of one isolated run, the leader of a group of its own."""

    def __init__(self, run_id: str) -> None:
        self._ours, theirs = socket.socketpair()
        environment = {key: value for key, value in os.environ.items() if key.startswith(KEPT_VARIABLES)}
        try:
            # On the thread of the loop: the process is killed when the thread that started it ends.
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and words of our own
                [sys.executable, "-P", "-c", START, PACKAGES, str(os.getpid()), run_id],
                stdin=theirs.fileno(),
                env=environment,
                start_new_session=True,
            )
        except BaseException:
            self._ours.close()
            raise
        finally:
            theirs.close()
        self.was_killed = False
        self._writer: asyncio.StreamWriter | None = None
        self._watch = asyncio.ensure_future(self._gone())

    async def connect(self) -> None:
        """Open the only way between the two."""
        self._reader, self._writer = await asyncio.open_connection(sock=self._ours)

    async def send(self, data: bytes) -> None:
        """Send a message; one that nobody takes any more is dropped."""
        assert self._writer is not None
        with suppress(OSError):
            self._writer.write(data)
            await self._writer.drain()

    async def receive(self) -> m.Upward | None:
        """Return the next message; None if there will be no more. Raises RaisedApart for what is none."""
        try:
            (size,) = m.HEADER.unpack(await self._reader.readexactly(m.HEADER.size))
            if size > m.MOST_BYTES:
                raise m.RaisedApart(f"the process of the run sent a message of {size} bytes")
            message: m.Upward = m.read_upward(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, OSError):
            return None
        except msgspec.MsgspecError as error:
            raise m.RaisedApart(f"the process of the run sent what cannot be read: {error}") from None
        return message

    async def end(self, *, tell: bool) -> int:
        """Wait until the process is gone, for `PATIENCE_SECONDS` at most, and return how it ended."""
        if tell:
            if self._writer is not None:
                self._writer.write(m.framed(m.Stop()))
            with suppress(ProcessLookupError):  # not by `terminate`, which may reap it first
                os.kill(self._process.pid, signal.SIGTERM)
        kill = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._kill)
        try:
            await self._watch
        finally:
            kill.cancel()
            if self._writer is not None:
                self._writer.close()
            else:
                self._ours.close()
        status: int | None = self._process.poll()
        assert status is not None, "it has been waited for"
        return status

    async def _gone(self) -> None:
        """Wait for the end of the process; what it has started and left in its group goes with it.

        It is not yet reaped then, so that the number of the group cannot be anybody else's.
        """
        await anyio.to_thread.run_sync(_wait_for, self._process, limiter=anyio.CapacityLimiter(1))
        self._kill_group()

    def _kill(self) -> None:
        self.was_killed = True
        self._kill_group()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


class _Conversation:
    """What is said between the instance and the process of one run."""

    def __init__(self, process: _Process, ctx: JobContext) -> None:
        self._process = process
        self._ctx = ctx
        self._works: dict[int, asyncio.Future[m.StepWorked]] = {}

    async def held(self, setup: m.Setup) -> m.Ended | None:
        """Hold it until the job has ended; return how, None if the process went without a word."""
        await self._process.send(m.with_length(pickle.dumps(setup)))
        ended: m.Ended | None = None
        async with together() as tasks:
            ended = await self._listen(tasks)
            tasks.cancel_scope.cancel()
        return ended

    async def _listen(self, tasks: TaskGroup) -> m.Ended | None:
        while (message := await self._process.receive()) is not None:
            match message:
                case m.Said():
                    self._say(message)
                case m.Moved():
                    self._ctx.progress(message.done, message.total, message.message)
                case m.StepAsked():
                    self._works[message.number] = asyncio.get_running_loop().create_future()
                    tasks.start_soon(self._step, message)
                case m.StepWorked():
                    waiter = self._works.pop(message.number, None)
                    if waiter is not None and not waiter.done():
                        waiter.set_result(message)
                case m.Ended():
                    return message
        return None

    def _say(self, line: m.Said) -> None:
        """Say a line here: one of `ctx.log` with job and run, any other where its logger leads."""
        with named(line.step):
            if line.logger == self._ctx.log.name:
                self._ctx.log.log(line.level, "%s", line.text)
            elif (logger := logging.getLogger(line.logger)).isEnabledFor(line.level):
                logger.log(line.level, "%s", line.text)

    async def _step(self, asked: m.StepAsked) -> None:
        """Record a step as if its code were here, and answer; that the run is lost ends all of it."""
        try:
            if asked.skipped is not None:
                await self._ctx.skip_step(asked.name, asked.skipped)
                answer: m.Downward = m.StepGiven(asked.number)
            elif asked.is_block:
                answer = await self._block(asked)
            else:
                work = partial(self._worked, asked.number)
                given = await self._ctx.step(asked.name, work, on_error=asked.on_error)
                answer = _given(asked.number, given)
        except StepFailed as failure:
            answer = m.StepRefused(asked.number, failure.error, failed_step=failure.name)
        except m.RaisedApart as error:  # out of a block, as itself
            answer = m.StepRefused(asked.number, error.told)
        except CronledgerError as refusal:
            is_duplicate = isinstance(refusal, DuplicateStep)
            answer = m.StepRefused(asked.number, refusal.message, refusal.hint, is_duplicate=is_duplicate)
        await self._process.send(m.framed(answer))

    async def _block(self, asked: m.StepAsked) -> m.Downward:
        async with self._ctx.step(asked.name, on_error=asked.on_error) as step:
            work = self._works[asked.number]  # forgotten once it is done, which may be during the send
            await self._process.send(m.framed(m.StepBegun(asked.number)))
            worked = await work
            step.report(
                processed=worked.processed, failed=worked.failed, message=worked.message, result=worked.value
            )
            if worked.error is not None:
                raise m.RaisedApart(worked.error)
        return m.StepGiven(asked.number)

    async def _worked(self, number: int) -> Any:
        """Let the work of a step be done there, and return or raise what it did."""
        work = self._works[number]
        await self._process.send(m.framed(m.StepBegun(number)))
        worked = await work
        if worked.error is not None:
            raise m.RaisedApart(worked.error)
        return worked.value if worked.result is None else worked.result


def _wait_for(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has ended, and leave it to be reaped."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def _given(number: int, value: Any) -> m.StepGiven:
    if isinstance(value, JobResult):
        return m.StepGiven(number, result=value)
    return m.StepGiven(number, value)


def _setup(job: Job, ctx: JobContext, database_url: str | None) -> m.Setup:
    params = msgspec.to_builtins(ctx.params) if isinstance(ctx.params, msgspec.Struct) else ctx.params
    return m.Setup(
        job=pickle.dumps(job),
        path=list(sys.path),
        arguments=list(sys.argv),
        environment=dict(os.environ),
        log_level=logging.getLogger().getEffectiveLevel(),
        own_log_level=min(logging.INFO, logging.getLogger(ctx.log.name).getEffectiveLevel()),
        run=msgspec.to_builtins(ctx.run),
        params=params,
        config={key: _looked_up(ctx.config, key) for key in ctx.config},
        enforce=ctx.enforce,
        idempotency_key=ctx.idempotency_key,
        root=str(ctx.root),
        database_url=database_url,
        has_database=ctx.db_or_none is not None,
    )


def _looked_up(config: Mapping[str, Any], key: str) -> tuple[Any, str | None]:
    try:
        return config[key], None
    except CronledgerError as error:
        return None, error.message


def _last_words(status: int, *, was_killed: bool) -> str:
    """Say how a process ended that should have gone on."""
    if was_killed:
        return "the process of the run closed its connection to the instance, and was killed"
    if status >= 0:
        return f"the process of the run ended by itself with exit code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "an unknown signal"
    guess = "; the system does that where memory runs out" if name == "SIGKILL" else ""
    return f"the process of the run was ended by {name} (signal {-status}){guess}"
