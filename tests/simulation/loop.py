"""An asyncio loop whose time passes only when everybody waits; whole processes can be stopped in it."""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from itertools import count
from typing import Any, TypeVar

import anyio

T = TypeVar("T")
TURNS_WITHOUT_TIME = 100_000
CLOCK_RESOLUTION = 1e-8
"""A timer so little ahead is due: more than what a float of a year of seconds can tell apart."""


class Process:
    """Everything that was begun by one simulated process: it stops and goes on as a whole.

    Frozen, none of its callbacks run, as after SIGSTOP; what becomes ready meanwhile runs when it thaws.
    """

    def __init__(self) -> None:
        self.is_frozen = False
        self.frozen_at = 0.0
        self.held: list[asyncio.Handle] = []
        self.begun: list[asyncio.Task[Any]] = []
        _running().processes.append(self)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin a task that belongs to this process, and with it all that the task begins."""
        context = copy_context()
        context.run(OWNER.set, self)
        self.begun = [task for task in self.begun if not task.done()]
        return _running().create_task(work, context=context)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What is begun in this block belongs to this process."""
        token = OWNER.set(self)
        try:
            yield
        finally:
            OWNER.reset(token)

    def deliver(self, signal: Callable[[], None]) -> None:
        """Let the process hear a signal, once it runs."""
        with self.inside():
            _running().call_soon(signal)

    def freeze(self) -> None:
        """Stop: nothing of this process runs from now on."""
        if not self.is_frozen:
            self.is_frozen = True
            self.frozen_at = _running().time()

    def thaw(self, *, asleep: bool = False) -> None:
        """Go on. `asleep`: timers stood still as well, and now wait for what was left of their time."""
        loop = _running()
        self.is_frozen = False
        held, self.held = self.held, []
        for handle in held:
            if asleep and isinstance(handle, asyncio.TimerHandle):
                left = max(0.0, handle.when() - self.frozen_at)
                loop.call_later(left, loop.ready.append, handle)
            else:
                loop.ready.append(handle)


OWNER: ContextVar[Process | None] = ContextVar("owner", default=None)


class _Ready(deque[asyncio.Handle]):
    """The callbacks whose turn it is; those of a frozen process are put aside, cancelled or not."""

    def popleft(self) -> asyncio.Handle:
        handle = super().popleft()
        owner = handle._context.get(OWNER)
        if owner is not None and owner.is_frozen:
            owner.held.append(handle)
            return _NOTHING
        return handle


class _Cancelled:
    _cancelled = True


_NOTHING: Any = _Cancelled()


class _Numbered(asyncio.Task[Any]):
    """A task whose hash is its number, so that a set of tasks has the same order in every run."""

    def __init__(self, number: int, *args: Any, **options: Any) -> None:
        self.number = number
        super().__init__(*args, **options)
        context = options.get("context")
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is not None:
            owner.begun.append(self)

    def __hash__(self) -> int:
        return self.number


class _Instant(selectors.SelectSelector):
    """Waits for nothing: adds the time that would have been waited to the loop's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            ready = super().select(0)
            if not ready:
                raise RuntimeError("every task waits for something that nobody will do")
            return ready
        self._turns = 0 if timeout > 0 else self._turns + 1
        self.elapsed += max(0.0, timeout)
        if self._turns > TURNS_WITHOUT_TIME:
            raise RuntimeError(f"somebody spins: time stands still at {self.elapsed:.3f} s")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in which a day takes as long as what happens in it."""

    def __init__(self) -> None:
        self._instant = _Instant()
        super().__init__(self._instant)
        self._clock_resolution = CLOCK_RESOLUTION
        self._ready = self.ready = _Ready()  # the queue that every asyncio loop in Python works off
        self.processes: list[Process] = []
        numbers = count()
        self.set_task_factory(
            lambda loop, work, **options: _Numbered(next(numbers), work, loop=loop, **options)
        )

    def time(self) -> float:
        return self._instant.elapsed


def elapsed() -> float:
    """Return the virtual seconds since the beginning; also where no task is running."""
    return asyncio.get_running_loop().time()


def _running() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def run(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run an async function in virtual time; processes that are left over end with it."""

    async def life() -> T:
        try:
            return await function(*args)
        finally:
            await _end_processes()

    return anyio.run(life, backend_options={"loop_factory": VirtualLoop})


async def _end_processes() -> None:
    loop = _running()
    for process in loop.processes:
        process.thaw()
    left = [task for process in loop.processes for task in process.begun if not task.done()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
