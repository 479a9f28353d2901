"""What runs together and ends together; the one exception of it comes out as itself.

A task group raises groups, also of one. Whoever waits for an instance wants to catch what really happened: a
`LedgerGap` with its exit code, or what the application's own block has raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup

T = TypeVar("T")


@asynccontextmanager
async def together() -> AsyncIterator[TaskGroup]:
    """Give a task group that raises a single exception of its tasks or its block ungrouped."""
    try:
        async with anyio.create_task_group() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        (alone,) = group.exceptions
        raise alone from alone.__cause__


async def undisturbed(work: Callable[[], Awaitable[object]]) -> None:
    """Do something to its end; whoever waits for it is told to stop only then.

    A shield keeps away what scopes of anyio say, but not asyncio's own `cancel`, by which `asyncio.timeout`
    ends its block: that is for the waiting task alone, so the work is given to another one.
    """

    async def shielded() -> None:
        with anyio.CancelScope(shield=True):
            await work()

    with anyio.CancelScope(shield=True):
        async with together() as tasks:
            tasks.start_soon(shielded)


@asynccontextmanager
async def kept(
    take: Callable[[], Awaitable[T]], give_back: Callable[[T], Awaitable[object]]
) -> AsyncIterator[T]:
    """Have something while the block lasts; it is given back whenever the caller is told to stop."""
    taken: list[T] = []

    async def keep() -> None:
        taken.append(await take())

    try:
        await undisturbed(keep)
        yield taken[0]
    finally:
        if taken:
            await undisturbed(partial(give_back, taken[0]))


Turn = asyncio.Lock
"""Who comes first goes first, one at a time; anyio's lock takes ten times as long where nobody waits."""


class PlainGroup:
    """Plain tasks that end with a task group, and it with them: one of the group's own costs ten times more.

    A task that raises ends the group; when the group ends, every task is cancelled.
    """

    def __init__(self, group: TaskGroup) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.are_ending = False
        group.start_soon(self._stand_for_all)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin another one."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def _stand_for_all(self) -> None:
        try:
            await self._broken
        finally:
            self.are_ending = True
            for task in self._tasks:
                task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._broken.done():
            self._broken.set_exception(error)
