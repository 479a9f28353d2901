"""Log lines and progress on every database, also one that is away, slow, or hangs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import Connection

from cronledger.domain.ids import RunId
from cronledger.domain.line import Line
from cronledger.domain.progress import Progress
from cronledger.errors import LedgerUnreachable
from cronledger.ledger import logs, progress
from cronledger.ledger.database import Store
from cronledger.ledger.logs import Wanted
from cronledger.ledger.notes import LEFT_BEHIND, LINES_WAITING, NoteWriter
from cronledger.testing import ManualClock
from tests.events import HERE, JOB, NOON, RUN
from tests.waiting import eventually

OTHER = RunId("tidy@20260101T130000Z")
LINE_SECONDS = 0.000_2
"""What a line may cost whoever logs it, on a busy machine: ten times what it costs on a quiet one."""


def line(message: str) -> Line:
    return Line(at=NOON, level="INFO", logger="job", instance=HERE, message=message, job=JOB, run_id=RUN)


def report(done: float, *, attempt: int = 1, run_id: RunId = RUN, at: Any = NOON) -> Progress:
    return Progress(run_id=run_id, attempt=attempt, done=done, total=9.5, message="m", at=at)


def messages(store: Store) -> list[str]:
    with store.reading() as connection:
        return [each.line.message for each in logs.numbered_after(connection, Wanted(), 0)]


def reports(store: Store) -> list[Progress]:
    with store.reading() as connection:
        return progress.everything(connection)


class Gate:
    """A store whose writers may be sent away, or kept waiting."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.kind = store.kind
        self.is_away = False
        self.is_open, self.has_caller = Event(), Event()
        self.is_open.set()

    @contextmanager
    def writing(self, *, relaxed: bool = False) -> Iterator[Connection]:
        self.has_caller.set()
        self.is_open.wait()
        if self.is_away:
            raise LedgerUnreachable("away")
        with self._store.writing(relaxed=relaxed) as connection:
            yield connection


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def gate(store: Store) -> Iterator[Gate]:
    gate = Gate(store)
    yield gate
    gate.is_open.set()


@pytest.fixture
def writer(gate: Gate, clock: ManualClock) -> Iterator[NoteWriter]:
    writer = NoteWriter(gate, clock)  # type: ignore[arg-type] # as much of a store as notes need
    yield writer
    gate.is_open.set()
    writer.close()


def test_lines_are_written_in_their_order_without_being_asked_for(store: Store, writer: NoteWriter) -> None:
    for number in range(2500):
        writer.say(line(str(number)))

    assert eventually(lambda: len(messages(store)) == 2500)
    assert [str(number) for number in range(2500)] == messages(store)


def test_what_waits_when_a_writer_is_closed_is_written(store: Store, writer: NoteWriter) -> None:
    writer.say(line("last words"))
    writer.report(report(3))
    writer.close()
    writer.say(line("too late"))
    writer.report(report(4))

    assert eventually(lambda: ["last words"] == messages(store))
    assert eventually(lambda: [report(3)] == reports(store))


def test_progress_is_its_latest_word_and_is_gone_when_the_attempt_ends(
    store: Store, writer: NoteWriter
) -> None:
    for done in range(5):
        writer.report(report(done))
    writer.report(report(1, run_id=OTHER))

    assert eventually(lambda: reports(store) == [report(4), report(1, run_id=OTHER)])
    writer.end(RUN, 1)

    assert eventually(lambda: reports(store) == [report(1, run_id=OTHER)])


def test_progress_is_written_at_most_once_a_second(
    store: Store, writer: NoteWriter, clock: ManualClock
) -> None:
    writer.report(report(1))
    assert eventually(lambda: reports(store) == [report(1)])
    writer.report(report(2))
    for run in (OTHER, RunId("tidy@20260101T140000Z")):
        writer.say(line("a reason to write"))
        writer.end(run, 1)
        assert eventually(lambda: messages(store))
    before = reports(store)
    clock.advance(1)

    assert [report(1)] == before
    assert eventually(lambda: reports(store) == [report(2)])


def test_an_earlier_attempt_has_no_word_once_a_later_one_has_spoken(store: Store) -> None:
    """An instance that was declared lost, and wakes, must not move the bar of the one that goes on."""
    with store.writing() as connection:
        progress.put(connection, [report(1, attempt=2)])
        progress.put(connection, [report(9, attempt=1)])
        progress.remove(connection, {RUN: 1})
        after_the_earlier = progress.one(connection, RUN)
        progress.put(connection, [report(2, attempt=2)])
        after_its_own = progress.one(connection, RUN)

    assert report(1, attempt=2) == after_the_earlier
    assert report(2, attempt=2) == after_its_own


def test_what_a_crashed_instance_left_behind_is_removed_in_the_end(store: Store, writer: NoteWriter) -> None:
    old, young = NOON - LEFT_BEHIND - timedelta(seconds=1), NOON - LEFT_BEHIND
    with store.writing() as connection:
        progress.put(connection, [report(1, run_id=OTHER, at=old), report(2, at=young)])
    writer.report(report(3, run_id=RunId("tidy@20260101T140000Z")))

    assert eventually(lambda: [3.0, 2.0] == sorted((each.done for each in reports(store)), reverse=True))


def test_while_the_ledger_is_away_lines_wait_and_the_oldest_make_room(
    store: Store, writer: NoteWriter, gate: Gate
) -> None:
    gate.is_away = True
    writer.say(line("first"))
    writer.report(report(1))
    assert gate.has_caller.wait(10)
    for number in range(LINES_WAITING + 7):
        writer.say(line(str(number)))
    gate.is_away = False

    assert eventually(lambda: messages(store)[-1:] == [str(LINES_WAITING + 6)])
    found = messages(store)
    (dropped,) = [each for each in found if each.endswith(" lines were dropped")]
    lost = int(dropped.split()[0])
    assert LINES_WAITING + 8 == len(found) - 1 + lost
    assert 7 <= lost <= 8
    assert str(LINES_WAITING + 6) == found[-1]
    assert eventually(lambda: reports(store) == [report(1)])


def test_a_ledger_that_hangs_holds_nobody_up(writer: NoteWriter, gate: Gate) -> None:
    gate.is_open.clear()
    writer.say(line("first"))
    assert gate.has_caller.wait(10)
    began = monotonic()
    for number in range(10_000):
        writer.say(line(str(number)))
        writer.report(report(number))
    took = monotonic() - began
    writer.close(0.01)

    assert took / 10_000 < LINE_SECONDS


def test_a_line_of_any_text_is_kept(store: Store, writer: NoteWriter) -> None:
    odd = Line(
        at=NOON, level="INFO", logger="a\0b", instance=HERE, message="\ud800\0", job=JOB, step="s\0\udfff"
    )
    writer.say(odd)
    writer.close()

    assert eventually(lambda: ["\ufffd\ufffd"] == messages(store))


def test_what_the_database_refuses_for_good_does_not_stop_the_rest(
    store: Store, writer: NoteWriter, caplog: pytest.LogCaptureFixture
) -> None:
    refused = Line(at=NOON, level="INFO", logger="job", instance=None, message="x")  # type: ignore[arg-type]
    writer.say(refused)
    assert eventually(lambda: "cannot be kept" in caplog.text)
    writer.say(line("goes on"))

    assert eventually(lambda: messages(store) == ["goes on"])


@pytest.mark.parametrize("order", [sorted, lambda numbers: sorted(numbers, reverse=True)])
def test_pages_of_lines_at_one_instant_miss_none(
    store: Store, order: Callable[[list[int]], list[int]]
) -> None:
    with store.writing() as connection:
        logs.write_lines(connection, [line(str(number)) for number in range(7)])
    newest_first = order([0, 1]) == [1, 0]
    found: list[logs.Numbered] = []
    with store.reading() as connection:
        while page := logs.page(
            connection, Wanted(), limit=3, newest_first=newest_first, beyond=found[-1] if found else None
        ):
            found += page

    assert order(list(range(7))) == [int(each.line.message) for each in found]
