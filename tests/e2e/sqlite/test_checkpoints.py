"""The write-ahead log stays bounded, and nobody writes while it is copied back."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from pathlib import Path

import pytest

from cronledger.domain.ids import Position
from cronledger.ledger.sqlite import SqliteStore
from cronledger.ledger.sqlite_connections import SAFE_CHECKPOINTS, WAL_FRAMES, Checkpoints, begin_immediate
from cronledger.ledger.verify import verify
from tests.conftest import opened
from tests.e2e.sqlite.processes import rest, running
from tests.events import plain

FRAME_BYTES = 4096 + 24
IMPORT = """
import os, sys
from pathlib import Path
from tests.conftest import opened
from tests.events import plain
url, events, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store, largest = opened(url), 0
wal = Path(url.removeprefix("sqlite:///") + "-wal")
for number in range(events // size):
    store.ledger.append(plain(f"s-{os.getpid()}-{number}", size))
    largest = max(largest, wal.stat().st_size)
print(largest, store.checkpoints.taken, flush=True)
store.close()
"""


def at_work(url: str, *, guarded: bool = True) -> SqliteStore:
    store = opened(url)
    assert isinstance(store, SqliteStore)
    store.checkpoints.guarded = guarded
    return store


def write(store: SqliteStore, times: int) -> None:
    """Commit often enough that so many checkpoints are due."""
    for number in range(times):
        store.ledger.append(plain(f"s{store.ledger.head().position}-{number}", 3 * WAL_FRAMES))


def frames(url: str) -> list[int]:
    """Return how many frames the log holds, and how many of them the database has too."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    found = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    connection.close()
    return list(found[1:])


def import_with(url: str, processes: int, events: int, size: int) -> list[tuple[int, int]]:
    """Let processes append at the same time; return their largest log and number of checkpoints."""
    with ExitStack() as children:
        started = [children.enter_context(running(IMPORT, url, events, size)) for _ in range(processes)]
        said = [rest(child)[-1].split() for child in started]
    return [(int(largest), int(taken)) for largest, taken in said]


def check_import(url: str, imported: list[tuple[int, int]], events: int) -> None:
    store = opened(url)
    report = verify(store.ledger)
    store.close()
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    (intact,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()

    assert "ok" == intact
    assert (True, events) == (report.ok, report.events)
    assert max(largest for largest, _ in imported) < 8 * len(imported) * WAL_FRAMES * FRAME_BYTES
    if sqlite3.sqlite_version_info < SAFE_CHECKPOINTS:
        assert min(taken for _, taken in imported) > 0


def test_two_processes_that_write_keep_the_log_bounded(sqlite_url: str) -> None:
    imported = import_with(sqlite_url, 2, 6_000, 100)

    check_import(sqlite_url, imported, 12_000)


@pytest.mark.nightly
def test_a_hundred_thousand_events_of_two_processes_keep_the_log_bounded(sqlite_url: str) -> None:
    imported = import_with(sqlite_url, 2, 50_000, 100)

    check_import(sqlite_url, imported, 100_000)


@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_single_events_of_four_processes_keep_the_log_bounded(sqlite_url: str) -> None:
    imported = import_with(sqlite_url, 4, 3_000, 1)

    check_import(sqlite_url, imported, 12_000)


def test_the_log_begins_anew_after_a_checkpoint(sqlite_url: str) -> None:
    store = at_work(sqlite_url)
    write(store, 1)
    taken, copied = store.checkpoints.taken, frames(sqlite_url)
    store.ledger.append(plain("small"))

    assert 1 == taken
    assert copied[0] == copied[1]
    assert frames(sqlite_url)[0] < 20
    store.close()


def test_no_checkpoint_is_taken_while_another_process_writes(sqlite_url: str) -> None:
    """Here another connection stands for the other process: to SQLite they are the same."""
    store = at_work(sqlite_url)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None, timeout=0)
    other.execute("PRAGMA wal_autocheckpoint = 0")
    with store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM inbox")
    store.checkpoints._frames = WAL_FRAMES
    other.execute("BEGIN IMMEDIATE")
    with store.reading() as connection:
        store.checkpoints.committed(connection)
    during = store.checkpoints.taken
    other.execute("ROLLBACK")
    with store.reading() as connection:
        connection.commit()
        store.checkpoints.committed(connection)

    assert (0, 1) == (during, store.checkpoints.taken)
    other.close()
    store.close()


def test_nobody_can_write_while_a_checkpoint_is_taken(sqlite_url: str) -> None:
    """The function `probe` runs in the middle, as the disk would: between the guard and its end."""
    store, seen = at_work(sqlite_url), []
    store.ledger.append(plain("a"))
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None, timeout=0)

    def probe(statement: str) -> None:
        if "wal_checkpoint" in statement:
            try:
                begin_immediate(other, 0)
            except sqlite3.OperationalError as error:
                seen.append(str(error))

    with store.reading() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        connection.commit()
        driver.set_trace_callback(probe)
        store.checkpoints._frames = WAL_FRAMES
        store.checkpoints.committed(connection)
        driver.set_trace_callback(None)

    assert ["database is locked"] == seen
    other.close()
    store.close()


def test_a_reader_that_stays_lets_the_log_grow_and_costs_no_append(sqlite_url: str) -> None:
    """Fault 43: the log is copied back once the reader has gone."""
    store = at_work(sqlite_url)
    store.ledger.append(plain("a"))
    with store.reading() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM event").all()
        write(store, 3)
        held = frames(sqlite_url)
    write(store, 1)
    store.ledger.append(plain("small"))

    assert held[0] > held[1]
    assert frames(sqlite_url)[0] < 20
    assert 12_002 == len(store.ledger.read_all(Position(0), 100_000))
    store.close()


def test_a_checkpoint_that_fails_does_not_fail_the_append(sqlite_url: str, tmp_path: Path) -> None:
    store = at_work(sqlite_url)
    store.checkpoints._path = tmp_path / "no" / "such" / "ledger.db"
    write(store, 1)

    assert 0 == store.checkpoints.taken
    assert 3 * WAL_FRAMES == store.ledger.head().position
    store.close()


def test_only_an_older_sqlite_needs_the_guard(sqlite_url: str) -> None:
    store = opened(sqlite_url)
    with store.reading() as connection:
        automatic = connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one()
    old = sqlite3.sqlite_version_info < SAFE_CHECKPOINTS

    assert old == Checkpoints(Path("any")).guarded
    assert (0 if old else 1000) == automatic
    store.close()
