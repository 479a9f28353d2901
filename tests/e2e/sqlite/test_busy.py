"""Somebody else writes, for long or all the time; and a process dies in the middle of a group commit."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import event

from cronledger import Scheduler, job
from cronledger.domain.ids import Stream, Term
from cronledger.entropy import SeededEntropy
from cronledger.errors import LedgerUnreachable
from cronledger.ledger.api import Appended, Item, Same
from cronledger.ledger.database import open_store
from cronledger.ledger.sqlite_problems import problem, writer_of
from cronledger.ledger.verify import verify
from cronledger.ledger.writer import Writer
from cronledger.testing import ManualClock
from tests.checker import problems, triggered
from tests.conftest import lines_of, opened
from tests.e2e.sqlite.processes import line, rest, running, tell
from tests.events import HERE, NOON, plain
from tests.waiting import LIMIT_SECONDS, eventually

CONFIG = """
scheduler:
  jobs:
    - {name: quick, extension: tests, schedule: "* * * * * *"}
"""
HOLDER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
if sys.argv[2] == "asked":
    sys.stdin.readline()
else:
    time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
print("free", flush=True)
"""
IMPORT = """
import os, sys
from cronledger.clock import SystemClock
from tests.conftest import lines_of, opened
from tests.events import plain
store, clock, number = opened(sys.argv[1]), SystemClock(), 0
print("begun", flush=True)
until = clock.monotonic() + float(sys.argv[2])
while clock.monotonic() < until:
    store.ledger.append(plain(f"s-{os.getpid()}-{number}", 20))
    number += 1
print(number, flush=True)
store.close()
"""


@job(extension="tests")
async def quick() -> None:
    """Take no time."""


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def scheduler(url: str, folder: Path, **more: Any) -> Scheduler:
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    return Scheduler(database_url=url, config=config, jobs=[quick], **more)


def longest_pause(lines: list[dict[str, Any]]) -> float:
    """Return the longest time between two scheduled triggers, in seconds."""
    at = [datetime.fromisoformat(each["recorded_at"]) for each in lines if each["type"] == "run.triggered"]
    return max((later - earlier).total_seconds() for earlier, later in pairwise(at))


def elections(lines: list[dict[str, Any]]) -> int:
    return sum(each["type"] == "leader.elected" for each in lines)


def test_five_seconds_of_another_writer_cost_no_fire_time(sqlite_url: str, tmp_path: Path) -> None:
    """Fault 40: the lease is longer than that, so the leader stays."""

    def has_gone_on() -> bool:
        lines = lines_of(sqlite_url)
        return len(triggered(lines, "quick")) >= 4 and longest_pause(lines) > 3

    async def program() -> None:
        async with scheduler(sqlite_url, tmp_path).running():
            await asyncio.sleep(1)
            with running(HOLDER, file_of(sqlite_url), 5) as holder:
                await asyncio.to_thread(rest, holder)
            await asyncio.to_thread(eventually, has_gone_on)

    asyncio.run(program())
    lines = lines_of(sqlite_url)

    assert [] == problems(lines)
    assert 1 == elections(lines)
    assert longest_pause(lines) > 3
    assert len(triggered(lines, "quick")) >= 4


def test_the_process_that_writes_is_known_by_its_number(sqlite_url: str) -> None:
    """Fault 41."""
    store = opened(sqlite_url)
    store.ledger.append(plain("a"))
    nobody = writer_of(file_of(sqlite_url))
    with running(HOLDER, file_of(sqlite_url), "asked") as holder:
        assert "held" == line(holder)
        known = writer_of(file_of(sqlite_url))
        tell(holder)
        assert "free" == line(holder)
        known_afterwards = writer_of(file_of(sqlite_url))

    assert (None, holder.pid, None) == (nobody, known, known_afterwards)
    store.close()


@pytest.mark.nightly
@pytest.mark.parametrize("ending", [signal.SIGCONT, signal.SIGKILL])
def test_a_writer_that_is_stopped_is_named_and_waited_for(sqlite_url: str, ending: signal.Signals) -> None:
    """Fault 41."""
    store = opened(sqlite_url)
    item = store.ledger.prepare(Item((plain("a"),)))
    with running(HOLDER, file_of(sqlite_url), "asked") as holder:
        assert "held" == line(holder)
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(LedgerUnreachable) as refused:
            store.ledger.submit([item])
        holder.send_signal(ending)
        if ending == signal.SIGCONT:
            tell(holder)
        (answer,) = store.ledger.submit([item])

    assert f"process {holder.pid}" in refused.value.message
    assert isinstance(answer, Appended)
    assert verify(store.ledger).ok
    store.close()


@pytest.mark.nightly
def test_a_leader_under_a_busy_import_renews_in_time(sqlite_url: str, tmp_path: Path) -> None:
    """Fault 42."""

    async def program() -> None:
        with ExitStack() as children:
            async with scheduler(sqlite_url, tmp_path).running():
                for _ in range(4):
                    children.enter_context(running(IMPORT, sqlite_url, 20))
                await asyncio.sleep(25)

    asyncio.run(program())
    lines = lines_of(sqlite_url)

    assert [] == problems(lines)
    assert 1 == elections(lines)
    assert longest_pause(lines) < 5


def test_renewals_do_not_starve_while_others_write_without_a_pause(sqlite_url: str) -> None:
    """Fault 42: by SQLite's own way of waiting, single renewals took seconds."""
    store, longest, renewed = opened(sqlite_url), 0.0, 0
    with ExitStack() as children:
        importers = [children.enter_context(running(IMPORT, sqlite_url, 2)) for _ in range(3)]
        assert ["begun"] * 3 == [line(child) for child in importers]
        until = time.monotonic() + 2
        while time.monotonic() < until:
            began = time.monotonic()
            store.ledger.renew(Term(0), timedelta(seconds=10))
            longest, renewed = max(longest, time.monotonic() - began), renewed + 1
            time.sleep(0.05)
        imported = [int(line(child)) for child in importers]

    assert min(imported) > 0
    assert renewed > 3
    assert longest < 3.0, "the lease is renewed every three seconds"
    store.close()


# --- a crash in the middle of a group commit --------------------------------------------------------------

WAITERS, EVENTS = 100, 3
GROUP = """
import os, sys
from tests.e2e.sqlite import test_busy as t
t.commit_together(sys.argv[1], int(sys.argv[2]), sys.argv[3])
"""


def intentions(url: str) -> tuple[Any, list[Any]]:
    """Return a store and a hundred items; the same ids whoever asks."""
    store = open_store(url, instance=HERE, clock=ManualClock(NOON), entropy=SeededEntropy(87))
    return store, [
        store.ledger.prepare(Item((plain(f"waiter-{number}", EVENTS),))) for number in range(WAITERS)
    ]


def commit_together(url: str, fail_at: int, moment: str) -> None:
    """Submit everything from as many threads, in a process that kills itself at a commit."""
    store, items = intentions(url)
    commits, begun = 0, Event()

    def die(moment_now: str) -> None:
        if commits == fail_at and moment_now == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def before_commit(connection: object) -> None:
        nonlocal commits
        commits += 1
        begun.set()
        die("before")

    def told(answers: list[Any]) -> None:
        die("after")
        for ticket, _ in answers:
            os.write(1, f"{ticket}\n".encode())

    event.listen(store._engine, "commit", before_commit)
    writer = Writer(store.ledger, told)
    writer.submit(items[0], 0)
    begun.wait(LIMIT_SECONDS)  # so that there is a second batch
    threads = [Thread(target=writer.submit, args=(item, n)) for n, item in enumerate(items[1:], 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()


@pytest.mark.parametrize(
    ("fail_at", "moment"),
    [
        pytest.param(1, "before", marks=pytest.mark.nightly),
        (1, "after"),
        (2, "before"),
        pytest.param(2, "after", marks=pytest.mark.nightly),
    ],
)
def test_a_crash_in_a_group_commit_leaves_no_half_item(sqlite_url: str, fail_at: int, moment: str) -> None:
    """Fault 87."""
    with running(GROUP, sqlite_url, fail_at, moment) as child:
        acknowledged = {int(each) for each in rest(child)}
        code = child.wait()
    store, items = intentions(sqlite_url)
    stored = [len(store.ledger.read_stream(Stream(f"waiter-{number}"))) for number in range(WAITERS)]
    there = {number for number, count in enumerate(stored) if count}
    answers = store.ledger.submit(items)
    report = verify(store.ledger)

    assert -signal.SIGKILL == code
    assert set(stored) <= {0, EVENTS}
    assert acknowledged <= there
    assert there == {number for number, answer in enumerate(answers) if isinstance(answer, Same)}
    assert all(isinstance(answer, Appended | Same) for answer in answers)
    assert (True, WAITERS * EVENTS) == (report.ok, report.events)
    store.close()


def test_a_busy_file_is_a_sentence_with_a_hint(sqlite_url: str) -> None:
    """The whole wait of ten seconds is for the night; here the driver's own words are translated."""
    found = problem("sqlite:///x.db", sqlite3.OperationalError("database is locked"))

    assert isinstance(found, LedgerUnreachable)
    assert "another process" in found.message
    assert "transaction" in (found.hint or "")
