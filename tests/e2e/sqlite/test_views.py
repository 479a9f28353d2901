"""Views of a SQLite ledger, when projectors die or meet."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import event

from cronledger.domain import events as e
from cronledger.projections import fold
from cronledger.projections.tables import METADATA
from tests.e2e.sqlite.processes import line, rest, running, tell
from tests.unit.projections.streams import JOBS, define, opened, perform

FOLD = """
import sys
from tests.e2e.sqlite.test_views import fold_and_die
fold_and_die(sys.argv[1], int(sys.argv[2]))
"""
FOLD_BESIDE = """
import sys
from cronledger.projections import fold
from tests.unit.projections.streams import opened
store = opened(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
while fold.catch_up(store, limit=5) < int(sys.argv[2]):
    pass
print("done", flush=True)
"""


def recorded(url: str, runs: int) -> int:
    """Record runs that succeed; return the position of the last event."""
    store = opened(url)
    define(store.ledger, JOBS[0], schedule="0 0 * * * *")
    for hour in range(runs):
        perform(store.ledger, hour, e.RunSucceeded(items_processed=1, items_failed=0))
    position = store.ledger.head().position
    store.close()
    return position


def fold_and_die(url: str, statements: int) -> None:
    """Fold one half, then die in the middle of the second at the so-manieth change of a view."""
    store = opened(url)
    fold.catch_up(store, limit=60)
    changes = 0

    def count(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        nonlocal changes
        changes += statement.startswith(("INSERT", "UPDATE", "DELETE"))
        if changes == statements:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(store._engine, "after_cursor_execute", count)  # type: ignore[union-attr]
    fold.catch_up(store)


@pytest.mark.parametrize(
    "statements",
    [2, *(pytest.param(number, marks=pytest.mark.nightly) for number in (1, 3, 4))],
)
def test_a_projector_that_dies_in_a_batch_counts_nothing_twice(sqlite_url: str, statements: int) -> None:
    """Fault 77."""
    position = recorded(sqlite_url, 40)
    with running(FOLD, sqlite_url, statements) as child:
        code = child.wait()
    store = opened(sqlite_url)
    halfway = {mark.position for mark in _marks(store)}
    differences_then = fold.check(store)
    caught_up = fold.catch_up(store)

    assert -signal.SIGKILL == code
    assert {60} == halfway
    assert [] == differences_then
    assert position == caught_up
    assert [] == fold.check(store)
    store.close()


def test_projectors_of_several_processes_apply_every_event_once(sqlite_url: str) -> None:
    """Fault 78."""
    position = recorded(sqlite_url, 40)
    with ExitStack() as children:
        others = [children.enter_context(running(FOLD_BESIDE, sqlite_url, position)) for _ in range(3)]
        assert ["ready"] * 3 == [line(child) for child in others]
        for child in others:
            tell(child)
        said = [rest(child) for child in others]
    store = opened(sqlite_url)

    assert [["done"]] * 3 == said
    assert [] == fold.check(store)
    store.close()


def test_views_that_were_dropped_are_rebuilt_as_they_were(sqlite_url: str) -> None:
    """Fault 79."""
    recorded(sqlite_url, 10)
    store = opened(sqlite_url)
    fold.catch_up(store)
    before = _rows(store)
    with store.writing() as connection:
        METADATA.drop_all(connection)
    fold.rebuild(store)

    assert before == _rows(store)
    assert [] == fold.check(store)
    store.close()


def _marks(store: Any) -> list[Any]:
    with store.reading() as connection:
        return list(fold.checkpoints(connection).values())


def _rows(store: Any) -> list[Any]:
    with store.reading() as connection:
        return [sorted(map(repr, connection.execute(each.rows.select()).all())) for each in fold.PROJECTIONS]
