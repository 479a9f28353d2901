"""Behind PgBouncer in transaction mode, where no session is one's own. Fault 27."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from cronledger.domain import events as e
from cronledger.projections import fold
from tests.checker import problems, triggered
from tests.conftest import lines_of
from tests.contract.test_locks import dead
from tests.contract.test_scheduler import scheduler
from tests.e2e.postgres.conftest import Opener
from tests.events import election, kinds, plain, positions, submit
from tests.pgbouncer import NoPgBouncer, pgbouncer
from tests.postgres import OwnServer
from tests.unit.projections.streams import perform
from tests.waiting import eventually

pytestmark = pytest.mark.nightly


@pytest.fixture
def pooled_url(module_server: OwnServer, module_url: str) -> Iterator[str]:
    """Return a fresh ledger behind a pooler."""
    try:
        with pgbouncer(module_server.port) as port:
            yield str(make_url(module_url).set(port=port))
    except NoPgBouncer as error:
        pytest.skip(str(error))


def test_a_pooler_is_detected_and_no_lock_is_believed(
    pooled_url: str, store_at: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    store = store_at(pooled_url)
    lock, sign = store.leader_lock(), store.instance_lock(store.ledger.instance)
    with caplog.at_level(logging.WARNING, "cronledger.ledger"):
        lock.contend(lambda: None)
        told = eventually(lambda: "connection pooler" in caplog.text)
    warnings = [record.getMessage() for record in caplog.records]
    concerns = [each.what for each in store.concerns()]
    taken_for_dead = dead(store, store.ledger.instance)
    lock.release()
    sign.release()

    assert told
    assert not lock.held
    assert not sign.held
    assert set() == taken_for_dead
    assert 1 == sum("leadership rests on the lease alone" in each for each in warnings)
    assert 1 == sum("connection pooler" in each for each in concerns)


def test_views_are_rebuilt_behind_a_pooler(
    pooled_url: str, store_at: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are copied, and a part is written on another connection than the next one is read by."""
    monkeypatch.setattr(fold, "PAGE", 4)
    monkeypatch.setattr(fold, "PAGES_FROM_START", 2)
    store = store_at(pooled_url)
    for hour in range(20):
        perform(store.ledger, hour, e.RunSucceeded(message="ok"))
    position = fold.rebuild(store)

    assert store.ledger.head().position == position
    assert [] == fold.check(store)


def test_nothing_is_set_in_the_sessions_that_a_pooler_lends(
    pooled_url: str, module_url: str, store_at: Opener
) -> None:
    """What an append needs is said in its own statement; other users of the pooler never see it."""
    pooled = store_at(pooled_url)
    pooled.ledger.append(plain("first"))
    positions(pooled.ledger)
    asked = "SELECT name FROM pg_settings WHERE source = 'session' AND name <> 'client_encoding'"
    for _ in range(5):
        with pooled.stating() as connection:
            names = list(connection.exec_driver_sql(asked).scalars())

            assert [] == [each for each in names if each not in ("application_name", "DateStyle", "TimeZone")]


def test_an_append_is_durable_although_the_pools_sessions_say_otherwise(
    pooled_url: str, module_url: str, module_server: OwnServer, store_at: Opener
) -> None:
    """Somebody else's `SET synchronous_commit = off` stays on a session that is lent on."""
    pooled = store_at(pooled_url)
    with pooled.stating() as connection:
        connection.exec_driver_sql("SET synchronous_commit = off")
    with pooled.stating() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE seen (setting text);"
            "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END$$;"
            "CREATE CONSTRAINT TRIGGER see AFTER INSERT ON event DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION see()"
        )
    pooled.ledger.append(plain("first"))
    with pooled.stating() as connection:
        seen = list(connection.exec_driver_sql("SELECT setting FROM seen").scalars())

    assert ["on"] == seen


def test_terms_and_fences_hold_through_a_pooler(pooled_url: str, store_at: Opener) -> None:
    first, second = store_at(pooled_url), store_at(pooled_url)
    elected = submit(first.ledger, election(fence=0, expected=0, leader=first.ledger.instance))
    taken = submit(second.ledger, election(fence=1, expected=1, leader=second.ledger.instance, force=True))
    item = first.ledger.prepare(election(fence=1, expected=2))

    assert ["Appended"] == kinds(elected)
    assert ["Appended"] == kinds(taken)
    assert ["Fenced"] == kinds(first.ledger.submit([item]))


@pytest.mark.timeout(180)
def test_a_scheduler_behind_a_pooler_leads_by_the_lease_and_loses_nothing(
    pooled_url: str, module_url: str, tmp_path: Path
) -> None:
    async def program() -> None:
        one, other = tmp_path / "one", tmp_path / "other"
        one.mkdir()
        other.mkdir()
        first, second = (scheduler(pooled_url, each, instance=each.name) for each in (one, other))
        async with first.running(), second.running():
            await asyncio.sleep(6)
        async with scheduler(pooled_url, one, instance="third").running():
            await asyncio.sleep(3)

    asyncio.run(program())
    gc.collect()
    lines = lines_of(module_url)
    elected = [line["body"]["why"] for line in lines if line["type"] == "leader.elected"]  # type: ignore[index]

    assert [] == problems(lines)
    assert {"lease"} == set(elected)
    assert len(triggered(lines, "quick")) >= 5
