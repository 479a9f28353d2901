"""What is left after the power went, or after somebody has laid hands on the file."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from cronledger.domain.ids import Position
from cronledger.errors import CronledgerError
from cronledger.ledger.marks import Mark, read_mark
from cronledger.ledger.verify import verify
from cronledger.projections import fold
from tests.conftest import opened
from tests.e2e.sqlite.processes import line, running
from tests.events import plain

FRAME_BYTES = 4096 + 24
WRITE = """
import sys
from sqlalchemy import event
from cronledger.projections import fold
from tests.conftest import opened
from tests.events import plain
store = opened(sys.argv[1])
store.checkpoints.guarded = True
setting = f"PRAGMA synchronous = {sys.argv[2]}"
event.listen(store._engine, "connect", lambda driver, record: driver.execute(setting))
number = 0
while True:
    last = store.ledger.append(plain(f"s{number}", 1 + number % 40)).last
    number += 1
    print(last, flush=True)
    if sys.argv[3:] == ["folding"]:
        fold.catch_up(store)
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the library that stands between a process and its disk."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = tmp_path_factory.mktemp("shim") / "synced.so"
    source = Path(__file__).with_name("synced.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def lose_power(
    url: str, disk: Path, shim: Path, *words: str, after: int, synchronous: str = "FULL"
) -> tuple[int, Path]:
    """Append until so many answers came, cut the power; return the last position told and what is left."""
    database = Path(url.removeprefix("sqlite:///"))
    disk.mkdir()
    shutil.copyfile(database, disk / database.name)
    with running(WRITE, url, synchronous, *words, LD_PRELOAD=str(shim), SYNCED=str(disk)) as child:
        acknowledged = 0
        for _ in range(after):
            acknowledged = int(line(child))
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert child.stdout is not None
        acknowledged = max([acknowledged, *(int(each) for each in child.stdout.read().split("\n")[:-1])])
    return acknowledged, disk / database.name


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(8))
def test_what_was_acknowledged_survives_the_loss_of_power(
    sqlite_url: str, tmp_path: Path, shim: Path, seed: int
) -> None:
    """Fault 44: every write that was not synced is gone. Torn and reordered writes are not shown."""
    after = random.Random(seed).randrange(1, 150)
    acknowledged, left = lose_power(sqlite_url, tmp_path / "disk", shim, after=after)
    store = opened(f"sqlite:///{left}")
    report = verify(store.ledger)

    assert report.ok
    assert acknowledged <= report.events
    assert acknowledged > 0
    store.close()


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(8))
def test_views_that_were_not_synced_take_nothing_acknowledged_with_them(
    sqlite_url: str, tmp_path: Path, shim: Path, seed: int
) -> None:
    """The commits of the views between two appends may be gone; the appends around them are not."""
    after = random.Random(seed).randrange(20, 120)
    acknowledged, left = lose_power(sqlite_url, tmp_path / "disk", shim, "folding", after=after)
    store = opened(f"sqlite:///{left}")
    report = verify(store.ledger)
    before = fold.check(store)
    position = fold.catch_up(store)
    differences = fold.check(store)
    store.close()

    assert report.ok
    assert acknowledged <= report.events == position
    assert ([], []) == (before, differences)


@pytest.mark.nightly
def test_the_loss_of_power_is_noticed_without_syncs(sqlite_url: str, tmp_path: Path, shim: Path) -> None:
    """The counter-check of the test before: it can fail."""
    acknowledged, left = lose_power(sqlite_url, tmp_path / "disk", shim, after=20, synchronous="OFF")
    store = opened(f"sqlite:///{left}")

    assert store.ledger.head().position < acknowledged
    store.close()


NOTE = """
import sys
from pathlib import Path
from cronledger.ledger.marks import Mark, write_mark
write_mark(Path(sys.argv[1]), Mark(lineage="this", position=7, history="3-other"))
"""


def test_a_note_is_on_the_disk_before_it_has_its_name(tmp_path: Path, shim: Path) -> None:
    """An empty one says nothing: the history would have had its old name again."""
    disk, database = tmp_path / "disk", tmp_path / "ledger.db"
    disk.mkdir()
    with running(NOTE, database, LD_PRELOAD=str(shim), SYNCED=str(disk)) as child:
        child.wait()
    synced = [path.read_bytes() for path in disk.iterdir() if path.name.startswith("ledger.db.mark.")]

    assert Mark(lineage="this", position=7, history="3-other") == read_mark(database)
    assert [(tmp_path / "ledger.db.mark").read_bytes()] == synced


# --- a write-ahead log that is not whole ------------------------------------------------------------------


def crashed(url: str, folder: Path, appends: int = 30) -> tuple[Path, Path]:
    """Return the files of a process that died with everything in its log, and nothing in the database."""
    store = opened(url)
    for number in range(appends):
        store.ledger.append(plain(f"s{number}", 2))
    folder.mkdir()
    database = Path(url.removeprefix("sqlite:///"))
    left = folder / database.name
    for end in ("", "-wal"):
        shutil.copyfile(f"{database}{end}", f"{left}{end}")
    store.close()
    return left, left.with_name(f"{left.name}-wal")


@pytest.mark.parametrize("how", ["torn", "garbled", "zeroed", "short"])
@pytest.mark.parametrize("frames", [1, 30])
def test_a_log_with_a_damaged_end_recovers_to_a_prefix(
    sqlite_url: str, tmp_path: Path, how: str, frames: int
) -> None:
    """Fault 45: whole appends are there or are not, and the ledger goes on behind them."""
    left, wal = crashed(sqlite_url, tmp_path / "left")
    size = wal.stat().st_size
    place = size - frames * FRAME_BYTES + {"torn": 1000, "garbled": 0, "zeroed": 0, "short": 1}[how]
    with wal.open("r+b") as file:
        if how in {"torn", "short"}:
            file.truncate(place)
        else:
            file.seek(place)
            file.write((os.urandom if how == "garbled" else bytes)(size - place))
    store = opened(f"sqlite:///{left}")
    found = store.ledger.head().position
    report = verify(store.ledger)
    again = store.ledger.append(plain("later"))

    assert report.ok
    assert 0 < found < 60
    assert 0 == found % 2
    assert found == report.events
    assert found + 1 == again.last
    store.close()


# --- somebody lays hands on the file ----------------------------------------------------------------------

TRIGGERS = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
FORGED = (
    "INSERT INTO event SELECT 21, zeroblob(16), 'forged', 1, type, schema, must_understand, recorded_at,"
    " instance, term, actor, job, attempt, fire_at, cause, commitment FROM event WHERE position = 1"
)


def tampered(url: str, *statements: str) -> list[int]:
    """Change a ledger as its owner can, with the triggers off; return the positions that are found wrong."""
    store = opened(url)
    for number in range(10):
        store.ledger.append(plain(f"s{number}", 2))
    store.close()
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        for (name,) in connection.execute(TRIGGERS).fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        for statement in statements:
            assert connection.execute(statement).rowcount
        connection.commit()
    store = opened(url)
    report = verify(store.ledger)
    store.close()

    assert report.ok == (not report.problems)
    return sorted({problem.position for problem in report.problems})


@pytest.mark.parametrize(
    ("wrong", "statements"),
    [
        ([], ["UPDATE head SET epoch = epoch"]),
        ([7], ["DELETE FROM event WHERE position = 7", "DELETE FROM event_body WHERE position = 7"]),
        ([20], ["DELETE FROM event WHERE position = 20"]),
        ([19], ["DELETE FROM event WHERE position > 18", "UPDATE head SET position = 19"]),
        ([7], ["UPDATE event_body SET body = replace(body, 'x', 'y') WHERE position = 7"]),
        ([7], ["UPDATE event_body SET salt = zeroblob(16) WHERE position = 7"]),
        ([7], ["UPDATE event SET commitment = zeroblob(32) WHERE position = 7"]),
        ([5], ["UPDATE event SET version = 9 WHERE position = 5"]),
        ([7], ["UPDATE event SET recorded_at = 0 WHERE position = 7"]),
        (
            [21],
            [
                FORGED,
                "INSERT INTO event_body SELECT 21, salt, body FROM event_body WHERE position = 1",
            ],
        ),
    ],
    ids=["nothing", "deleted", "last", "tail", "body", "salt", "commitment", "version", "time", "inserted"],
)
def test_what_the_owner_changes_is_found_at_its_position(
    sqlite_url: str, wrong: list[int], statements: list[str]
) -> None:
    """Fault 47: as far as it can be told without an anchor outside the file."""
    found = tampered(sqlite_url, *statements)

    assert wrong == found[: len(wrong)]
    assert bool(wrong) == bool(found)


def test_a_flipped_byte_of_a_body_is_found_at_its_position(sqlite_url: str) -> None:
    """Fault 46: in the file itself, behind the back of SQLite."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    store = opened(sqlite_url)
    for number in range(5):
        store.ledger.append(plain(f"s{number}"))
    salts = {each.position: each.salt for each in store.ledger.read_stored(Position(0), 10)}
    store.close()
    content, salt = bytearray(path.read_bytes()), salts[3]
    assert salt is not None
    content[content.index(salt) + 5] ^= 1
    path.write_bytes(content)
    store = opened(sqlite_url)
    report = verify(store.ledger)

    assert [3] == [problem.position for problem in report.problems]
    assert "not the one that was committed to" in report.problems[0].problem
    store.close()


def test_a_flipped_bit_anywhere_ends_in_a_report_or_in_damage(sqlite_url: str) -> None:
    """Fault 46: nobody waits for a broken file to get better. What only seals could show is not found."""
    path, chance = Path(sqlite_url.removeprefix("sqlite:///")), random.Random(46)
    store = opened(sqlite_url)
    for number in range(60):
        store.ledger.append(plain(f"s{number}", 3))
    store.close()
    content, codes = path.read_bytes(), set()
    for _ in range(80):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        store = opened(sqlite_url)
        try:
            codes.add(0 if verify(store.ledger).ok else 1)
        except CronledgerError as error:
            codes.add(error.exit_code)
        store.close()

    assert {0, 1, 7} >= codes > {1}
