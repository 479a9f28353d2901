"""The ledger's own SQL, from the files beside this one."""

from __future__ import annotations

from importlib import resources

from sqlalchemy import Connection


def run_sql(connection: Connection, name: str) -> None:
    """Run a file on PostgreSQL, in the current schema."""
    schema = connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    code = resources.files("cronledger.migrations").joinpath(name).read_text()
    # Without parameters, the driver sends many statements as they are.
    connection.connection.cursor().execute(code.replace("{schema}", str(schema)))
