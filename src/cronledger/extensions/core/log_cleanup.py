"""Old lines of the application's log go. No schedule: `database_cleanup` does it among other things."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from sqlalchemy import Table

from cronledger import Job, JobContext, JobResult
from cronledger.extensions.core.cleaning import Days, Rows, acts, remove, report
from cronledger.extensions.tables import tables
from cronledger.extensions.threads import in_thread


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    """Lines are kept for `days`; `dry_run` counts them only."""

    days: Days = 30
    dry_run: bool = False


class LogCleanup(Job):
    """What `cronledger infra jobs log-cleanup` runs."""

    name = "log_cleanup"
    description = "Remove old log lines"
    tags = ("cleanup",)
    idempotent = True
    params = Limits

    async def execute(self, ctx: JobContext) -> JobResult:
        """Remove them, or count them."""
        return await in_thread(ctx, _remove)


def old_lines(ctx: JobContext, logs: Table, days: int) -> Rows:
    """Return the lines that were written more than so many days ago."""
    cutoff = ctx.now() - timedelta(days=days)
    return Rows(table=logs, rule=logs.c.timestamp < cutoff, by=logs.c.timestamp, what="old log line")


def _remove(ctx: JobContext) -> JobResult:
    rows = old_lines(ctx, tables(ctx, "logs").logs, ctx.params.days)
    return report(ctx, remove(ctx, rows, really=acts(ctx)))
