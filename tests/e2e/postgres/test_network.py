"""What a network can do to the connection of an append: cut it, hold it, deliver late."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest

from cronledger import migrations
from cronledger.errors import Fenced, LedgerUnreachable
from cronledger.ledger.api import Item, Same
from cronledger.ledger.postgres import PostgresStore
from cronledger.ledger.sessions import CLOSING_SECONDS
from cronledger.ledger.writer import Writer
from cronledger.migrations.obstacles import CLASS
from tests.checker import problems, triggered
from tests.conftest import lines_of
from tests.contract.test_scheduler import scheduler
from tests.e2e.postgres.conftest import Opener
from tests.events import election, kinds, plain, positions, submit
from tests.postgres import Server
from tests.proxy import Proxy
from tests.waiting import eventually

LIMIT = 2.0
"""Seconds: how long silence is waited out; an answer takes less, beside other tests on a busy machine too."""


@pytest.fixture
def proxy(postgres_server: Server) -> Iterator[Proxy]:
    with Proxy(int(postgres_server.url.rsplit(":", 1)[1].split("/")[0])) as proxy:
        yield proxy


@pytest.fixture
def far(proxy: Proxy, postgres_url: str, store_at: Opener) -> PostgresStore:
    """Return a ledger beyond the proxy, to which this instance is connected."""
    store = store_at(proxy.url(postgres_url), limit_seconds=LIMIT)
    store.ledger.append(plain("first"))
    return store


@pytest.fixture
def near(postgres_url: str, store_at: Opener) -> PostgresStore:
    """Return the same ledger, without a detour."""
    return store_at(postgres_url)


def test_an_append_over_a_way_that_was_cut_before_takes_another_one(
    proxy: Proxy, far: PostgresStore, near: PostgresStore
) -> None:
    """Fault 16."""
    item = far.ledger.prepare(Item((plain("second"),)))
    proxy.cut()

    assert ["Appended"] == kinds(far.ledger.submit([item]))
    assert [1, 2] == positions(near.ledger)


def test_an_append_whose_answer_is_lost_is_the_same_on_retry(
    proxy: Proxy, far: PostgresStore, near: PostgresStore
) -> None:
    """Fault 17."""
    item = far.ledger.prepare(Item((plain("second"),)))
    proxy.hold("replies")
    with pytest.raises(LedgerUnreachable, match="no answer within"):
        far.ledger.submit([item])
    proxy.cut()

    assert ["Same"] == kinds(far.ledger.submit([item]))
    assert [1, 2] == positions(near.ledger)


def test_the_writer_resolves_what_became_of_an_append_by_itself(
    proxy: Proxy, far: PostgresStore, near: PostgresStore
) -> None:
    """Faults 16 and 17, as an instance meets them: the caller waits, and gets one answer."""
    answered: list[object] = []
    writer: Writer[int] = Writer(far.ledger, lambda answers: answered.extend(answer for _, answer in answers))
    proxy.hold("replies")
    writer.submit(far.ledger.prepare(Item((plain("second"),))), 1)
    assert eventually(lambda: near.ledger.head().position == 2)
    proxy.cut()

    assert eventually(lambda: answered)
    assert [Same] == [type(answer) for answer in answered]
    writer.close()


@pytest.mark.parametrize("call", ["append", "renew", "head", "read", "views"])
def test_no_call_waits_for_ever_for_a_server_that_has_fallen_silent(
    call: str, proxy: Proxy, far: PostgresStore
) -> None:
    """Fault 18: the connection stays open, and nothing comes back."""
    (answer,) = submit(far.ledger, election(fence=0, expected=0))
    ledger = far.ledger

    def views() -> None:
        with far.writing() as connection:
            connection.exec_driver_sql("SELECT 1")

    calls = {
        "append": lambda: ledger.append(plain("second")),
        "renew": lambda: ledger.renew(1, election(fence=0, expected=0).takeover.lease),  # type: ignore[arg-type, union-attr]
        "head": ledger.head,
        "read": lambda: positions(ledger),
        "views": views,
    }
    calls[call]()
    proxy.hold("replies")
    with pytest.raises(LedgerUnreachable, match=r"no answer within|does not answer"):
        calls[call]() if call != "append" else ledger.append(plain("third"))
    proxy.cut()

    assert "Appended" == type(answer).__name__
    assert eventually(lambda: _answers(ledger.head))


def test_a_lock_behind_a_silent_connection_is_given_up(
    proxy: Proxy, postgres_url: str, near: PostgresStore, store_at: Opener
) -> None:
    """Fault 18, the leader's lock: its holder stops believing in it, and somebody else may take it."""
    far = store_at(proxy.url(postgres_url), limit_seconds=LIMIT)
    lock, other = far.leader_lock(), near.leader_lock()
    lock.contend(lambda: None)
    assert eventually(lambda: lock.held)
    proxy.hold("requests", "replies")

    assert eventually(lambda: not lock.held)
    proxy.cut()
    other.contend(lambda: None)
    assert eventually(lambda: other.held or lock.held)
    lock.release()
    other.release()


def test_a_candidate_behind_a_silent_connection_stops_at_once(
    proxy: Proxy, postgres_url: str, near: PostgresStore, store_at: Opener
) -> None:
    """It waited in the server without a limit, and whoever told the process to end waited for it."""
    leader, candidate = near.leader_lock(), store_at(proxy.url(postgres_url)).leader_lock()
    leader.contend(lambda: None)
    assert eventually(lambda: leader.held)
    candidate.contend(lambda: None)
    assert eventually(lambda: waits_for_a_lock(near))
    proxy.hold("requests", "replies")
    began = time.monotonic()
    candidate.release()
    took = time.monotonic() - began
    leader.release()

    assert took < CLOSING_SECONDS


def test_a_candidate_behind_a_silent_connection_connects_again(
    proxy: Proxy, postgres_url: str, near: PostgresStore, store_at: Opener
) -> None:
    """It waited for an answer that could never come, and never contended again."""
    far = store_at(proxy.url(postgres_url), limit_seconds=LIMIT)
    leader, candidate = near.leader_lock(), far.leader_lock()
    leader.contend(lambda: None)
    assert eventually(lambda: leader.held)
    candidate.contend(lambda: None)
    assert eventually(lambda: waits_for_a_lock(near))
    proxy.hold("requests", "replies")
    before = proxy.connections
    noticed = eventually(lambda: proxy.connections > before)
    proxy.cut()
    leader.release()

    assert noticed
    assert eventually(lambda: candidate.held)
    candidate.release()


def test_a_candidate_waits_without_an_error_and_without_an_old_snapshot(
    postgres_url: str, near: PostgresStore, store_at: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    """Its one long statement kept the head's old rows alive for as long as it waited."""
    leader, candidate = near.leader_lock(), store_at(postgres_url, limit_seconds=LIMIT).leader_lock()
    leader.contend(lambda: None)
    assert eventually(lambda: leader.held)
    candidate.contend(lambda: None)
    assert eventually(lambda: len(waits_for_a_lock(near)) == 1)
    (first,) = waits_for_a_lock(near)
    waited_again = eventually(
        lambda: any(each.xact_start > first.xact_start for each in waits_for_a_lock(near))
    )
    pids = {each.pid for each in waits_for_a_lock(near)}
    candidate.release()
    leader.release()

    assert waited_again
    assert pids <= {first.pid}
    assert "no session for" not in caplog.text


def test_an_append_that_is_delivered_in_a_later_term_is_refused(
    proxy: Proxy, far: PostgresStore, near: PostgresStore
) -> None:
    """Fault 21: the server gets the statement of a former leader once another one leads."""
    assert ["Appended"] == kinds(submit(far.ledger, election(fence=0, expected=0)))
    item = far.ledger.prepare(Item((plain("late"),), fence=1))  # type: ignore[arg-type]
    proxy.hold("requests")
    with pytest.raises(LedgerUnreachable):
        far.ledger.submit([item])
    successor = election(fence=1, expected=1, leader=near.ledger.instance, force=True)
    assert ["Appended"] == kinds(submit(near.ledger, successor))
    proxy.hold()
    with near.stating() as connection:  # until the server has taken what was held, and hung up
        assert eventually(
            lambda: (
                not connection.exec_driver_sql(
                    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid() AND state = 'active'"
                ).all()
            )
        )
    (refused,) = far.ledger.submit([item])

    assert isinstance(refused, Fenced)
    assert [1, 2, 3] == positions(near.ledger)


@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_a_slow_database_makes_nobody_else_lead(proxy: Proxy, postgres_url: str, tmp_path: Path) -> None:
    """Fault 20: an answer takes 200 ms longer."""
    proxy.delay_seconds = 0.1

    async def program() -> None:
        one, other = tmp_path / "one", tmp_path / "other"
        one.mkdir()
        other.mkdir()
        far = scheduler(proxy.url(postgres_url), one, instance="far")
        near = scheduler(postgres_url, other, instance="near")
        async with far.running(), near.running():
            await asyncio.sleep(12)

    asyncio.run(program())
    gc.collect()
    lines = lines_of(postgres_url)
    leaders = [str(line["instance"]).split(".")[0] for line in lines if line["type"] == "leader.elected"]

    assert [] == problems(lines)
    assert ["far"] == leaders
    assert len(triggered(lines, "quick")) >= 8


def test_an_upgrade_of_the_schema_may_take_longer_than_a_call(
    empty_postgres_url: str, store_at: Opener
) -> None:
    store = store_at(empty_postgres_url, limit_seconds=LIMIT)
    ended: list[float] = []

    def let_go(other: psycopg.Connection[tuple[object, ...]]) -> None:
        time.sleep(2 * LIMIT)
        ended.append(time.monotonic())
        other.execute("SELECT pg_advisory_unlock(%s, hashtext('public'))", (CLASS,))

    with psycopg.connect(empty_postgres_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s, hashtext('public'))", (CLASS,))
        holding = Thread(target=let_go, args=(other,))
        holding.start()
        migrations.upgrade(store)
        upgraded = time.monotonic()
        holding.join()

    assert migrations.HEAD == migrations.current(store)
    assert ended[0] < upgraded


def waits_for_a_lock(store: PostgresStore) -> list[Any]:
    """Return process and beginning of each transaction that waits for an advisory lock."""
    with store.stating() as connection:
        return list(
            connection.exec_driver_sql(
                "SELECT pid, xact_start FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock' AND wait_event = 'advisory'"
            )
        )


def _answers(call: object) -> bool:
    try:
        call()  # type: ignore[operator]
    except LedgerUnreachable:
        return False
    return True
