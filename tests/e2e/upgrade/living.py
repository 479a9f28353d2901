"""Instances that come and go in any order, each in a task of its own."""

from __future__ import annotations

import asyncio

from cronledger import Scheduler


class Living:
    """An instance that is up until it is told to go."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self._ready, self._going = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(self._live())

    async def up(self) -> Living:
        """Wait until it is ready; raise what prevents that."""
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({ready, self._task}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            await self._task
        return self

    async def go(self) -> None:
        """Drain it."""
        self._going.set()
        await self._task

    async def _live(self) -> None:
        async with self.scheduler.running():
            self._ready.set()
            await self._going.wait()
