"""What happens to the server: restarts, crashes, absences, full tables of connections, foreign locks."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from cronledger.domain.ids import Term
from cronledger.errors import CronledgerError, LedgerDamaged, LedgerUnreachable
from cronledger.ledger.api import Item
from cronledger.ledger.sessions import LEADER_CLASS, number_of
from tests.checker import problems, triggered
from tests.conftest import lines_of
from tests.contract.test_scheduler import scheduler
from tests.e2e.postgres.conftest import Opener
from tests.events import kinds, plain, positions
from tests.postgres import OwnServer
from tests.waiting import eventually

LEADER_LOCK = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


# --- locks and settings ---------------------------------------------------------------------------------


def test_the_leaders_lock_is_held_by_one_session_of_its_own(postgres_url: str, store_at: Opener) -> None:
    """Fault 29: no connection of the pool ever carries it, however often the pool is used."""
    store = store_at(postgres_url)
    lock = store.leader_lock()
    lock.contend(lambda: None)
    assert eventually(lambda: lock.held)
    pids = set()
    for _ in range(5):
        with store.stating() as connection:
            pids.add(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
    with psycopg.connect(postgres_url) as direct:
        holders = [row[0] for row in direct.execute(LEADER_LOCK, (LEADER_CLASS,))]

    assert [lock.session] == holders
    assert lock.session not in pids
    lock.release()


@pytest.mark.timeout(90)
def test_a_foreign_lock_on_our_key_is_led_without_and_its_holder_named(
    postgres_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, store_at: Opener
) -> None:
    """Fault 30."""

    async def program() -> None:
        async with scheduler(postgres_url, tmp_path).running():
            await asyncio.sleep(2.5)
            await asyncio.to_thread(eventually, lambda: triggered(lines_of(postgres_url), "quick"))

    with psycopg.connect(postgres_url, autocommit=True, application_name="stranger") as stranger:
        stranger.execute("SELECT pg_advisory_lock(%s, %s)", (LEADER_CLASS, number_of("public")))
        with caplog.at_level(logging.WARNING, "cronledger.ledger"):
            asyncio.run(program())
        concerns = [each.what for each in store_at(postgres_url).concerns()]
        named = f"process {stranger.info.backend_pid}, user postgres, application 'stranger'"
    lines = lines_of(postgres_url)

    assert [] == problems(lines)
    assert ["lease"] == [line["body"]["why"] for line in lines if line["type"] == "leader.elected"]  # type: ignore[index]
    assert triggered(lines, "quick")
    assert any(named in record.getMessage() for record in caplog.records)
    assert any(named in each for each in concerns)


def test_every_session_has_the_settings_that_the_guarantees_rest_on(
    postgres_url: str, store_at: Opener
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        database = sql.Identifier(make_url(postgres_url).database or "")
        admin.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(database))
        admin.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = serializable").format(database)
        )
    store = store_at(postgres_url)
    names = (
        "synchronous_commit", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
        "default_transaction_isolation", "client_connection_check_interval",
    )  # fmt: skip
    with store.stating() as connection:
        found = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]

    assert ["on", "10s", "5s", "10s", "read committed", "2s"] == found


def test_a_client_that_sits_on_the_head_holds_others_up_no_longer_than_its_time_limit(
    postgres_url: str, store_at: Opener
) -> None:
    """Fault 32: impossible through this package, where an append is one statement; so by hand."""
    store = store_at(postgres_url)
    item = store.ledger.prepare(Item((plain("patient"),)))
    sitting = psycopg.connect(postgres_url)
    sitting.execute("SET idle_in_transaction_session_timeout = '1s'")
    sitting.execute("SELECT 1 FROM head FOR UPDATE")
    began = time.monotonic()
    answers = store.ledger.submit([item])
    took = time.monotonic() - began
    sitting.close()

    assert ["Appended"] == kinds(answers)
    assert took < 5


def test_a_head_that_stays_locked_is_an_unreachable_ledger_and_not_a_hanging_one(
    postgres_url: str, store_at: Opener
) -> None:
    """Fault 35: lock_timeout ends the wait, and the same item is appended once the lock is gone."""
    store = store_at(postgres_url, limit_seconds=10.0)
    item = store.ledger.prepare(Item((plain("patient"),)))
    with psycopg.connect(postgres_url) as sitting:
        sitting.execute("LOCK TABLE head")
        with pytest.raises(LedgerUnreachable, match="lock timeout"):
            store.ledger.submit([item])
        sitting.rollback()

    assert ["Appended"] == kinds(store.ledger.submit([item]))


def test_readers_are_not_held_up_by_somebody_elses_long_transaction(
    postgres_url: str, store_at: Opener
) -> None:
    """Fault 34: what is committed is seen at once, whoever else is still writing."""
    store = store_at(postgres_url)
    with psycopg.connect(postgres_url) as writing:
        writing.execute("CREATE TABLE unrelated (number int)")
        writing.execute("INSERT INTO unrelated VALUES (1)")
        store.ledger.append(plain("first"))
        store.ledger.append(plain("second"))
        seen = positions(store.ledger)

    assert [1, 2] == seen


def test_a_read_only_database_pauses_appends_and_takes_them_up_again(
    postgres_url: str, store_at: Opener
) -> None:
    """Fault 36."""
    store = store_at(postgres_url)
    store.ledger.append(plain("before"))
    item = store.ledger.prepare(Item((plain("after"),)))
    set_read_only(postgres_url, "on")
    end_sessions(postgres_url)
    with pytest.raises(LedgerUnreachable):
        store.ledger.submit([item])
    with pytest.raises(LedgerUnreachable, match="may not be written"):
        store.ledger.submit([item])
    concerns = [each.what for each in store_at(postgres_url).concerns()]
    set_read_only(postgres_url, "off")

    assert any("read only" in each for each in concerns)
    assert ["Appended"] == kinds(store.ledger.submit([item]))


@pytest.mark.parametrize(
    ("state", "meaning"),
    [("42703", LedgerUnreachable), ("XX000", LedgerUnreachable), ("XX001", LedgerDamaged)],
)
def test_an_append_that_meets_any_error_of_the_server_is_told_what_it_means(
    state: str, meaning: type[CronledgerError], postgres_url: str, store_at: Opener
) -> None:
    """What was neither away nor about a value came out as the driver's own error."""
    store = store_at(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute("ALTER FUNCTION cronledger_append(text, text) RENAME TO aside")
        raising(owner, "cronledger_append(text, text) RETURNS text", state)
        with pytest.raises(CronledgerError) as refused:
            store.ledger.append(plain("first"))
        owner.execute("DROP FUNCTION cronledger_append(text, text)")
        owner.execute("ALTER FUNCTION aside(text, text) RENAME TO cronledger_append")

    assert meaning is type(refused.value)
    assert 1 == store.ledger.append(plain("first")).last


@pytest.mark.parametrize("call", ["head", "renew", "concerns"])
def test_a_cancelled_statement_is_an_unreachable_ledger(
    call: str, postgres_url: str, store_at: Opener
) -> None:
    """Where a session is spoken to directly, the driver's own error came out, and ended the instance."""
    store = store_at(f"{postgres_url}?options=-csearch_path%3Dpublic,pg_catalog")
    with store.stating() as connection:
        connection.info["server"] = ""  # it is asked again each time, as behind a pooler
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        raising(owner, "pg_control_system() RETURNS TABLE (system_identifier bigint)", "57014")
        raising(owner, "pg_is_in_recovery() RETURNS boolean", "57014")
    calls = {
        "head": store.ledger.head,
        "renew": lambda: store.ledger.renew(Term(0), timedelta(0)),
        "concerns": store.concerns,
    }

    with pytest.raises(LedgerUnreachable, match="does not answer"):
        calls[call]()


def test_an_append_to_a_ledger_without_a_head_finds_it_damaged(postgres_url: str, store_at: Opener) -> None:
    store = store_at(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute("DELETE FROM head")

    with pytest.raises(LedgerDamaged, match="has no head"):
        store.ledger.append(plain("first"))


# --- a server of one's own ------------------------------------------------------------------------------


def test_a_cancelled_wait_for_a_standby_is_an_unknown_outcome_until_it_is_resolved(
    module_server: OwnServer, module_url: str, store_at: Opener
) -> None:
    """Fault 25: the commit stands here, and perhaps only here."""
    store = store_at(module_url)
    store.ledger.append(plain("before"))
    module_server.set("synchronous_standby_names", "nobody")
    assert eventually(lambda: shown(module_server, "synchronous_standby_names") == "nobody")
    item = store.ledger.prepare(Item((plain("waits"),)))
    outcomes: list[object] = []

    def submit() -> None:
        try:
            outcomes.extend(store.ledger.submit([item]))
        except LedgerUnreachable as error:
            outcomes.append(error)

    try:
        waiting = Thread(target=submit)
        waiting.start()
        assert eventually(lambda: cancelled_waits(module_server))
        waiting.join()
    finally:
        module_server.set("synchronous_standby_names", "")

    assert isinstance(outcomes[0], LedgerUnreachable)
    assert "may not be durable" in outcomes[0].message
    assert ["Same"] == kinds(store.ledger.submit([item]))
    assert [1, 2] == positions(store.ledger)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restarted_server_costs_no_fire_time(mode: str, own: OwnServer, tmp_path: Path) -> None:
    """Faults 13 and 14: the shutdown of an upgrade, and a crash."""
    url = own.make_database()

    def restart() -> None:
        own.stop(mode)
        own.start()

    lines = serve_through(url, tmp_path, restart, before=2.0, after=4.0)

    assert [] == problems(lines)
    assert within(lines, seconds=4)


@pytest.mark.nightly
@pytest.mark.timeout(180)
def test_a_server_that_is_down_for_long_costs_no_live_run(own: OwnServer, tmp_path: Path) -> None:
    """Fault 15: away for longer than an instance may be silent."""
    url = own.make_database()

    def absent() -> None:
        own.stop("immediate")
        time.sleep(25)
        own.start()

    lines = serve_through(url, tmp_path, absent, before=3.0, after=8.0)

    assert [] == problems(lines)
    assert [] == [line for line in lines if line["type"] in ("run.lost", "attempt.lost")]


@pytest.mark.nightly
@pytest.mark.timeout(120)
def test_no_connection_to_be_had_costs_no_fire_time(own: OwnServer, tmp_path: Path) -> None:
    """Fault 31: every connection is somebody else's, and ours have been ended."""
    own.set("max_connections", "20")
    own.stop()
    own.start(max_connections="20")
    url = own.make_database()

    def crowd() -> None:
        others = [psycopg.connect(own.url, autocommit=True)]
        end_sessions(url, others[0])
        until = time.monotonic() + 5
        while time.monotonic() < until:
            try:
                others.append(psycopg.connect(url, autocommit=True, connect_timeout=2))
            except psycopg.OperationalError:
                end_sessions(url, others[0], "application_name LIKE 'cronledger %%'")
                time.sleep(0.2)
        for each in others:
            each.close()

    lines = serve_through(url, tmp_path, crowd, before=2.0, after=5.0)

    assert [] == problems(lines)
    assert within(lines, seconds=4)


@pytest.mark.nightly
@pytest.mark.timeout(120)
def test_a_database_set_to_read_only_pauses_an_instance(postgres_url: str, tmp_path: Path) -> None:
    """Fault 36, with an instance at work."""

    def read_only() -> None:
        set_read_only(postgres_url, "on")
        end_sessions(postgres_url)
        time.sleep(5)
        set_read_only(postgres_url, "off")

    lines = serve_through(postgres_url, tmp_path, read_only, before=2.0, after=5.0)

    assert [] == problems(lines)
    assert within(lines, seconds=4)


@pytest.mark.nightly
@pytest.mark.timeout(120)
def test_a_locked_table_is_waited_for(postgres_url: str, tmp_path: Path) -> None:
    """Fault 35, with an instance at work."""

    def lock_out() -> None:
        with psycopg.connect(postgres_url) as locking:
            locking.execute("LOCK TABLE event, instance")
            time.sleep(8)

    lines = serve_through(postgres_url, tmp_path, lock_out, before=2.0, after=5.0)

    assert [] == problems(lines)
    assert within(lines, seconds=4)


# --------------------------------------------------------------------------------------------------------


def serve_through(
    url: str, folder: Path, trouble: Callable[[], None], *, before: float, after: float
) -> list[dict[str, object]]:
    """Serve before, during and after some trouble; return the ledger."""

    async def program() -> None:
        async with scheduler(url, folder).running():
            await asyncio.sleep(before)
            await asyncio.to_thread(trouble)
            over = datetime.now(UTC)
            await asyncio.sleep(after)
            await asyncio.to_thread(eventually, lambda: last_triggered(lines_of(url)) > over)

    asyncio.run(program())
    gc.collect()
    return lines_of(url)


def within(lines: list[dict[str, object]], *, seconds: float) -> bool:
    """Whether something was still triggered in the last seconds of the ledger."""
    last = datetime.fromisoformat(str(lines[-1]["recorded_at"]))
    return (last - last_triggered(lines)).total_seconds() < seconds


def last_triggered(lines: list[dict[str, object]]) -> datetime:
    """Return the newest fire time that was triggered."""
    return max(datetime.fromisoformat(each) for each in triggered(lines, "quick"))


def raising(owner: psycopg.Connection[tuple[object, ...]], head: str, state: str) -> None:
    """Make a function that raises an error of this code."""
    body = f"BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END"
    owner.execute(f"CREATE FUNCTION public.{head} LANGUAGE plpgsql AS $${body}$$")  # type: ignore[call-overload]


def set_read_only(url: str, value: str) -> None:
    server, _, database = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        statement = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
        admin.execute(statement.format(sql.Identifier(database), sql.SQL(value)))  # type: ignore[arg-type]


def end_sessions(
    url: str, admin: psycopg.Connection[tuple[object, ...]] | None = None, which: str = "true"
) -> None:
    """End the sessions of a database, all or some."""
    statement = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND {which}"
    server, _, database = url.rpartition("/")
    if admin is not None:
        admin.execute(statement, (database,))  # type: ignore[arg-type]
        return
    with psycopg.connect(f"{server}/postgres", autocommit=True) as other:
        other.execute(statement, (database,))  # type: ignore[arg-type]


def cancelled_waits(server: OwnServer) -> int:
    """Cancel whoever waits for a standby; return how many did."""
    with psycopg.connect(server.url, autocommit=True) as admin:
        found = admin.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        )
        return len(found.fetchall())


def shown(server: OwnServer, name: str) -> object:
    with psycopg.connect(server.url, autocommit=True) as admin:
        row = admin.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone()
    return row[0] if row else None
