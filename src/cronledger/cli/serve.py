"""Running an instance: `up`."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
from typing import Annotated

import typer

from cronledger.cli.context import application
from cronledger.cli.options import LogLevel
from cronledger.cli.program_log import on_a_thread
from cronledger.cli.times import seconds_of

app = typer.Typer()
LEAVING_SECONDS = 3.0
YOUNG_OBJECTS = 50_000
"""New objects after which the garbage collector looks at them: a burst of runs, not a part of one."""
SWITCH_SECONDS = 0.001
"""How long a thread keeps the interpreter from the others: the writer's asks for it after each statement, and
the loop after each wait, also beside a job that computes in a thread. Five times shorter than the usual.
"""


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
    apply_config: Annotated[
        bool,
        typer.Option("--apply-config", help="Make these files current in the cluster first: `config apply`."),
    ] = False,
) -> None:
    """Run an instance until it is told to stop.

    SIGTERM or Ctrl-C: it takes no more runs and waits for those that it performs; a second one ends it at
    once. Changed files are read again by themselves, and at SIGHUP. A SQLite ledger is created and upgraded
    by itself.
    """
    opened = application(ctx)
    options = ctx.obj.options
    seconds = seconds_of(for_)
    applied_by = opened.operator if apply_config else None
    # Code that does not end would keep the process, though all that matters is recorded already.
    leaving = threading.Timer(LEAVING_SECONDS, os._exit, (0,))
    leaving.daemon = True

    async def serve() -> int:
        stuck = await opened.scheduler.serve(
            for_seconds=seconds, migrate=migrate or None, applied_by=applied_by
        )
        leaving.start()
        return stuck

    _spare_what_stays()
    sys.setswitchinterval(SWITCH_SECONDS)
    with on_a_thread(options.log_level or LogLevel.INFO, options.log_format):
        stuck = asyncio.run(serve())
    if stuck:
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
    leaving.cancel()


def _spare_what_stays() -> None:
    """Keep the garbage collector from looking, again and again, at what lives as long as the process.

    Half of the time of a burst of runs went there. Only here, where the process is ours.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
