"""How far runs are, and the lines of a run found quickly: older versions need not know of either."""

from __future__ import annotations

from alembic import op

from cronledger.ledger.schema import RUN_PROGRESS

revision = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None

_SAME_RIGHTS = """
DO $$ DECLARE given record; BEGIN
  FOR given IN
    SELECT a.grantee, a.privilege_type FROM pg_class AS c, aclexplode(c.relacl) AS a
     WHERE c.oid = to_regclass('log_line') AND a.grantee <> c.relowner
       AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
  LOOP
    EXECUTE format('GRANT %s ON run_progress TO %s', given.privilege_type,
                   CASE given.grantee WHEN 0 THEN 'PUBLIC' ELSE given.grantee::regrole::text END);
  END LOOP;
END $$
"""
"""Who may read or keep log lines may do so with progress: nothing waits until `db roles` is run again."""


def upgrade() -> None:
    """Add the table, with the rights that roles have in the one for log lines, and an index of that one."""
    connection = op.get_bind()
    RUN_PROGRESS.create(connection)
    connection.exec_driver_sql("CREATE INDEX log_line_run ON log_line (run_id) WHERE run_id IS NOT NULL")
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_SAME_RIGHTS, execution_options={"no_parameters": True})
