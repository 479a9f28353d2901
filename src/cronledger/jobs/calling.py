"""Calling somebody else's code: async code is awaited, plain code gets a thread.

Neither can be stopped against its will. Code that goes on after it was told to stop is left behind.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread

PATIENCE_SECONDS = 2.0
"""How long code that is told to stop may take to do so before it is left behind."""


async def call(function: Callable[..., Any], *args: Any, threads: anyio.CapacityLimiter | None = None) -> Any:
    """Call a function, in a thread unless it is async, and return or raise what it does.

    A thread cannot be stopped: when the caller is cancelled it is left behind and its result is dropped.
    """
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return await function(*args)
    returned, error = await anyio.to_thread.run_sync(
        _outcome, function, args, abandon_on_cancel=True, limiter=threads
    )
    if error is not None:
        raise error
    return await returned if inspect.isawaitable(returned) else returned


async def call_apart(
    function: Callable[..., Any], *args: Any, left_behind: Callable[[asyncio.Task[Any]], None], **more: Any
) -> Any:
    """Call a function as `call` does, in a task of its own, and return or raise what it does.

    When the caller is cancelled the task is cancelled too. If it has not ended within `PATIENCE_SECONDS`,
    `left_behind` is told and the caller goes on without it.
    """
    scope = anyio.CancelScope()
    task = asyncio.create_task(_within(scope, function, args, more))
    try:
        await _end_of(task)
    except asyncio.CancelledError:
        scope.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task], timeout=PATIENCE_SECONDS)
        if not task.done():
            left_behind(task)
            raise
        if scope.cancelled_caught:
            raise
    returned, error = task.result()
    if error is not None:
        raise error
    return returned


def is_cancellation(error: BaseException) -> bool:
    """Whether somebody has told the calling task to stop; code may raise the same by itself, as a failure."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return anyio.current_effective_deadline() == -math.inf or (task is not None and task.cancelling() > 0)


def said(error: BaseException) -> str:
    """Return what an exception says, or its name; its class is somebody else's and may fail to say."""
    try:
        return str(error) or type(error).__name__
    except BaseException:  # noqa: BLE001 - whatever a job's exception does when it is asked
        return type(error).__name__


async def _end_of(task: asyncio.Task[Any]) -> None:
    """Wait for a task as `asyncio.wait` does, which is for many and takes three times as long."""
    ended = asyncio.get_running_loop().create_future()
    task.add_done_callback(lambda _: None if ended.done() else ended.set_result(None))
    await ended


async def _within(
    scope: anyio.CancelScope, function: Callable[..., Any], args: tuple[Any, ...], more: dict[str, Any]
) -> tuple[Any, BaseException | None]:
    """Carry whatever was raised as a value: SystemExit in a task would end the loop."""
    try:
        with scope:
            return await call(function, *args, **more), None
    except BaseException as error:  # noqa: BLE001 - it is raised again by the caller
        return None, error
    return None, None


def _outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
    """Carry whatever was raised as a value: StopIteration and SystemExit do not survive a future."""
    try:
        return function(*args), None
    except BaseException as error:  # noqa: BLE001 - it is raised again by the caller
        return None, error
