"""A thread and a loop of its own, for programs that have no loop.

What ends the scheduler there is logged at once, and raised when the program leaves the block.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

import anyio

from cronledger.jobs.together import together

log = logging.getLogger("cronledger.instance")


@contextmanager
def beside(running: Callable[[], AbstractAsyncContextManager[object]]) -> Iterator[None]:
    """Keep an asynchronous block entered, on a thread of its own, while this one lasts."""
    ready = threading.Event()
    stop = threading.Event()
    failure: list[BaseException] = []

    async def serve() -> None:
        stopped = anyio.Event()

        async def listen() -> None:
            await asyncio.get_running_loop().run_in_executor(None, stop.wait)
            stopped.set()
            if not ready.is_set():
                tasks.cancel_scope.cancel()

        try:
            async with together() as tasks:
                tasks.start_soon(listen)
                async with running():
                    ready.set()
                    await stopped.wait()
        except BaseException as error:
            failure.append(error)
            if ready.is_set():
                log.critical("the scheduler in the background has ended", exc_info=error)
        finally:
            ready.set()

    thread = threading.Thread(target=lambda: anyio.run(serve), name="cronledger", daemon=True)
    try:
        thread.start()
        ready.wait()
        if not failure:
            yield
    finally:
        stop.set()
        if thread.is_alive():
            thread.join()
    if failure:
        raise failure[0]
