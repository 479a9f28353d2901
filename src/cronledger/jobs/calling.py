"""Calling somebody else's code: async code is awaited, plain code gets a thread."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread


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


def _outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
    """Carry whatever was raised as a value: StopIteration and SystemExit do not survive a future."""
    try:
        return function(*args), None
    except BaseException as error:  # noqa: BLE001 - it is raised again by the caller
        return None, error
