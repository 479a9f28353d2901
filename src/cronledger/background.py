"""A thread and a loop of its own, for programs that have no loop.

What ends the scheduler there is logged at once, and raised when the program leaves the block.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress

import anyio

log = logging.getLogger("cronledger.instance")


@contextmanager
def beside(running: Callable[[], AbstractAsyncContextManager[object]]) -> Iterator[None]:
    """Keep an asynchronous block entered, on a thread of its own, while this one lasts.

    The thread waits on its loop alone: one more that waited for the end would keep a program from ending that
    never leaves the block.
    """
    ready = threading.Event()
    is_left = threading.Event()
    stops: list[Callable[[], object]] = []
    failure: list[BaseException] = []

    async def serve() -> None:
        stopped, starting, loop = anyio.Event(), anyio.CancelScope(), asyncio.get_running_loop()

        def stop() -> None:
            stopped.set()
            if not ready.is_set():
                starting.cancel()

        stops.append(lambda: loop.call_soon_threadsafe(stop))
        if is_left.is_set():
            return
        try:
            with starting:
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
        is_left.set()
        _end(thread, stops)
    if failure:
        raise failure[0]


def _end(thread: threading.Thread, stops: list[Callable[[], object]]) -> None:
    """Have the block be left, and wait until it is; a thread that has only begun sees to that by itself."""
    with suppress(RuntimeError):  # the loop has ended before
        for stop in stops:
            stop()
    if thread.is_alive():
        thread.join()
