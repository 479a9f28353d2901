"""Anonymous users that nobody has come back as go, unless one of their sessions is open."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Column, ColumnElement, Text, case, exists, func, literal_column, select, type_coerce

from cronledger import Job, JobContext, JobResult
from cronledger.errors import UsageError
from cronledger.extensions.core.cleaning import Days, Rows, acts, remove, report
from cronledger.extensions.tables import tables
from cronledger.extensions.threads import in_thread


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    """Users are kept for `retention_days` at least; `dry_run` counts them only."""

    retention_days: Days = 30
    dry_run: bool = False


class CleanupAnonymousUsers(Job):
    """Removes what a host's foreign keys say belongs to a user as well."""

    name = "cleanup_anonymous_users"
    description = "Remove old anonymous users without an open session"
    schedule = "0 0 * * * *"
    tags = ("cleanup",)
    idempotent = True
    params = Limits

    async def execute(self, ctx: JobContext) -> JobResult:
        """Remove them, or count them."""
        return await in_thread(ctx, _remove)


def _remove(ctx: JobContext) -> JobResult:
    found = tables(ctx, "users", "user_sessions")
    users, sessions = found.users.c, found.user_sessions.c
    cutoff = ctx.now() - timedelta(days=ctx.params.retention_days)
    open_session = exists().where(sessions.user_id == users.id, sessions.ended_at.is_(None))
    rows = Rows(
        table=found.users,
        rule=(users.created_at < cutoff) & ~open_session & _is_anonymous(users.roles, ctx.db.dialect.name),
        by=users.created_at,
        what="anonymous user",
    )
    return report(ctx, remove(ctx, rows, really=acts(ctx)))


def _is_anonymous(roles: Column[Any], database: str) -> ColumnElement[bool]:
    """Whether a list of roles, as JSON or as an array of PostgreSQL, holds `anonymous`."""
    if database == "postgresql":
        return func.to_jsonb(roles).op("@>", is_comparison=True)(literal_column("'\"anonymous\"'::jsonb"))
    if database == "sqlite":
        text = type_coerce(roles, Text)
        readable = case((func.json_valid(text) == 1, text), else_="[]")
        role = func.json_each(readable).table_valued("value")
        return select(role.c.value).where(role.c.value == "anonymous").correlate(roles.table).exists()
    raise UsageError(f"who is anonymous cannot be asked of {database}", hint="use SQLite or PostgreSQL")
