"""The ledger: events, their head, and the rows around them; and the first views."""

from __future__ import annotations

from uuid import UUID

from alembic import op
from sqlalchemy import Connection

from cronledger.entropy import SystemEntropy
from cronledger.ledger.api import MIN_WRITER
from cronledger.ledger.schema import HEAD, METADATA
from cronledger.migrations.scripts import run_sql
from cronledger.projections import tables

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

_IMMUTABLE = (
    "CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is immutable'); END"
)


def upgrade() -> None:
    """Create everything."""
    connection = op.get_bind()
    ours = [each for each in METADATA.sorted_tables if "since" not in each.info]
    METADATA.create_all(connection, ours, checkfirst=False)
    tables.METADATA.create_all(connection, checkfirst=False)
    if connection.dialect.name == "sqlite":
        _protect(connection)
    else:
        _install(connection)
    connection.execute(
        HEAD.insert(), _HEAD_ROW | {"lineage": str(UUID(bytes=SystemEntropy().token(), version=4))}
    )


_HEAD_ROW = {"id": 1, "position": 0, "recorded_at": 0, "term": 0, "epoch": 0, "min_writer": MIN_WRITER}


def _protect(connection: Connection) -> None:
    for table in ("event", "event_body"):
        for verb in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(_IMMUTABLE.format(table=table, verb=verb))


def _install(connection: Connection) -> None:
    run_sql(connection, "functions.sql")
    run_sql(connection, "postgres.sql")
