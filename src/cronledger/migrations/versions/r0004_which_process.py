"""Which process an instance is: older versions leave it empty, and need not know of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Add the column; who may write the table may write it too."""
    op.add_column("instance", sa.Column("process", sa.Text()))
