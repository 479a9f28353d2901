"""Signs of life, one by one, without their thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cronledger.ledger import instances
from cronledger.ledger.database import Store
from cronledger.testing import ManualClock
from cronledger.world import MISSED_BEATS, Beats
from tests.conftest import opened
from tests.events import HERE

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
Beating = Callable[[Store, ManualClock], Beats]


def row(at: datetime) -> instances.Instance:
    return instances.Instance(
        id=HERE, name="here", kind="service", host="host", pid=1, build="1", started_at=at, beat_at=at
    )


def registered(store: Store, at: datetime) -> None:
    with store.writing() as connection:
        instances.register(connection, row(at))


def known(store: Store) -> list[instances.Instance]:
    with store.reading() as connection:
        return instances.known(connection)


@pytest.fixture
def beating() -> Iterator[Beating]:
    """Return what registers an instance and returns its beats."""
    with ExitStack() as signs:

        def make(store: Store, clock: ManualClock) -> Beats:
            registered(store, clock.now())
            sign = store.instance_lock(HERE)
            signs.callback(sign.release)
            beats = Beats(store, clock.now)
            beats.take(row(clock.now()), sign)
            return beats

        yield make


def test_somebody_is_silent_once_we_have_beaten_three_times_since(sql_url: str, beating: Beating) -> None:
    store = opened(sql_url)
    clock = ManualClock(NOON)
    beats = beating(store, clock)
    last_heard = clock.now()
    told = []
    for _ in range(MISSED_BEATS + 1):
        told.append(beats.have_outlived(last_heard))
        clock.advance(5)
        beats.beat()
    told.append(beats.have_outlived(last_heard))
    store.close()

    assert [False, False, False, True, True] == told


def test_while_we_are_not_heard_ourselves_nobody_is_silent(sqlite_url: str, beating: Beating) -> None:
    """Fault 15: a ledger that was away for a minute kills nobody."""
    store = opened(sqlite_url)
    clock = ManualClock(NOON)
    beats = beating(store, clock)
    last_heard = clock.now()
    for _ in range(MISSED_BEATS):
        clock.advance(5)
        beats.beat()
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE instance RENAME TO away")
    clock.advance(60)
    beats.beat()
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO instance")
    beats.beat()
    outlived = beats.have_outlived(last_heard)
    store.close()

    assert not outlived


def test_a_beat_sets_a_sign_up_again_that_somebody_removed(
    sqlite_url: str, tmp_path: Path, beating: Beating
) -> None:
    """Nobody asked for the sign again, so its instance stayed dead to the others."""
    store = opened(sqlite_url)
    beats = beating(store, ManualClock(NOON))
    (file,) = tmp_path.glob("*.instance-*")
    file.unlink()
    beats.beat()
    files = list(tmp_path.glob("*.instance-*"))
    store.close()

    assert [file] == files


def test_a_row_that_somebody_removed_is_written_again_with_what_it_said(
    sql_url: str, beating: Beating
) -> None:
    store = opened(sql_url)
    clock = ManualClock(NOON)
    beats = beating(store, clock)
    beats.learn({"state": "ready", "epoch": 7})
    with store.writing() as connection:
        instances.retire(connection, HERE)
    clock.advance(5)
    beats.beat()
    (found,) = known(store)
    store.close()

    assert ("ready", 7, clock.now()) == (found.state, found.epoch, found.beat_at)
