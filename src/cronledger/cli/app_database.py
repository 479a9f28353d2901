"""The tables of the built-in jobs: `app-db upgrade`, `app-db current`."""

from __future__ import annotations

import typer

from cronledger.cli.context import application
from cronledger.cli.render import emit, since
from cronledger.extensions.tables import Names
from cronledger.migrations.application import HEAD, opened

app = typer.Typer(
    help="Create and upgrade the tables of the built-in jobs, in the application's database.",
    no_args_is_help=True,
)


@app.command()
def upgrade(ctx: typer.Context) -> None:
    """Create the tables that are missing; those that are there already stay as they are.

    In the database that the configuration names (application.database_url), else in the built-in jobs' own
    file beside a SQLite ledger.
    """
    here = application(ctx)
    named = Names(here.settings.application.get("tables") or {}).others()
    with opened(here.application_url, create=True) as database:
        before = database.current()
        database.upgrade(named)
        after = database.current()
    text = f"{database.shown} is at {after}{since(before, after)}"
    emit(ctx, {"previous": before, "current": after, "head": HEAD}, text=text)


@app.command()
def current(ctx: typer.Context) -> None:
    """Show which revision of these tables the application's database is at."""
    with opened(application(ctx).application_url, create=False) as database:
        found = database.current()
    emit(ctx, {"current": found, "head": HEAD}, text=found or "none")
