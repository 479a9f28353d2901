"""General maintenance: log lines that nobody needs go, and credentials that are worth nothing any more.

Then what they took is given back: see `vacuum.py`.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Table, exists, true

from cronledger import Job, JobContext, JobResult
from cronledger.extensions.core.cleaning import Days, Rows, acts, remove, report
from cronledger.extensions.core.log_cleanup import old_lines
from cronledger.extensions.core.vacuum import vacuum
from cronledger.extensions.tables import Tables, tables
from cronledger.extensions.threads import in_thread

CREDENTIALS = {
    "oauth_refresh_tokens": ("expires_at", "expired refresh token"),
    "oauth_auth_codes": ("expires_at", "expired or used authorization code"),
    "oauth_state_bindings": ("expires_at", "expired state binding"),
    "oauth_jti_revocations": ("exp", "expired revocation"),
    "id_jag_replay": ("expires_at", "expired replay mark"),
}
"""For each table when a row expires, and what to call one."""


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    """Log lines are kept for `log_retention_days`; `vacuum` gives room back; `dry_run` counts only."""

    log_retention_days: Days = 30
    vacuum: bool = True
    dry_run: bool = False


class DatabaseCleanup(Job):
    """Each table is a step. With `enforce` off log lines are only counted; credentials go all the same."""

    name = "database_cleanup"
    description = "Remove old and orphaned log lines and expired credentials, then vacuum"
    schedule = "0 0 3 * * *"
    tags = ("cleanup",)
    idempotent = True
    params = Limits

    async def execute(self, ctx: JobContext) -> JobResult:
        """Remove, then give back what was taken."""
        found = await in_thread(ctx, tables, "logs", "users", *CREDENTIALS)
        old = old_lines(ctx, found.logs, ctx.params.log_retention_days)
        lines = {"old logs": old, "orphaned logs": _orphans(found, old)}
        done: list[tuple[Table, JobResult]] = []
        for name, rows in (lines | _expired(found, ctx.now())).items():
            really = acts(ctx) if name in lines else not ctx.params.dry_run
            done.append((rows.table, await ctx.step(name, _removed, ctx, rows, really)))
        if not acts(ctx):
            await ctx.skip_step("vacuum", "this run only counts")
        elif not ctx.params.vacuum:
            await ctx.skip_step("vacuum", "the parameter `vacuum` is false")
        else:
            counts = [(table, result.items_processed or 0) for table, result in done]
            done.append((found.logs, await ctx.step("vacuum", vacuum, ctx, counts, on_error="continue")))
        return report(ctx, *(result for _, result in done))


def _removed(ctx: JobContext, rows: Rows, really: bool) -> JobResult:  # noqa: FBT001 - a step's arguments have no names
    return remove(ctx, rows, really=really)


def _orphans(found: Tables, old: Rows) -> Rows:
    """Return the lines of users that are no more, but for the old ones: they are counted already."""
    logs, users = found.logs.c, found.users.c
    rule = logs.user_id.is_not(None) & ~exists().where(users.id == logs.user_id) & old.rule.is_not(true())
    return Rows(table=found.logs, rule=rule, by=logs.user_id, what="orphaned log line")


def _expired(found: Tables, now: datetime) -> dict[str, Rows]:
    chosen = {}
    for name, (column, what) in CREDENTIALS.items():
        table: Table = getattr(found, name)
        rule = table.c[column] < now
        if "used_at" in table.c:
            rule |= table.c.used_at.is_not(None)
        chosen[f"expired {name}"] = Rows(table=table, rule=rule, by=table.c[column], what=what)
    return chosen
