"""Rows that a rule singles out: removed or changed in small transactions, or only counted.

A batch at a time, oldest first: nobody waits long for a lock, and a run that is stopped in the middle has
done what it has done. A row is held against its rule once more in the moment in which it goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from sqlalchemy import Column, ColumnElement, Connection, Delete, Table, Update, delete, func, select, update
from sqlalchemy.exc import IntegrityError

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


def remove(ctx: JobContext, rows: Rows) -> JobResult:
    """Remove rows, or only count them; the result says in words how many, and counts what was done."""
    return _done(ctx, rows, delete(rows.table), "removed")


def change(ctx: JobContext, rows: Rows, values: Mapping[str, Any], verb: str) -> JobResult:
    """Change rows so that the rule holds for them no longer, or only count them."""
    columns = {rows.table.c[key]: value for key, value in values.items()}
    return _done(ctx, rows, update(rows.table).values(columns), verb)


def report(ctx: JobContext, *parts: JobResult) -> JobResult:
    """Return the result of a run that consists of parts: their sum, and all that they say."""
    said = "; ".join(part.message for part in parts if part.message)
    trial = "dry run: " if ctx.params.dry_run else "" if ctx.enforce else "enforce is off: "
    total = sum(part.items_processed or 0 for part in parts)
    held = sum(part.items_failed or 0 for part in parts)
    return JobResult.success().with_stats(total, held).with_message(f"{trial}{said}")


def _done(ctx: JobContext, rows: Rows, statement: Delete | Update, verb: str) -> JobResult:
    really = acts(ctx)
    many, held = _in_batches(ctx, rows, statement) if really else (_counted(ctx, rows), 0)
    noun = rows.what if many == 1 else f"{rows.what}s"
    said = f"{many} {noun} {'' if really else 'would be '}{verb}"
    said += f", {held} kept because other rows refer to them" if held else ""
    return JobResult.success().with_stats(many if really else 0, held).with_message(said)


def _counted(ctx: JobContext, rows: Rows) -> int:
    with ctx.db.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(rows.table).where(rows.rule)))


def _in_batches(ctx: JobContext, rows: Rows, statement: Delete | Update) -> tuple[int, int]:
    """Go through the rows; return how many were changed, and how many the database held.

    Those that somebody else has locked are left to the next run. Each batch begins where the one before
    ended: what lies before that has gone, and a database that keeps room for the gone does not go through it
    again and again.
    """
    (key,) = rows.table.primary_key
    batch = select(key, rows.by).where(rows.rule).order_by(rows.by).limit(BATCH_ROWS)
    batch = batch.with_for_update(skip_locked=True)
    wanted, last, done, held = batch, None, 0, set[Any]()
    while not ctx.cancelled:
        found: Sequence[Any] = ()
        try:
            with ctx.db.begin() as connection:
                found = connection.execute(wanted).all()
                changed = _apply(connection, rows, statement, [each[0] for each in found])
        except IntegrityError:
            changed = _by_halves(ctx, rows, statement, [each[0] for each in found], held=held)
        done += changed
        ctx.progress(done, message=f"{rows.what}s")
        before, last = last, found[-1][1] if found else None
        if len(found) < BATCH_ROWS or (not changed and last == before):
            break
        wanted = batch if last is None else batch.where(rows.by >= last)
    return done, len(held)


def _apply(connection: Connection, rows: Rows, statement: Delete | Update, keys: Sequence[Any]) -> int:
    (key,) = rows.table.primary_key
    return connection.execute(statement.where(key.in_(keys), rows.rule)).rowcount if keys else 0


def _by_halves(
    ctx: JobContext, rows: Rows, statement: Delete | Update, keys: Sequence[Any], *, held: set[Any]
) -> int:
    """Do what can be done of a batch that holds a row to which others refer; halves of it first."""
    changed = 0
    for some in (keys[: len(keys) // 2], keys[len(keys) // 2 :]):
        try:
            with ctx.db.begin() as connection:
                changed += _apply(connection, rows, statement, some)
        except IntegrityError:
            if len(some) == 1:
                held.add(some[0])
            else:
                changed += _by_halves(ctx, rows, statement, some, held=held)
    return changed
