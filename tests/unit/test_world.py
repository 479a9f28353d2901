"""What the real world does on threads of its own, with a lock that takes its time."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cronledger.clock import SystemClock
from cronledger.submitting import Pool
from cronledger.world import READERS, ProcessWorld
from tests.conftest import opened
from tests.events import HERE

LONG_SECONDS = 3.0


class SlowLock:
    """A lock whose release lasts until it may end, as that of a session that nobody answers."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = Event(), Event()
        self.ended_in_time: list[bool] = []

    def release(self) -> None:
        self.has_begun.set()
        self.ended_in_time.append(self.may_end.wait(LONG_SECONDS))


def released(url: str, script: Callable[[ProcessWorld, SlowLock], Any]) -> list[bool]:
    """Run a script with a world, close the world, and return how the releases of its lock ended."""
    store, lock = opened(url), SlowLock()

    async def main() -> None:
        world = ProcessWorld(store, instance=HERE, clock=SystemClock(), build="1")
        world.leader_lock = lock  # type: ignore[assignment] # as much of a lock as is let go of
        await script(world, lock)
        world.close()

    anyio.run(main)
    store.close()
    return lock.ended_in_time


def test_the_loop_goes_on_while_the_lock_is_released(memory_url: str) -> None:
    """A resigning leader whose session hung stopped the whole loop for as long."""

    async def script(world: ProcessWorld, lock: SlowLock) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.release_lock)
            await checkpoint()
            lock.may_end.set()

    assert [True] == released(memory_url, script)


def test_a_release_that_nobody_waits_for_is_carried_out_all_the_same(memory_url: str) -> None:
    async def script(world: ProcessWorld, lock: SlowLock) -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await world.release_lock()
        lock.may_end.set()

    assert [True] == released(memory_url, script)


def test_a_release_does_not_wait_for_reads_that_hang(memory_url: str) -> None:
    ended_in_time: list[bool] = []

    async def script(world: ProcessWorld, lock: SlowLock) -> None:
        async def read() -> None:
            ended_in_time.append(await world.read(lock.has_begun.wait, LONG_SECONDS))

        async with anyio.create_task_group() as tasks:
            for _ in range(READERS):
                tasks.start_soon(read)
            await checkpoint()
            lock.may_end.set()
            await world.release_lock()

    released(memory_url, script)

    assert [True] * READERS == ended_in_time


def test_what_was_asked_for_before_the_end_is_answered_and_nothing_afterwards() -> None:
    """Whoever was left behind must not wait for an answer that nobody gives."""

    async def script() -> list[int]:
        pool = Pool(1, "test")
        asked = [pool.call(abs, -number) for number in range(3)]
        pool.close()
        with pytest.raises(RuntimeError, match="has ended"):
            pool.call(abs, -3)
        return [await each for each in asked]

    assert [0, 1, 2] == anyio.run(script)


def test_what_a_call_raises_is_raised_by_whoever_awaits_it_and_the_thread_goes_on() -> None:
    async def script() -> int:
        pool = Pool(1, "test")
        with pytest.raises(ValueError, match="invalid literal"):
            await pool.call(int, "x")
        number = await pool.call(int, "1")
        pool.close()
        return number

    assert 1 == anyio.run(script)
