"""What Alembic runs: the connection comes from `runner`, inside its transaction."""

from __future__ import annotations

from alembic import context

from cronledger.migrations.application.runner import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
