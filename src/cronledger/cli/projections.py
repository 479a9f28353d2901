"""The views: how far they are, building them anew, checking them; and `replay`, which needs none of them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from cronledger.cli.context import application
from cronledger.cli.known_jobs import unknown
from cronledger.cli.render import emit, note
from cronledger.cli.times import position_or_moment
from cronledger.errors import LedgerDamaged
from cronledger.projections import fold, unrecognized
from cronledger.projections.replay import replay as replayed

app = typer.Typer(help="Rebuild and check the views.", no_args_is_help=True)
replaying = typer.Typer()

STATE_COLUMNS = (
    "name", "enabled", "running", "triggered", "succeeded", "partial", "failed", "timed_out", "cancelled",
    "lost", "skipped", "last_fire_at", "last_outcome",
)  # fmt: skip


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List the views, how far each has folded the ledger, and how many events it is behind."""
    store = application(ctx).existing()
    with store.reading() as connection:
        marks = fold.checkpoints(connection)
        unknown_types = unrecognized.seen(connection)
    behind = fold.lag(store)
    rows = [
        {"name": name, "version": mark.version, "position": mark.position, "lag": behind[name]}
        for name, mark in marks.items()
    ]
    document = {"projections": rows, "unknown_types": msgspec.to_builtins(unknown_types)}
    emit(ctx, document, columns=("name", "version", "position", "lag"), rows=rows)
    if unknown_types:
        note(
            ctx, f"{unrecognized.in_words(unknown_types)}; a newer version of cronledger knows what they say"
        )


@app.command()
def rebuild(ctx: typer.Context) -> None:
    """Drop what the views hold and fold the whole ledger again."""
    position = fold.rebuild(application(ctx).existing())
    names = [projection.name for projection in fold.PROJECTIONS]
    text = f"{len(names)} views folded anew up to position {position}"
    emit(ctx, {"rebuilt": names, "position": position}, text=text)


@app.command()
def check(ctx: typer.Context) -> None:
    """Compare every row with a fresh fold of the events; exit code 7 on a difference."""
    store = application(ctx).existing()
    left_out = fold.left_out(store)
    found = fold.check(store)
    rows: list[dict[str, Any]] = [
        {
            "projection": each.projection,
            "key": list(each.key),
            "field": each.field,
            "row": each.row,
            "fold": each.fold,
        }
        for each in found
    ]
    others = f" of {len(fold.PROJECTIONS) - len(left_out)} views" if left_out else ""
    text = None if rows else f"ok: every row{others} is what the events say"
    columns = ("projection", "key", "field", "row", "fold")
    document = {"ok": not rows, "differences": rows, "left_out": left_out}
    emit(ctx, document, columns=columns, rows=rows or None, text=text)
    if left_out:
        note(ctx, f"not compared, but folded afresh when they are next asked: {', '.join(left_out)}")
    if rows:
        raise typer.Exit(LedgerDamaged.exit_code)


@replaying.command()
def replay(
    ctx: typer.Context,
    *,
    to: Annotated[
        str | None, typer.Option(metavar="POSITION|TIME", help="As of then; default: the head of the ledger.")
    ] = None,
    job: Annotated[str | None, typer.Option(metavar="NAME", help="Only this job.")] = None,
) -> None:
    """Show the state as of a moment, folded from the events alone."""
    opened = application(ctx)
    ledger = opened.existing().ledger
    until = None if to is None else opened.position(position_or_moment(to, opened.now()))
    document = replayed(ledger, until)
    if job is not None:
        everyone = [entry["name"] for entry in document["jobs"]]
        document["jobs"] = [entry for entry in document["jobs"] if entry["name"] == job]
        if not document["jobs"]:
            raise unknown(job, everyone)
    text = None if document["jobs"] else "The ledger knew no job."
    emit(ctx, document, columns=STATE_COLUMNS, rows=document["jobs"], text=text)
