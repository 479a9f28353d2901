"""Hints from a SQLite file, look by look: a watch that has been closed looks only when it is told to."""

from __future__ import annotations

from pathlib import Path

from cronledger.ledger.wakeups import FileWatch, OwnWrites


class Watched:
    """A file, a watch whose thread has ended, and how often it has called."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ledger.db-wal"
        self.file.write_bytes(b"")
        self.calls = 0
        self.own_writes = OwnWrites()
        self.watch = self.own_writes.watched_by(FileWatch(self.file, self._called))
        self.watch.close()

    def write(self) -> None:
        with self.file.open("ab") as file:
            file.write(b"frame")

    def _called(self) -> None:
        self.calls += 1


def test_a_write_is_told_once(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.write()

    assert [True, False] == [watched.watch.check() for _ in range(2)]
    assert 1 == watched.calls


def test_a_file_that_goes_and_comes_is_told(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.file.unlink()
    is_gone = watched.watch.check()
    watched.write()

    assert (True, True) == (is_gone, watched.watch.check())


def test_what_this_process_writes_itself_is_not_told(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    with watched.own_writes.overlooked():
        watched.write()

    assert not watched.watch.check()


def test_a_write_of_somebody_else_is_told_although_our_own_came_before_the_next_look(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.write()
    with watched.own_writes.overlooked():
        watched.write()

    assert watched.watch.check()
