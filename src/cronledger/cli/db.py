"""The schema of the ledger's database: `db upgrade`, `db current`, `db check`, `db roles`."""

from __future__ import annotations

from typing import Annotated

import typer

from cronledger import migrations
from cronledger.cli.context import application
from cronledger.cli.render import emit, since
from cronledger.migrations import roles as of_roles

app = typer.Typer(help="Create and upgrade the database's schema.", no_args_is_help=True)


@app.command()
def upgrade(ctx: typer.Context) -> None:
    """Bring the schema to the one that this version needs; changes nothing if it is."""
    store = application(ctx).database(create=True)
    before = migrations.current(store)
    migrations.upgrade(store)
    after = migrations.current(store)
    text = f"{store.url} is at schema {after}{since(before, after)}"
    emit(ctx, {"previous": before, "current": after, "head": migrations.HEAD}, text=text)


@app.command()
def current(ctx: typer.Context) -> None:
    """Show which schema the database is at."""
    found = migrations.current(application(ctx).database(create=False))
    emit(ctx, {"current": found, "head": migrations.HEAD}, text=found or "none")


@app.command()
def check(ctx: typer.Context) -> None:
    """Check that the schema is the one this version needs; exit code 6 if it is not."""
    store = application(ctx).database(create=False)
    migrations.check(store)
    found = migrations.current(store)
    emit(ctx, {"ok": True, "current": found, "head": migrations.HEAD}, text=f"schema {found} is at head")


@app.command()
def roles(
    ctx: typer.Context,
    role: Annotated[str, typer.Option("--app-role", help="The role that instances log in as.")],
    reader: Annotated[str | None, typer.Option("--reader-role", help="A role that only reads.")] = None,
    schema: Annotated[str, typer.Option(help="The schema that holds the ledger.")] = "public",
) -> None:
    """Print the statements that give PostgreSQL roles what they need and no more; nothing is changed.

    Let the ledger's owner run them: once, and again after `db upgrade`.
    """
    found = list(of_roles.statements(schema=schema, app=role, reader=reader))
    emit(ctx, {"statements": found}, text="\n".join(found))
