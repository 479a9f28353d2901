"""How an instance ends when its ledger does not answer: in time, and without leaving threads behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import anyio.to_thread
import pytest

from cronledger import Scheduler
from cronledger.engine.farewell import FAREWELL_SECONDS, FLUSH_SECONDS
from cronledger.engine.plan import Plan
from cronledger.errors import LedgerUnreachable
from cronledger.ledger.database import Store
from tests.conftest import lines_of, opened
from tests.waiting import eventually, eventually_within

LIMIT_SECONDS = 30.0
SLACK_SECONDS = 1.5
"""What stopping threads and a busy machine may add."""


@contextmanager
def held(url: str) -> Iterator[None]:
    """Write to a SQLite ledger, and let nobody else, while the block lasts."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def scheduler(url: str, folder: Path, drain_seconds: float) -> Scheduler:
    config = folder / "config.yaml"
    config.write_text(f"scheduler: {{drain_seconds: {drain_seconds}}}")
    return Scheduler(database_url=url, config=config, jobs=[])


def is_led(url: str) -> bool:
    return any(line["type"] == "leader.elected" for line in lines_of(url))


async def until_led(url: str) -> None:
    assert await anyio.to_thread.run_sync(lambda: eventually(lambda: is_led(url)))


def threads() -> set[tuple[str, int | None]]:
    """Return the threads of instances that there are."""
    return {(each.name, each.ident) for each in threading.enumerate() if each.name.startswith("cronledger-")}


def test_an_idle_instance_ends_in_time_though_nobody_can_write_to_its_ledger(
    sqlite_url: str, tmp_path: Path
) -> None:
    """It used to take 38 seconds, one wait after the other."""

    async def program() -> float:
        async with scheduler(sqlite_url, tmp_path, drain_seconds=0).running():
            await until_led(sqlite_url)
            file.enter_context(held(sqlite_url))
            asked_at = monotonic()
        return monotonic() - asked_at

    before = threads()
    with ExitStack() as file:
        took = asyncio.run(program())

    assert took < FAREWELL_SECONDS + SLACK_SECONDS
    assert eventually_within(LIMIT_SECONDS, lambda: not threads() - before)


def test_a_second_signal_ends_an_instance_that_waits_for_its_ledger(sqlite_url: str, tmp_path: Path) -> None:
    """It used to have no effect once the runs had ended."""

    async def program() -> tuple[int, float]:
        left: list[int] = []

        async def serve() -> None:
            left.append(await scheduler(sqlite_url, tmp_path, drain_seconds=20).serve())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            await until_led(sqlite_url)
            file.enter_context(held(sqlite_url))
            os.kill(os.getpid(), signal.SIGTERM)
            await anyio.sleep(0.2)
            os.kill(os.getpid(), signal.SIGTERM)
            asked_at = monotonic()
        return left[0], monotonic() - asked_at

    with ExitStack() as file:
        left, took = asyncio.run(program())

    assert took < FLUSH_SECONDS + SLACK_SECONDS
    assert 1 == left, "the program must not wait for what it has left behind"


class Unlockable:
    """A store at which an instance cannot sign on."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def instance_lock(self, instance: str) -> None:
        raise LedgerUnreachable(f"no lock for {instance}")


def test_a_start_that_fails_leaves_no_thread_behind(memory_url: str, tmp_path: Path) -> None:
    async def program() -> None:
        starting = scheduler(memory_url, tmp_path, drain_seconds=0)
        async with starting.instance_at_work(Unlockable(store), Plan()):  # type: ignore[arg-type]
            raise AssertionError("it has started")

    before = threads()
    store = opened(memory_url)
    with pytest.raises(LedgerUnreachable):
        asyncio.run(program())
    store.close()

    assert set() == threads() - before
