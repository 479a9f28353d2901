"""Calling somebody else's code: async code is awaited, plain code gets a thread.

Neither can be stopped against its will. Code that goes on after it was told to stop is left behind.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache
from types import AsyncGeneratorType, FunctionType, GeneratorType, TracebackType
from typing import Any

import anyio
import anyio.to_thread

_Result = tuple[Any, BaseException | None]
PATIENCE_SECONDS = 2.0
"""How long code that is told to stop may take to do so before it is left behind."""


class Threads:
    """The threads in which the plain functions of one run are at work, so many at once.

    A thread whose caller was cancelled goes on, and counts as long as it does: `at_work`.
    """

    __slots__ = ("_at_work", "_limiter", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._limiter: anyio.CapacityLimiter | None = None
        self._at_work: set[object] = set()

    @property
    def at_work(self) -> int:
        """How many functions are at work just now, also those that nobody waits for any more."""
        return len(self._at_work)

    @property
    def limiter(self) -> anyio.CapacityLimiter:
        """What keeps more of them from beginning; made when it is first needed, which few runs do."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._most)
        return self._limiter

    def perform(self, function: Callable[..., Any], args: tuple[Any, ...]) -> _Result:
        """Call a function, on the thread that is given to it."""
        place = object()
        self._at_work.add(place)
        try:
            return _outcome(function, args)
        finally:
            self._at_work.discard(place)


async def call(function: Callable[..., Any], *args: Any, threads: Threads | None = None) -> Any:
    """Call a function, in a thread unless it is async, and return or raise what it does.

    A thread cannot be stopped: when the caller is cancelled it is left behind and its result is dropped.
    Raises TypeError for what makes a generator: a call performs none of its code.
    """
    if _is_async(function):
        return _performed(function, await function(*args))
    perform = threads.perform if threads else _outcome
    limiter = threads.limiter if threads else None
    returned, error = await anyio.to_thread.run_sync(
        perform, function, args, abandon_on_cancel=True, limiter=limiter
    )
    if error is not None:
        raise error
    return _performed(function, await returned if inspect.isawaitable(returned) else returned)


def makes_generator(function: Callable[..., Any]) -> bool:
    """Whether a `yield` in a function keeps a call from performing it.

    >>> def numbers():
    ...     yield 1
    >>> makes_generator(numbers), makes_generator(print)
    (True, False)
    """
    codes = (function, type(function).__call__)
    return any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in codes)


def within(seconds: float) -> AbstractContextManager[object]:
    """Return a block of which TimeoutError is raised if it takes longer."""
    return anyio.fail_after(seconds)


class Stoppable:
    """The block in which somebody else's code is at work, in a task that others may tell to stop.

    Code that has not stopped `PATIENCE_SECONDS` after it was told to is left behind: `on_left` is called, and
    whoever waits goes on in another task. A block that was stopped ends without raising.
    """

    __slots__ = ("_on_left", "_scope", "_timers", "has_timed_out", "is_left")

    def __init__(self) -> None:
        self._scope = anyio.CancelScope()
        self._timers: list[asyncio.TimerHandle] = []
        self._on_left: Callable[[], None] | None = None
        self.is_left = False
        self.has_timed_out = False

    @property
    def is_told_to_stop(self) -> bool:
        """Whether somebody wants the code to stop."""
        return self._scope.cancel_called

    def stop(self) -> None:
        """Tell the code to stop; from now on it has a moment to do so."""
        if not self._scope.cancel_called:
            self._scope.cancel()
            self._wait_for_the_end()

    def begin(self, seconds: float | None, on_left: Callable[[], None] | None) -> None:
        """Begin to watch code that is called now, and stop it after so many seconds.

        Without `on_left` it is waited for as long as it takes.
        """
        self._on_left = on_left
        if self._scope.cancel_called:
            self._wait_for_the_end()
        elif seconds is not None:
            self._timers.append(asyncio.get_running_loop().call_later(seconds, self._time_out))

    def __enter__(self) -> None:
        self._scope.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._on_left = None
        for timer in self._timers:
            timer.cancel()
        return bool(self._scope.__exit__(kind, error, trace))

    def _time_out(self) -> None:
        if not self._scope.cancel_called:
            self.has_timed_out = True
            self.stop()

    def _wait_for_the_end(self) -> None:
        if self._on_left is not None:
            loop = asyncio.get_running_loop()
            self._timers.append(loop.call_later(PATIENCE_SECONDS, self._leave, self._on_left))

    def _leave(self, on_left: Callable[[], None]) -> None:
        self.is_left = True
        on_left()


def caller() -> asyncio.Task[Any]:
    """Return the task that calls."""
    task = asyncio.current_task()
    assert task is not None
    return task


def is_cancellation(error: BaseException) -> bool:
    """Whether somebody has told the calling task to stop; code may raise the same by itself, as a failure."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    return anyio.current_effective_deadline() == -math.inf or caller().cancelling() > 0


def said(error: BaseException) -> str:
    """Return what an exception says, or its name; its class is somebody else's and may fail to say."""
    try:
        return str(error) or type(error).__name__
    except BaseException:  # noqa: BLE001 - whatever a job's exception does when it is asked
        return type(error).__name__


def kept_of(error: BaseException) -> str:
    """Return what a history keeps of what an exception says.

    Of one that wraps the database driver's, as SQLAlchemy's do, it is what the driver says: the statement
    and the values that it was given are nothing to be kept for good.
    """
    try:
        wrapped = vars(error).get("orig")
        return said(wrapped if isinstance(wrapped, BaseException) else error)
    except BaseException:  # noqa: BLE001 - as above
        return said(error)


def _performed(function: Callable[..., Any], returned: Any) -> Any:
    """Return what a function returned, unless that is the function itself, of which nothing was performed."""
    # By its exact type: somebody else's object may fail when it is asked for anything.
    if type(returned) not in (GeneratorType, AsyncGeneratorType):
        return returned
    made_of = returned.gi_code if type(returned) is GeneratorType else returned.ag_code
    if made_of is getattr(inspect.unwrap(function), "__code__", None):
        raise TypeError(f"{returned.__qualname__} has a `yield`: none of it was performed; use `return`")
    return returned


def _is_async(function: Callable[..., Any]) -> bool:
    # Anybody's callable need not be hashable; functions are, and to look at one is dear.
    code = getattr(function, "__func__", function)
    return _looks_async(code) if isinstance(code, FunctionType) else _looks_async.__wrapped__(code)


@lru_cache(maxsize=4096)
def _looks_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> _Result:
    """Carry whatever was raised as a value: StopIteration and SystemExit do not survive a future."""
    try:
        return function(*args), None
    except BaseException as error:  # noqa: BLE001 - it is raised again by the caller
        return None, error
