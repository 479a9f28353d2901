"""Running an instance: `up`."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated

import typer

from cronledger.cli.context import application
from cronledger.cli.options import LogLevel
from cronledger.cli.program_log import configure
from cronledger.cli.times import duration

app = typer.Typer()


@app.command()
def up(
    ctx: typer.Context,
    *,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="End after this long, such as 90s or 1h.")
    ] = None,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Bring the schema of a PostgreSQL ledger to this version first.")
    ] = False,
) -> None:
    """Run an instance until it is told to stop.

    SIGTERM or Ctrl-C: it takes no more runs and waits for those that it performs; a second one ends it at
    once. A SQLite ledger is created and upgraded by itself.
    """
    opened = application(ctx)
    options = ctx.obj.options
    configure(options.log_level or LogLevel.INFO, options.log_format)
    seconds = duration(for_).total_seconds() if for_ else None
    stuck = asyncio.run(opened.scheduler.serve(for_seconds=seconds, migrate=migrate or None))
    if stuck:
        # Threads that do not end would keep the process: the runs they belong to are recorded already.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
