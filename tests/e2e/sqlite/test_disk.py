"""The disk is full, or may not be written: nothing acknowledged is lost, and work goes on by itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cronledger import Job, JobContext, JobResult, Scheduler, job
from cronledger.domain.ids import Position
from cronledger.errors import LedgerUnreachable
from cronledger.ledger.api import Answer, Appended, Item, Prepared, Same
from cronledger.ledger.writer import Writer
from tests.checker import problems, triggered
from tests.conftest import lines_of, opened
from tests.e2e.sqlite.processes import line, remount, rest, running
from tests.events import plain
from tests.waiting import eventually, eventually_within

CONFIG = """
scheduler:
  drain_seconds: 10
  jobs:
    - {name: quick, extension: tests, schedule: "* * * * * *"}
    - {name: patient, extension: tests, schedule: ""}
"""
LIMITED = """
import resource, sys
from pathlib import Path
from cronledger.errors import LedgerUnreachable
from cronledger.ledger.api import Item
from tests.conftest import lines_of, opened
from tests.events import plain
store = opened(sys.argv[1])
store.ledger.append(plain("first"))
wal = Path(sys.argv[1].removeprefix("sqlite:///") + "-wal")
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + 100_000, hard))
acknowledged = 1
while True:
    item = store.ledger.prepare(Item((plain(f"s{acknowledged}"),)))
    try:
        acknowledged = store.ledger.submit([item])[0].last
    except LedgerUnreachable as error:
        print(acknowledged, error, flush=True)
        break
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(store.ledger.submit([item])[0].last, flush=True)
store.close()
"""


def fill(folder: Path) -> Path:
    """Leave no byte free in a folder's file system."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


def test_a_full_disk_loses_nothing_that_was_acknowledged(small_disk: Path) -> None:
    """Fault 38."""
    store = opened(f"sqlite:///{small_disk}/ledger.db")
    store.ledger.append(plain("first"))
    ballast, acknowledged, refused = fill(small_disk), 1, None
    while refused is None:
        item = store.ledger.prepare(Item((plain(f"s{acknowledged}", 20),)))
        try:
            (answer,) = store.ledger.submit([item])
            assert isinstance(answer, Appended)
            acknowledged = answer.last
        except LedgerUnreachable as error:
            refused = error
    readable = [each.position for each in store.ledger.read_all(Position(0), 10_000)]
    ballast.unlink()
    (again,) = store.ledger.submit([item])

    assert "the disk is full" in refused.message
    assert "free some space" in (refused.hint or "")
    assert list(range(1, acknowledged + 1)) == readable
    assert isinstance(again, Appended | Same)
    assert acknowledged + 20 == store.ledger.head().position
    store.close()


def test_a_limit_of_file_sizes_loses_nothing_either(sqlite_url: str) -> None:
    """Fault 38, where nobody may mount: the kernel refuses the write in the middle of a commit."""
    with running(LIMITED, sqlite_url) as child:
        acknowledged, _, error = line(child).partition(" ")
        (after,) = rest(child)
    positions = [each["position"] for each in lines_of(sqlite_url)]

    assert "the ledger sqlite:///" in error
    assert int(acknowledged) > 1
    assert int(acknowledged) + 1 == int(after)
    assert list(range(1, int(after) + 1)) == positions


def test_a_scheduler_on_a_full_disk_pauses_and_catches_up(small_disk: Path, tmp_path: Path) -> None:
    """Fault 38: fire times wait, a run that goes on ends, and its outcome is recorded once there is room."""
    config, begun, released, ended = tmp_path / "config.yaml", *(asyncio.Event() for _ in range(3))
    config.write_text(CONFIG)
    full: list[str] = []
    url = f"sqlite:///{small_disk}/ledger.db"

    @job(extension="tests")
    async def quick() -> None:
        """Take no time."""

    class Patient(Job):
        """Go on while the disk is full."""

        name = "patient"
        extension = "tests"

        async def execute(self, ctx: JobContext) -> JobResult:
            begun.set()
            await released.wait()
            ended.set()
            return JobResult.success().with_message("through")

    def has_caught_up() -> bool:
        lines = lines_of(url)
        return lines[-1]["recorded_at"] > full[1] and len(triggered(lines, "quick")) >= 3

    async def program() -> None:
        scheduler = Scheduler(database_url=url, config=config, jobs=[quick, Patient()])
        async with scheduler.running():
            await scheduler.trigger("patient")
            await asyncio.wait_for(begun.wait(), 20)
            await asyncio.sleep(1.5)
            ballast = fill(small_disk)
            await asyncio.sleep(1)
            full.append(datetime.now(UTC).isoformat())
            await asyncio.sleep(1)
            released.set()
            await asyncio.wait_for(ended.wait(), 5)
            await asyncio.sleep(1)
            full.append(datetime.now(UTC).isoformat())
            ballast.unlink()
            await asyncio.to_thread(eventually, has_caught_up)

    asyncio.run(program())
    lines = lines_of(url)
    (outcome,) = [each for each in lines if each["type"] == "run.succeeded" and each["job"] == "patient"]

    assert [] == problems(lines)
    assert "through" == outcome["body"]["message"]
    assert [] == [each["recorded_at"] for each in lines if full[0] < each["recorded_at"] < full[1]]
    assert len(triggered(lines, "quick")) >= 3


def test_a_file_system_that_becomes_writable_again_is_written_by_itself(small_disk: Path) -> None:
    """Fault 39."""
    path = small_disk / "ledger.db"
    remount(small_disk, "ro")
    store, answers = opened(f"sqlite:///{path}"), list[tuple[int, Answer | Exception]]()
    with pytest.raises(LedgerUnreachable) as refused:
        store.ledger.append(plain("a"))
    writer = Writer[int](store.ledger, answers.extend)
    prepared: Prepared = store.ledger.prepare(Item((plain("b"),)))
    writer.submit(prepared, 7)
    silent = not answers
    remount(small_disk, "rw")
    answered = eventually_within(30, lambda: answers)  # the disk may be slow beside other tests
    writer.close()

    assert refused.value.hint
    assert silent
    assert answered
    assert [(7, Appended)] == [(number, type(answer)) for number, answer in answers]
    assert 1 == store.ledger.head().position
    store.close()


def test_a_ledger_that_may_only_be_read_says_what_to_do(small_disk: Path) -> None:
    """Fault 39: a connection that was there before finds the file read-only."""
    store = opened(f"sqlite:///{small_disk}/ledger.db")
    with store.reading() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(LedgerUnreachable) as refused, store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM inbox")

    assert "may not be written" in refused.value.message
    assert "writable" in (refused.value.hint or "")
    store.close()
