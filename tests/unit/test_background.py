"""A block of its own thread: what becomes of it when whoever waits for it is interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from cronledger.background import beside


def test_an_interruption_of_the_wait_ends_what_was_begun() -> None:
    """The instance went on, with nobody to end it."""
    ended: list[str] = []

    @asynccontextmanager
    async def never_ready() -> AsyncIterator[None]:
        main = threading.main_thread().ident
        assert main is not None
        try:
            signal.pthread_kill(main, signal.SIGINT)
            await anyio.sleep_forever()
            yield
        finally:
            ended.append("ended")

    with pytest.raises(KeyboardInterrupt), beside(never_ready):
        pass

    assert ["ended"] == ended
    assert "cronledger" not in [thread.name for thread in threading.enumerate()]


def test_the_block_stays_entered_until_the_other_one_is_left() -> None:
    told: list[str] = []

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        told.append("begun")
        yield
        await anyio.lowlevel.checkpoint()
        told.append("ended")

    with beside(running):
        told.append("within")

    assert ["begun", "within", "ended"] == told
