"""Who is up: `instances`."""

from __future__ import annotations

import typer

from cronledger.cli.cluster import shown, up_and_silent
from cronledger.cli.context import application
from cronledger.cli.render import emit

app = typer.Typer()

COLUMNS = ("instance", "kind", "host", "pid", "build", "state", "alive", "beat_at", "config_revision")


@app.command()
def instances(ctx: typer.Context) -> None:
    """List the instances that are up, and those that fell silent without a goodbye."""
    living, silent = up_and_silent(application(ctx).existing())
    found = [{**shown(each), "alive": each in living} for each in [*living, *silent]]
    text = None if found else "No instance is up: start one with `cronledger up`."
    emit(ctx, {"instances": found, "total": len(found)}, columns=COLUMNS, rows=found, text=text)
