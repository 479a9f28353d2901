"""Documents 002 and 004: an extension that names its jobs in `jobs()`."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from sqlalchemy import text

from cronledger import Extension, Job, JobContext, JobResult


class CleanupJob(Job):
    """Deletes what has expired from the application's database."""

    name = "cleanup"
    description = "Clean up expired records"
    schedule = "0 0 * * * *"

    def run_on_startup(self) -> bool:
        return False

    async def execute(self, ctx: JobContext) -> JobResult:
        deleted = await anyio.to_thread.run_sync(_delete_expired, ctx.db)
        return JobResult.success().with_message(f"Deleted {deleted} records")


class SyncJob(Job):
    """Stands beside the other one; runs at start, then every hour."""

    name = "sync"
    schedule = "0 0 * * * *"

    def run_on_startup(self) -> bool:
        return True

    async def execute(self, ctx: JobContext) -> JobResult:
        return JobResult.success().with_message("Processed 100 items")


class MyExtension(Extension):
    """The typed extension."""

    name = "my-extension"

    def jobs(self) -> list[Job]:
        return [CleanupJob(), SyncJob()]


def _delete_expired(db: Any) -> int:
    with db.begin() as connection:
        found = connection.execute(text("DELETE FROM temp_records WHERE expires_at < datetime('now')"))
        return int(found.rowcount)
