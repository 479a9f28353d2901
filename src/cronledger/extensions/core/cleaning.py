"""Rows that a rule singles out: removed or changed in small transactions, or only counted.

A batch at a time, oldest first: nobody waits long for a lock, and a run that is stopped in the middle has
done what it has done. A row is held against its rule once more in the moment in which it goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from sqlalchemy import Column, ColumnElement, Delete, Table, Update, delete, func, select, type_coerce, update
from sqlalchemy.types import NullType

from cronledger import JobContext, JobResult

BATCH_ROWS = 1_000
"""What one transaction takes on."""

Days = Annotated[int, msgspec.Meta(ge=1, le=36_500)]
Hours = Annotated[int, msgspec.Meta(ge=1, le=876_000)]


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a table that a rule singles out.

    Attributes:
        by: The column in whose order they are taken: one with an index, that the rule bounds.
        what: What to call one of them; its plural ends in `s`.
    """

    table: Table
    rule: ColumnElement[bool]
    by: Column[Any]
    what: str


def acts(ctx: JobContext) -> bool:
    """Whether a run changes anything: not where `enforce` is off, nor with its parameter `dry_run`."""
    return ctx.enforce and not ctx.params.dry_run


def remove(ctx: JobContext, rows: Rows, *, really: bool) -> JobResult:
    """Remove rows, or only count them; the result says in words how many, and counts what was done."""
    return _done(ctx, rows, delete(rows.table), "removed", really=really)


def change(ctx: JobContext, rows: Rows, values: Mapping[str, Any], verb: str, *, really: bool) -> JobResult:
    """Change rows so that the rule holds for them no longer, or only count them."""
    columns = {rows.table.c[key]: value for key, value in values.items()}
    return _done(ctx, rows, update(rows.table).values(columns), verb, really=really)


def report(ctx: JobContext, *parts: JobResult) -> JobResult:
    """Return the result of a run that consists of parts: their sum, and all that they say."""
    said = "; ".join(part.message for part in parts if part.message)
    trial = "dry run: " if ctx.params.dry_run else "" if ctx.enforce else "enforce is off: "
    total = sum(part.items_processed or 0 for part in parts)
    return JobResult.success().with_stats(total, 0).with_message(f"{trial}{said}")


def _done(ctx: JobContext, rows: Rows, statement: Delete | Update, verb: str, *, really: bool) -> JobResult:
    many = _in_batches(ctx, rows, statement) if really else _counted(ctx, rows)
    noun = rows.what if many == 1 else f"{rows.what}s"
    result = JobResult.success().with_stats(many if really else 0, 0)
    return result.with_message(f"{many} {noun} {'' if really else 'would be '}{verb}")


def _counted(ctx: JobContext, rows: Rows) -> int:
    with ctx.db.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(rows.table).where(rows.rule)))


def _in_batches(ctx: JobContext, rows: Rows, statement: Delete | Update) -> int:
    """Go through the rows; those that somebody else holds are left to the next run.

    Each batch begins where the one before ended: what lies before that has gone, and a database that keeps
    room for the gone does not go through it again and again.
    """
    # Values as the database gives them: a host's keys may be numbers, and an instant comes back as it stands.
    key, by = (type_coerce(each, NullType()) for each in (*rows.table.primary_key, rows.by))
    batch = select(key, by).where(rows.rule).order_by(by).limit(BATCH_ROWS)
    batch = batch.with_for_update(skip_locked=True)
    wanted, done = batch, 0
    while not ctx.cancelled:
        with ctx.db.begin() as connection:
            found = connection.execute(wanted).all()
            keys = [each[0] for each in found]
            changed = connection.execute(statement.where(key.in_(keys), rows.rule)).rowcount if keys else 0
        done += changed
        ctx.progress(done, message=f"{rows.what}s")
        if not changed or len(found) < BATCH_ROWS:
            break
        last = found[-1][1]
        wanted = batch if last is None else batch.where(by >= last)
    return done
