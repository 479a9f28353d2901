"""The views brought up from what the loop has followed are those that reading would give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from cronledger.domain import events as e
from cronledger.domain.ids import Position
from cronledger.errors import LedgerRegressed
from cronledger.ledger.api import Head
from cronledger.ledger.database import Store
from cronledger.projections import fold, tail
from cronledger.projections.tables import CHECKPOINT
from tests.unit.projections.streams import JOBS, define, elect, opened, perform

JOB = JOBS[0]


@pytest.fixture
def store(ledger_url: str) -> Iterator[Store]:
    store = opened(ledger_url)
    define(store.ledger, JOB)
    elect(store.ledger)
    yield store
    store.close()


class Watched:
    """A store that notes which pages of events are read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.ledger = self
        self.reading, self.writing = store.reading, store.writing
        self.read: list[tuple[int, int]] = []

    def read_all(self, after: Position, limit: int) -> list[e.Recorded]:
        self.read.append((after, limit))
        return self._store.ledger.read_all(after, limit)

    def head(self) -> Head:
        return self._store.ledger.head()


def since(store: Store, position: int) -> list[e.Recorded]:
    return store.ledger.read_all(Position(position), 1000)


def runs(store: Store, *numbers: int) -> None:
    for number in numbers:
        perform(store.ledger, number, e.RunSucceeded(message="ok", duration_ms=9))


def following(store: Store) -> tuple[tail.Tail, int]:
    """Return a tail that is asked for, after the views have been brought up to the head."""
    followed = tail.Tail()
    tail.catch_up(store, followed.take())
    return followed, store.ledger.head().position


def test_what_was_followed_is_not_read_again(store: Store) -> None:
    followed, position = following(store)
    runs(store, 1, 2, 3)
    followed.follow(since(store, position - 1))  # the last one once more, as the loop does
    head = store.ledger.head().position
    watched: Any = Watched(store)
    reached = tail.catch_up(watched, followed.take())

    assert head == reached
    assert [(head - 1, 1)] == watched.read  # is it still there
    assert [] == fold.check(store)


def test_what_comes_after_it_is_left_for_the_next_time(store: Store) -> None:
    followed, position = following(store)
    runs(store, 1)
    followed.follow(since(store, position))
    reached = store.ledger.head().position
    runs(store, 2)
    taken = followed.take()
    followed.follow(since(store, reached))
    watched: Any = Watched(store)

    assert reached == tail.catch_up(watched, taken)
    assert store.ledger.head().position == tail.catch_up(watched, followed.take())
    assert 2 == len(watched.read)
    assert [] == fold.check(store)


def test_views_that_are_further_already_stay(store: Store) -> None:
    followed, position = following(store)
    runs(store, 1)
    followed.follow(since(store, position))
    runs(store, 2)
    head = fold.catch_up(store)
    watched: Any = Watched(store)

    assert head == tail.catch_up(watched, followed.take())
    assert [] == watched.read


def test_views_that_are_further_than_the_ledger_are_folded_afresh(store: Store) -> None:
    """A running instance took them for somebody else's work, and folded nothing any more."""
    followed, position = following(store)
    runs(store, 1)
    followed.follow(since(store, position))
    with store.writing() as connection:
        connection.execute(update(CHECKPOINT.table).values(position=9999))
    reached = tail.catch_up(store, followed.take())

    assert store.ledger.head().position == reached
    assert [] == fold.check(store)


def test_what_came_before_it_is_read(store: Store) -> None:
    followed, _ = following(store)
    runs(store, 1)
    position = store.ledger.head().position
    runs(store, 2)
    followed.follow(since(store, position))

    assert store.ledger.head().position == tail.catch_up(store, followed.take())
    assert [] == fold.check(store)


def test_views_that_somebody_else_has_brought_up_go_on_from_there(store: Store) -> None:
    followed, position = following(store)
    runs(store, 1, 2)
    followed.follow(since(store, position))
    fold.catch_up(store, limit=4)

    assert store.ledger.head().position == tail.catch_up(store, followed.take())
    assert [] == fold.check(store)


def test_events_that_are_not_there_any_more_are_not_folded(store: Store) -> None:
    followed, position = following(store)
    runs(store, 1)
    gone = [msgspec.structs.replace(each, id="0" * 32) for each in since(store, position)]
    followed.follow(gone)
    with pytest.raises(LedgerRegressed) as raised:
        tail.catch_up(store, followed.take())
    with store.reading() as connection:
        marks = fold.checkpoints(connection)

    assert (gone[-1].position, "0" * 32) == (raised.value.position, raised.value.event_id)
    assert {position} == {mark.position for mark in marks.values()}
    assert store.ledger.head().position == tail.catch_up(store, followed.take())
    assert [] == fold.check(store)


def test_a_ledger_that_has_become_shorter_is_noticed(store: Store) -> None:
    followed, position = following(store)
    runs(store, 1)
    (*_, last) = since(store, position)
    followed.follow([*since(store, position), msgspec.structs.replace(last, position=last.position + 1)])
    with pytest.raises(LedgerRegressed):
        tail.catch_up(store, followed.take())

    assert store.ledger.head().position == tail.catch_up(store, followed.take())
    assert [] == fold.check(store)


def test_nothing_is_remembered_before_somebody_asks(store: Store) -> None:
    followed = tail.Tail()
    followed.follow(since(store, 0))

    assert [] == followed.take()


def test_nothing_is_remembered_twice_nor_once_it_was_taken(store: Store) -> None:
    followed, position = following(store)
    runs(store, 1)
    page = since(store, position)
    followed.follow(page[:2])
    followed.follow(page[1:])

    assert page == followed.take()
    assert [] == followed.take()


def test_only_what_follows_one_another_is_remembered(store: Store) -> None:
    followed, position = following(store)
    runs(store, 1, 2)
    page = since(store, position)
    followed.follow(page[:2])
    followed.follow(page[4:])

    assert page[4:] == followed.take()


def test_what_nobody_asks_for_is_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "MOST", 3)
    followed, position = following(store)
    runs(store, 1, 2)
    page = since(store, position)
    followed.follow(page[:3])
    kept = followed.take()
    followed.follow(page[:4])
    followed.follow(page[4:])

    assert page[:3] == kept
    assert [] == followed.take()


def test_another_history_is_not_taken_for_this_one(store: Store) -> None:
    followed, position = following(store)
    runs(store, 1)
    followed.follow(since(store, position))
    followed.forget()

    assert [] == followed.take()
