"""The log of runs and of the engine."""

from __future__ import annotations

from typing import Annotated

import typer

from cronledger.cli.context import application
from cronledger.cli.render import emit
from cronledger.cli.runs import Since, Until
from cronledger.domain.ids import JobName, RunId
from cronledger.projections import log_lines

app = typer.Typer(help="Read the log of runs and of the engine.", no_args_is_help=True)

COLUMNS = ("at", "level", "job", "run_id", "step", "message")


@app.callback()
def logs() -> None:
    """Read the log of runs and of the engine."""


@app.command()
def view(
    ctx: typer.Context,
    *,
    level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="Only lines of debug, info, warn or error, and above.")
    ] = None,
    since: Since = None,
    until: Until = None,
    job: Annotated[str | None, typer.Option(metavar="NAME", help="Only lines about this job.")] = None,
    run: Annotated[str | None, typer.Option(metavar="RUN", help="Only lines about this run.")] = None,
    limit: Annotated[
        int, typer.Option("-n", "--limit", "--tail", min=1, max=100_000, help="How many of the newest lines.")
    ] = 20,
) -> None:
    """Show log lines, the newest last."""
    opened = application(ctx)
    lines = log_lines.view(
        opened.store(),
        level=level,
        since=opened.instant(since),
        until=opened.instant(until),
        job=JobName(job) if job else None,
        run_id=RunId(run) if run else None,
        limit=limit,
    )
    shown = [log_lines.document(line) for line in lines]
    emit(
        ctx,
        {"logs": shown, "total": len(shown)},
        columns=COLUMNS,
        rows=shown,
        text=None if shown else "No lines.",
    )
