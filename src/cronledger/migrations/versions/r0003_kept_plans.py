"""Functions whose plans a session keeps; they say and do what they did, so older versions work beside."""

from __future__ import annotations

from alembic import op

from cronledger.migrations.scripts import run_sql

revision = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Put the present functions in the place of the earlier ones; rights to call them stay."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        run_sql(connection, "functions.sql")
