"""The writer: everybody gets an answer, whatever happens to the others or to the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from threading import Event, Thread

import pytest

from cronledger.domain.ids import Position
from cronledger.errors import Conflict, LedgerDamaged, LedgerUnreachable
from cronledger.ledger.api import Answer, Appended, Head, Item, Ledger, Prepared, Same
from cronledger.ledger.memory import MemoryLedger
from cronledger.ledger.writer import BATCH_BYTES, BATCH_EVENTS, Writer
from tests.conftest import opened
from tests.events import moved, plain
from tests.waiting import LIMIT_SECONDS, eventually

Answers = dict[int, Answer | Exception]


class BrokenError(Exception):
    """Something that nobody has foreseen."""


class Desk:
    """Collects answers, batch by batch."""

    def __init__(self) -> None:
        self.answers: Answers = {}
        self.batches: list[int] = []

    def take(self, answers: list[tuple[int, Answer | Exception]]) -> None:
        self.batches.append(len(answers))
        self.answers.update(answers)

    def has(self, number: int) -> bool:
        return eventually(lambda: len(self.answers) >= number)


class Moody(MemoryLedger):
    """A ledger in memory that can be made to wait, to be away, and to lose a reply."""

    def __init__(self, ledger: MemoryLedger) -> None:
        super().__init__(ledger.instance, ledger._clock, ledger._entropy)
        self.gate = Event()
        self.gate.set()
        self.entered = Event()
        self.away = 0
        self.broken = 0
        self.lose_replies = 0
        self.batches: list[Sequence[Prepared]] = []

    def submit(self, batch: Sequence[Prepared]) -> list[Answer]:
        self.entered.set()
        assert self.gate.wait(LIMIT_SECONDS)
        self.batches.append(batch)
        if self.away > 0:
            self.away -= 1
            raise LedgerUnreachable("away")
        if self.broken > 0:
            self.broken -= 1
            raise BrokenError
        answers = super().submit(batch)
        if self.lose_replies > 0:
            self.lose_replies -= 1
            raise LedgerUnreachable("the reply was lost")
        return answers

    def renew(self, term: int, lease: timedelta) -> Head:  # type: ignore[override]
        raise NotImplementedError


@pytest.fixture
def moody(memory_url: str) -> Moody:
    store = opened(memory_url)
    assert isinstance(store.ledger, MemoryLedger)
    ledger = Moody(store.ledger)
    store.close()
    return ledger


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def writer(moody: Moody, desk: Desk) -> Iterator[Writer[int]]:
    writer = Writer[int](moody, desk.take)
    yield writer
    moody.gate.set()
    writer.close()


def test_a_hundred_threads_are_each_answered(ledger_url: str) -> None:
    store, desk = opened(ledger_url), Desk()
    writer = Writer[int](store.ledger, desk.take)

    def ask(number: int) -> None:
        writer.submit(store.ledger.prepare(Item((plain(f"s{number % 60}"),))), number)

    threads = [Thread(target=ask, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    kinds = [type(answer) for answer in desk.answers.values()]

    assert set(range(100)) == set(desk.answers)
    assert (60, 40) == (kinds.count(Appended), kinds.count(Conflict))
    assert list(range(1, 61)) == [each.position for each in store.ledger.read_all(Position(0), 1000)]
    store.close()


def test_what_queues_up_during_an_append_goes_into_the_next(
    moody: Moody, writer: Writer[int], desk: Desk
) -> None:
    moody.gate.clear()
    ask(writer, moody, 0)
    assert moody.entered.wait(LIMIT_SECONDS)
    for number in range(1, 50):
        ask(writer, moody, number)
    moody.gate.set()

    assert desk.has(50)
    assert [1, 49] == desk.batches


def test_a_batch_has_a_limited_number_of_events(moody: Moody, writer: Writer[int], desk: Desk) -> None:
    moody.gate.clear()
    ask(writer, moody, 0)
    assert moody.entered.wait(LIMIT_SECONDS)
    for number in range(1, 4):
        ask(writer, moody, number, events=BATCH_EVENTS // 2)
    moody.gate.set()

    assert desk.has(4)
    assert [1, 2, 1] == desk.batches


def test_what_a_leader_asks_for_goes_first(moody: Moody, writer: Writer[int], desk: Desk) -> None:
    """Its fire times wait for it; the others keep their order, and share what room is left."""
    moody.gate.clear()
    ask(writer, moody, 0)
    assert moody.entered.wait(LIMIT_SECONDS)
    for number in (1, 2, 3):
        ask(writer, moody, number)
    for number in (4, 5):
        item = Item((plain(f"s{number}", BATCH_EVENTS // 2 - 1),), fence=moody.head().term)
        writer.submit(moody.prepare(item), number)
    moody.gate.set()

    assert desk.has(6)
    assert [0, 4, 5, 1, 2, 3] == list(desk.answers)
    assert [1, 4, 1] == desk.batches


def test_an_item_above_the_limit_goes_alone(moody: Moody, writer: Writer[int], desk: Desk) -> None:
    ask(writer, moody, 0, events=2 * BATCH_EVENTS)

    assert desk.has(1)
    assert isinstance(desk.answers[0], Appended)
    assert BATCH_BYTES > BATCH_EVENTS


def test_a_ledger_that_was_away_answers_when_it_is_back(
    moody: Moody, writer: Writer[int], desk: Desk
) -> None:
    moody.away = 3
    ask(writer, moody, 0)

    assert desk.has(1)
    assert isinstance(desk.answers[0], Appended)
    assert 4 == len(moody.batches)


def test_a_lost_reply_is_asked_for_again_with_the_same_ids(
    moody: Moody, writer: Writer[int], desk: Desk
) -> None:
    moody.lose_replies = 1
    ask(writer, moody, 0)

    assert desk.has(1)
    assert isinstance(desk.answers[0], Same)
    assert 1 == moody.head().position


def test_only_the_guilty_item_is_damaged(moody: Moody, writer: Writer[int], desk: Desk) -> None:
    known = moody.prepare(Item((plain("known"),)))
    moody.submit([known])
    moody.gate.clear()
    moody.entered.clear()
    ask(writer, moody, 0)
    assert moody.entered.wait(LIMIT_SECONDS)
    ask(writer, moody, 1)
    writer.submit(moved(known, "other"), 2)
    ask(writer, moody, 3)
    moody.gate.set()

    assert desk.has(4)
    assert [Appended, Appended, LedgerDamaged, Appended] == [type(desk.answers[n]) for n in range(4)]


def test_an_error_that_nobody_has_foreseen_is_an_answer_and_not_the_end(
    moody: Moody, writer: Writer[int], desk: Desk
) -> None:
    """The thread ended, and every later append was refused as if the ledger had been closed."""
    moody.broken = 1
    ask(writer, moody, 0)
    assert desk.has(1)
    ask(writer, moody, 1)

    assert desk.has(2)
    assert [BrokenError, Appended] == [type(desk.answers[n]) for n in range(2)]


def test_an_error_of_a_batch_is_an_answer_to_those_only_who_meet_it_alone(
    moody: Moody, writer: Writer[int], desk: Desk
) -> None:
    moody.gate.clear()
    ask(writer, moody, 0)
    assert moody.entered.wait(LIMIT_SECONDS)
    writer.submit_all([(moody.prepare(Item((plain(f"s{n}"),))), n) for n in range(1, 4)])
    moody.broken = 3
    moody.gate.set()

    assert desk.has(4)
    assert [BrokenError, BrokenError, Appended, Appended] == [type(desk.answers[n]) for n in range(4)]


def test_closing_answers_what_is_queued(moody: Moody, writer: Writer[int], desk: Desk) -> None:
    moody.gate.clear()
    for number in range(5):
        ask(writer, moody, number)
    moody.gate.set()
    writer.close()

    assert [Appended] * 5 == [type(desk.answers[n]) for n in range(5)]


def test_closing_gives_up_on_a_ledger_that_stays_away(moody: Moody, writer: Writer[int], desk: Desk) -> None:
    moody.away = 10**9
    ask(writer, moody, 0)
    assert moody.entered.wait(LIMIT_SECONDS)
    ask(writer, moody, 1)
    writer.close(within_seconds=0.1)

    assert desk.has(2)
    assert [LedgerUnreachable] * 2 == [type(desk.answers[n]) for n in range(2)]


def test_a_closed_writer_takes_nothing(moody: Moody, writer: Writer[int]) -> None:
    writer.close()

    with pytest.raises(LedgerUnreachable):
        ask(writer, moody, 0)


def ask(writer: Writer[int], ledger: Ledger, number: int, *, events: int = 1) -> None:
    writer.submit(ledger.prepare(Item((plain(f"s{number}", events),))), number)
