"""The database goes away under a running instance, and comes back."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from cronledger.errors import LedgerUnreachable
from tests.checker import problems, triggered
from tests.conftest import lines_of, opened
from tests.contract.test_scheduler import scheduler


def test_ended_sessions_cost_no_run_and_no_fire_time(postgres_url: str, tmp_path: Path) -> None:
    """Fault 12: all sessions, three times."""

    def end_every_session() -> None:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    async def program() -> None:
        async with scheduler(postgres_url, tmp_path).running():
            for _ in range(3):
                await asyncio.sleep(2)
                await asyncio.to_thread(end_every_session)
            await asyncio.sleep(3)

    asyncio.run(program())
    gc.collect()  # a connection that was left open is this test's fault, not the next one's
    lines = lines_of(postgres_url)

    assert [] == problems(lines)
    assert len(triggered(lines, "quick")) >= 7


def test_a_process_that_stood_still_in_a_transaction_finds_a_ledger_that_does_not_answer(
    postgres_url: str,
) -> None:
    """An instance that was stopped for more than ten seconds used to end with a traceback. Fault 6, 7."""
    store = opened(postgres_url)

    def stand_still() -> None:
        with store.writing() as connection:
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '20ms'"))
            time.sleep(0.3)
            connection.execute(text("SELECT 1"))

    with pytest.raises(LedgerUnreachable, match="idle-in-transaction"):
        stand_still()
    store.close()
