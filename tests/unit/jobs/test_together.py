"""What is waited for to its end, and had for a while, whoever tells the one that waits to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from cronledger.jobs.together import kept, undisturbed

Cut = Callable[[Coroutine[Any, Any, None], asyncio.Event], Coroutine[Any, Any, None]]


async def cut_by_asyncio(work: Coroutine[Any, Any, None], has_begun: asyncio.Event) -> None:
    waiting = asyncio.create_task(work)
    await has_begun.wait()
    for _ in range(3):
        waiting.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([waiting])


async def cut_by_a_scope(work: Coroutine[Any, Any, None], has_begun: asyncio.Event) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: work)
        await has_begun.wait()
        tasks.cancel_scope.cancel()


EVERY_WAY = pytest.mark.parametrize("cut", [cut_by_asyncio, cut_by_a_scope])


@EVERY_WAY
def test_what_must_not_be_disturbed_ends(cut: Cut) -> None:
    ended: list[str] = []

    async def main() -> None:
        has_begun = asyncio.Event()

        async def work() -> None:
            has_begun.set()
            for _ in range(10):
                await asyncio.sleep(0)
            ended.append("ended")

        await cut(undisturbed(work), has_begun)

    asyncio.run(main())

    assert ["ended"] == ended


@EVERY_WAY
def test_what_is_taken_while_nobody_wants_it_any_more_is_given_back(cut: Cut) -> None:
    told: list[str] = []

    async def main() -> None:
        has_begun = asyncio.Event()

        async def take() -> str:
            has_begun.set()
            for _ in range(10):
                await asyncio.sleep(0)
            return "a lock"

        async def give_back(what: str) -> None:
            await asyncio.sleep(0)
            told.append(f"{what} is given back")

        async def block() -> None:
            async with kept(take, give_back):
                await asyncio.sleep(0)
                told.append("had")

        await cut(block(), has_begun)

    asyncio.run(main())

    assert ["a lock is given back"] == told


def test_what_cannot_be_taken_is_not_given_back() -> None:
    async def take() -> str:
        raise OSError("no lock")

    async def give_back(what: str) -> None:
        raise AssertionError(what)

    async def main() -> None:
        async with kept(take, give_back):
            raise AssertionError("it was had")

    with pytest.raises(OSError, match="no lock"):
        asyncio.run(main())
