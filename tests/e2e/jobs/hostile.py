"""Jobs that misbehave. Loaded with `--app`."""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import re
import sys
import threading
import time
from typing import Any, NoReturn

import anyio

from cronledger import JobContext, JobResult, job


class Unspeakable(Exception):
    """An error that cannot even be printed."""

    def __str__(self) -> NoReturn:
        raise RuntimeError("nobody may ask")


class Base(BaseException):
    """An error that no ordinary handler sees."""


RAISED = {
    "base": Base("deep"),
    "cancelled": asyncio.CancelledError("of its own accord"),
    "interrupt": KeyboardInterrupt("nobody pressed a key"),
    "exit": SystemExit(3),
    "generator": GeneratorExit(),
    "stop": StopIteration(),
    "unspeakable": Unspeakable(),
    "group": BaseExceptionGroup("several", [ValueError("one"), Base("two")]),
}


@job(extension="hostile")
async def quick() -> None:
    """Take no time."""


@job(extension="hostile", run_on_startup=True)
async def raise_async(ctx: JobContext) -> None:
    """Raise what `raises` says."""
    raise RAISED[ctx.params["raises"]]


@job(extension="hostile", run_on_startup=True)
def raise_in_a_thread(ctx: JobContext) -> None:
    """Raise what `raises` says."""
    raise RAISED[ctx.params["raises"]]


@job(extension="hostile", run_on_startup=True)
def thread_for_ever() -> None:
    """Wait for what never comes, in a thread."""
    threading.Event().wait()


@job(extension="hostile", run_on_startup=True)
async def thread_of_its_own_for_ever() -> None:
    """Wait for what never comes, in a thread that the engine does not know."""
    await asyncio.to_thread(threading.Event().wait)


@job(extension="hostile", run_on_startup=True)
async def deaf() -> None:
    """Swallow every request to stop."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


@job(extension="hostile", run_on_startup=True)
async def hang_in_finally() -> None:
    """Take for ever to tidy up."""
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep_forever()


@job(extension="hostile", run_on_startup=True, idempotent=True)
async def raise_in_finally() -> None:
    """Fail to tidy up."""
    try:
        await anyio.sleep_forever()
    finally:
        raise OSError("could not tidy up")


def _wait_for_ever(has_begun: Any) -> None:
    has_begun.set()
    while True:
        time.sleep(3600)


@job(extension="hostile")
def end_a_fork() -> JobResult:
    """End a process of its own, and say how it went."""
    fork = multiprocessing.get_context("fork")
    has_begun = fork.Event()
    forked = fork.Process(target=_wait_for_ever, args=(has_begun,))
    forked.start()
    has_begun.wait(20)  # a signal that comes while it is still being forked may be lost
    forked.terminate()
    forked.join(20)
    forked.kill()
    return JobResult.success().with_message(str(forked.exitcode))


@job(extension="hostile")
def print_a_line() -> None:
    """Say something where the answer of a command is said."""
    print("one for the eye")  # noqa: T201 - that is what it is about
    os.write(1, b"one past the interpreter\n")


@job(extension="hostile", run_on_startup=True, idempotent=True)
async def thread_that_drains() -> None:
    """Be at work when the process is told to stop, in a thread."""
    await anyio.to_thread.run_sync(threading.Event().wait, abandon_on_cancel=True)


def _cancel_own_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


@job(extension="hostile", run_on_startup=True)
async def cancel_own_task() -> None:
    """Cancel the task that one is in, and be done before that is felt."""
    _cancel_own_task()


@job(extension="hostile", run_on_startup=True)
async def cancel_own_task_and_wait() -> None:
    """Cancel the task that one is in, and feel it."""
    _cancel_own_task()
    await asyncio.sleep(3600)


@job(extension="hostile", run_on_startup=True)
async def leave_a_scope_open() -> None:
    """Enter a scope, cancel it, and go."""
    scope = anyio.CancelScope()
    scope.__enter__()
    scope.cancel()


@job(extension="hostile")
def leave() -> None:
    """End the process."""
    os._exit(17)


@job(extension="hostile")
def crash() -> None:
    """Read memory that is not there."""
    ctypes.string_at(0)


@job(extension="hostile")
def hold_the_interpreter() -> None:
    """Keep every thread of the process from running: one call into C that takes half a minute or so."""
    sys.setswitchinterval(1000)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        re.match(r"(a+)+$", "a" * 26 + "b")


@job(extension="hostile")
def chatter(ctx: JobContext) -> None:
    """Fill whatever takes the log."""
    for number in range(2000):
        ctx.log.warning("%s %s", number, "x" * 500)
