"""Conversations that never began go: no message, no call of a tool, no decision, and not new."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from sqlalchemy import exists

from cronledger import Job, JobContext, JobResult
from cronledger.extensions.core.cleaning import Hours, Rows, acts, remove, report
from cronledger.extensions.tables import tables
from cronledger.extensions.threads import in_thread

TRACES = ("task_messages", "mcp_tool_executions", "governance_decisions")
"""A row in any of these protects its context."""


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    """Contexts are kept for `retention_hours` at least; `dry_run` counts them only."""

    retention_hours: Hours = 24
    dry_run: bool = False


class CleanupEmptyContexts(Job):
    """Leaves alone what belongs to the session of a command line, as long as there is that session."""

    name = "cleanup_empty_contexts"
    description = "Remove old contexts in which nothing has happened"
    schedule = "0 0 */2 * * *"
    tags = ("cleanup",)
    idempotent = True
    params = Limits

    async def execute(self, ctx: JobContext) -> JobResult:
        """Remove them, or count them."""
        return await in_thread(ctx, _remove)


def _remove(ctx: JobContext) -> JobResult:
    found = tables(ctx, "user_contexts", *TRACES)
    contexts = found.user_contexts.c
    rule = contexts.created_at < ctx.now() - timedelta(hours=ctx.params.retention_hours)
    rule &= (contexts.kind != "cli_session") | contexts.session_id.is_(None)
    for name in TRACES:
        rule &= ~exists().where(getattr(found, name).c.context_id == contexts.context_id)
    rows = Rows(table=found.user_contexts, rule=rule, by=contexts.created_at, what="empty context")
    return report(ctx, remove(ctx, rows, really=acts(ctx)))
