"""A process that cleans up very many log lines while another job fires each second; says how that went.

python -m tests.unit.extensions.many_rows APPLICATION_URL ROWS
"""

from __future__ import annotations

import asyncio
import resource
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine

from cronledger import JobContext, Scheduler, job
from cronledger.clock import SystemClock
from cronledger.ledger.application import application_engine

CONFIG = """
application: {{database_url: "{url}"}}
scheduler:
  jobs:
    - {{name: tick, extension: tests, schedule: "* * * * * *", overlap: allow}}
    - {{job: database_cleanup, schedule: ""}}
"""
NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
    "INSERT INTO logs (id, timestamp, level, module, message) SELECT 'line-' || i, "
    "strftime('%Y-%m-%d %H:%M:%S.000000', 1500000000 + i, 'unixepoch'), 'info', 'shop', {text} FROM n",
    "postgresql": "INSERT INTO logs (id, timestamp, level, module, message) SELECT 'line-' || i, "
    "to_timestamp(1500000000 + i), 'info', 'shop', {text} FROM generate_series(1, {rows}) AS i",
}
TEXT = "'an order of three things was packed and sent on its way to somebody, number ' || i"
MEGABYTE = 1 if sys.platform != "darwin" else 1024
ticks: list[tuple[datetime, float]] = []


@job(extension="tests")
async def tick(ctx: JobContext) -> None:
    """Note how late it began."""
    if ctx.run.fire_at is not None:
        ticks.append((ctx.run.fire_at, (ctx.now() - ctx.run.fire_at).total_seconds()))


class Told(msgspec.Struct):
    """What the process says at its end."""

    message: str
    removed: int
    seconds: float
    peak_megabytes: float
    fire_times: list[datetime]
    most_late_seconds: float


def fill(db: Engine, rows: int) -> None:
    """Add log lines that are years old."""
    with db.begin() as connection:
        connection.exec_driver_sql(NUMBERS[db.dialect.name].format(rows=rows, text=TEXT))


async def clean(config: Path) -> Told:
    """Run `database_cleanup` on an instance that has something else to do."""
    scheduler = Scheduler(database_url="sqlite:///ledger.db", config=config, jobs=[tick])
    clock = SystemClock()
    async with scheduler.running():
        began = clock.monotonic()
        (run,) = await scheduler.run_manually(["database_cleanup"], actor="test")
        took = clock.monotonic() - began
    assert run.error is None, run.error
    return Told(
        message=run.message or "",
        removed=run.items_processed or 0,
        seconds=took,
        peak_megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / MEGABYTE,
        fire_times=sorted(at for at, _ in ticks),
        most_late_seconds=max((late for _, late in ticks), default=0.0),
    )


def main(url: str, rows: str) -> None:
    """Fill, clean, and say how that went."""
    db: Any = application_engine(url)
    fill(db, int(rows))
    db.dispose()
    config = Path("config.yaml")
    config.write_text(CONFIG.format(url=url))
    config.chmod(0o600)
    told = asyncio.run(clean(config))
    sys.stdout.write(msgspec.json.encode(told).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
