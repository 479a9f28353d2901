"""Document 003, "Complete Example": deletes log lines older than 30 days."""

from __future__ import annotations

import time
from typing import Any

import anyio.to_thread
from sqlalchemy import text

from cronledger import Job, JobContext, JobResult, submit_job


class CleanupJob(Job):
    """The document's job, member by member."""

    def name(self) -> str:
        return "cleanup_old_records"

    def description(self) -> str:
        return "Deletes records older than 30 days"

    def schedule(self) -> str:
        return "0 0 3 * * *"

    async def execute(self, ctx: JobContext) -> JobResult:
        start = time.perf_counter()
        deleted = await anyio.to_thread.run_sync(_delete_old, ctx.db)
        duration_ms = round((time.perf_counter() - start) * 1000)
        return (
            JobResult.success()
            .with_stats(deleted, 0)
            .with_duration(duration_ms)
            .with_message(f"Deleted {deleted} old records")
        )


def _delete_old(db: Any) -> int:
    with db.begin() as connection:
        found = connection.execute(text("DELETE FROM logs WHERE created_at < datetime('now', '-30 days')"))
        return int(found.rowcount)


submit_job(CleanupJob(), extension="web")
