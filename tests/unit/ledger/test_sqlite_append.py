"""How a SQLite ledger tells itself from an older copy of itself and from another ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cronledger.domain.ids import Position, Term
from cronledger.errors import LedgerDamaged
from cronledger.ledger.database import Store
from cronledger.ledger.marks import Mark, read_mark
from tests.conftest import bring_to_head, opened
from tests.e2e.sqlite.test_files import backup, put
from tests.events import NOON, plain


@pytest.fixture
def path(sqlite_url: str) -> Path:
    return Path(sqlite_url.removeprefix("sqlite:///"))


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    store = opened(sqlite_url)
    yield store
    store.close()


def own_lineage(path: Path) -> str:
    """Return what stands in the file itself."""
    connection = sqlite3.connect(path)
    (lineage,) = connection.execute("SELECT lineage FROM head").fetchone()
    connection.close()
    return str(lineage)


def noted(path: Path) -> Mark:
    return read_mark(path)


def id_at(store: Store, position: int) -> bytes:
    (stored,) = store.ledger.read_stored(Position(position - 1), 1)
    return stored.id


def lose_the_second_event(store: Store, path: Path) -> str:
    """Append two events, put a copy back that holds the first, and return what the history is called then."""
    store.ledger.append(plain("a"))
    copy = backup(store.url, path.with_name("copy.db"))
    store.ledger.append(plain("b"))
    lost = id_at(store, 2).hex()
    put(copy, path)
    return f"{own_lineage(path)}/2-{lost}"


def test_a_ledger_that_has_lost_nothing_is_called_what_stands_in_it(store: Store, path: Path) -> None:
    before = store.ledger.head().lineage
    store.ledger.append(plain("a"))

    assert (own_lineage(path), own_lineage(path)) == (before, store.ledger.head().lineage)
    assert store.lost() is None


def test_what_was_acknowledged_is_noted_at_the_end(store: Store, path: Path) -> None:
    store.ledger.append(plain("a", 2), plain("b"))
    expected = Mark(lineage=own_lineage(path), position=3, id=id_at(store, 3))
    store.close()

    assert expected == noted(path)


def test_an_instance_that_had_acknowledged_less_leaves_the_note(store: Store, path: Path) -> None:
    other = opened(store.url)
    store.ledger.append(plain("a"))
    other.ledger.append(plain("b", 2))
    other.close()
    expected = noted(path)
    store.close()

    assert (3, expected) == (expected.position, noted(path))


def test_a_history_with_a_loss_is_named_after_what_was_lost(store: Store, path: Path) -> None:
    name = lose_the_second_event(store, path)

    assert [name, name] == [store.ledger.head().lineage, store.ledger.head().lineage]
    assert [2, None] == [lost and lost[0] for lost in (store.lost(), store.lost())]


def test_what_is_appended_after_a_loss_can_be_lost_again(store: Store, path: Path) -> None:
    first = lose_the_second_event(store, path)
    copy = backup(store.url, path.with_name("copy.db"))
    told = [store.ledger.head().lineage]
    store.ledger.append(plain("c", 4))
    lost = id_at(store, 5).hex()
    store.close()
    put(copy, path)
    again = opened(store.url)
    told.append(again.ledger.head().lineage)

    assert [first, f"{own_lineage(path)}/5-{lost}"] == told
    assert (5, lost) == again.lost()
    again.close()


def test_who_had_acknowledged_nothing_keeps_the_name_that_others_gave(store: Store, path: Path) -> None:
    idle = opened(store.url)
    idle.ledger.head()
    name = lose_the_second_event(store, path)
    seen = store.ledger.head().lineage
    idle.ledger.append(plain("c", 3))
    idle.close()
    store.close()
    again = opened(store.url)

    assert {name} == {seen, again.ledger.head().lineage}
    again.close()


@pytest.mark.parametrize("is_running", [True, False])
def test_another_ledger_in_the_place_is_another_ledger_and_nothing_is_lost(
    store: Store, path: Path, *, is_running: bool
) -> None:
    name = lose_the_second_event(store, path)
    before = [store.ledger.head().lineage, store.lost() is None]
    store.ledger.append(plain("c", 8))
    another = path.with_name("another.db")
    bring_to_head(f"sqlite:///{another}")
    another.with_name("another.db.mark").unlink(missing_ok=True)
    if not is_running:
        store.close()
        store = opened(store.url)
    put(another, path)
    answer = store.ledger.append(plain("a", 3))
    lineage = own_lineage(path)
    expected = Mark(lineage=lineage, position=3, id=id_at(store, 3))
    after = [store.ledger.head().lineage, store.lost() is None]
    store.close()

    assert lineage not in name
    assert ([name, False], 3, [lineage, True]) == (before, answer.last, after)
    assert expected == noted(path)


def test_a_ledger_without_its_head_is_damaged(store: Store) -> None:
    with store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM head")

    for use in (
        store.ledger.head,
        lambda: store.ledger.append(plain("a")),
        lambda: store.ledger.renew(Term(0), timedelta(0)),
        lambda: store.ledger.read_all(Position(0), 10),
        lambda: store.ledger.position_at(NOON),
    ):
        with pytest.raises(LedgerDamaged, match="the ledger has no head"):
            use()
    assert [] == store.ledger.read_stored(Position(0), 1)


def test_a_head_of_an_instant_that_no_calendar_has_is_damage(store: Store) -> None:
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE head SET recorded_at = 9223372036854775807")

    with pytest.raises(LedgerDamaged, match="no calendar has"):
        store.ledger.head()
