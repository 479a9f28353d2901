"""Idle sessions are closed; those that ended long ago go."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from sqlalchemy import Table

from cronledger import Job, JobContext, JobResult
from cronledger.extensions.core.cleaning import Days, Hours, Rows, change, remove, report
from cronledger.extensions.tables import tables
from cronledger.extensions.threads import in_thread


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    """A session may be idle for `inactive_hours`, and is kept for `purge_after_days` after its end.

    `dry_run` counts only.
    """

    inactive_hours: Hours = 1
    purge_after_days: Days = 30
    dry_run: bool = False


class CleanupInactiveSessions(Job):
    """Counts the sessions that it closed; its message says as well how many it removed."""

    name = "cleanup_inactive_sessions"
    description = "Close idle sessions, and remove those that ended long ago"
    schedule = "0 */10 * * * *"
    tags = ("cleanup",)
    idempotent = True
    params = Limits

    async def execute(self, ctx: JobContext) -> JobResult:
        """Close, then remove."""
        sessions = (await in_thread(ctx, tables, "user_sessions")).user_sessions
        closed = await ctx.step("close", _close, ctx, sessions)
        removed = await ctx.step("remove", _remove, ctx, sessions)
        return report(ctx, closed, removed).with_stats(closed.items_processed, removed.items_failed)


def _close(ctx: JobContext, sessions: Table) -> JobResult:
    idle_since = ctx.now() - timedelta(hours=ctx.params.inactive_hours)
    rows = Rows(
        table=sessions,
        rule=sessions.c.ended_at.is_(None) & (sessions.c.last_activity_at < idle_since),
        by=sessions.c.last_activity_at,
        what="idle session",
    )
    return change(ctx, rows, {"ended_at": ctx.now()}, "closed")


def _remove(ctx: JobContext, sessions: Table) -> JobResult:
    cutoff = ctx.now() - timedelta(days=ctx.params.purge_after_days)
    rows = Rows(
        table=sessions, rule=sessions.c.ended_at < cutoff, by=sessions.c.ended_at, what="ended session"
    )
    return remove(ctx, rows)
