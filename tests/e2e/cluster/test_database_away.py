"""The database goes away under a running instance, and comes back."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import psycopg

from tests.checker import problems, triggered
from tests.contract.test_scheduler import lines_of, scheduler


def test_ended_sessions_cost_no_run_and_no_fire_time(postgres_url: str, tmp_path: Path) -> None:
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
