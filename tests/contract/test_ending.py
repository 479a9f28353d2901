"""How an instance ends when its ledger does not answer: in time, and without leaving threads behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import anyio.to_thread
import pytest

from cronledger import Scheduler
from cronledger.domain.ids import InstanceId
from cronledger.engine.farewell import FAREWELL_SECONDS, FLUSH_SECONDS
from cronledger.engine.plan import Plan
from cronledger.errors import LedgerUnreachable
from cronledger.ledger.database import InstanceLock, Store
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


class Other:
    """A store that does something else in its place."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Unlockable(Other):
    """One at which an instance cannot sign on."""

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


class Slow(Other):
    """One whose lock is taken, and that is opened and closed, while somebody has long been told to stop."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.at_work, self.may_go_on = threading.Event(), threading.Event()
        self.has_closed = False

    def instance_lock(self, instance: InstanceId) -> InstanceLock:
        lock = self._store.instance_lock(instance)
        self.wait()
        return lock

    def close(self) -> None:
        self._store.close()
        self.has_closed = True

    def wait(self) -> None:
        self.at_work.set()
        assert self.may_go_on.wait(LIMIT_SECONDS)


async def cancelled(starting: Coroutine[Any, Any, None], slow: Slow) -> None:
    """Cancel a start while a thread is at work for it."""
    start = asyncio.create_task(starting)
    assert await asyncio.to_thread(slow.at_work.wait, LIMIT_SECONDS)
    start.cancel()
    await asyncio.sleep(0)
    slow.may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await start


def test_a_start_that_is_cancelled_gives_back_the_lock_that_it_is_just_given(
    sqlite_url: str, tmp_path: Path
) -> None:
    """A process that had gone on without it was taken for one that lives."""

    async def program() -> None:
        async with scheduler(sqlite_url, tmp_path, drain_seconds=0).instance_at_work(slow, Plan()):  # type: ignore[arg-type]
            raise AssertionError("it has started")

    before = threads()
    store = opened(sqlite_url)
    slow = Slow(store)
    asyncio.run(cancelled(program(), slow))
    store.close()

    assert [] == list(tmp_path.glob("*.instance-*"))
    assert set() == threads() - before


def test_a_start_that_is_cancelled_closes_the_ledger_that_it_has_just_opened(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting = scheduler(sqlite_url, tmp_path, drain_seconds=0)

    def open_slowly(*, migrate: bool | None = None) -> Any:
        slow.wait()
        return slow

    async def program() -> None:
        async with starting.running():
            raise AssertionError("it has started")

    slow = Slow(starting.open())
    monkeypatch.setattr(starting, "open", open_slowly)
    asyncio.run(cancelled(program(), slow))

    assert slow.has_closed


PROGRAM = """
import atexit, contextlib, sys, threading
from cronledger import Scheduler

instance = Scheduler(database_url=sys.argv[1], jobs=[])
block = contextlib.ExitStack()

def hold():
    with instance.background():
        threading.main_thread().join()
        main_has_ended.wait(1.5)  # the loop looks again in between

main_has_ended = threading.Event()
if sys.argv[2] == "held by another thread":
    threading.Thread(target=hold).start()
    while instance._world is None:
        main_has_ended.wait(0.01)
else:
    block.enter_context(instance.background())
if sys.argv[2] == "left at exit":
    atexit.register(block.close)
"""


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("never left", []),
        ("left at exit", ["leader.resigned", "instance.stopped"]),
        ("held by another thread", ["leader.resigned", "instance.stopped"]),
    ],
)
def test_a_program_ends_that_has_a_scheduler_in_the_background(
    sqlite_url: str, tmp_path: Path, how: str, told: list[str]
) -> None:
    """It waited for ever, or its scheduler died as soon as the main thread had ended."""
    program = [sys.executable, "-c", PROGRAM, sqlite_url, how]
    ended = subprocess.run(
        program, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    types = [line["type"] for line in lines_of(sqlite_url)]

    assert (0, "") == (ended.returncode, ended.stderr)
    assert told == [each for each in types if each in ("leader.resigned", "instance.stopped")]
