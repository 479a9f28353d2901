"""What Alembic runs: the connection comes from `runner`, inside its transaction."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="cronledger_version",
)
with context.begin_transaction():
    context.run_migrations()
