"""Bringing an application's database to the tables that the built-in jobs need."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Engine, inspect, text

from cronledger.ledger.application import new_file
from cronledger.migrations.runner import ALEMBIC

VERSION_TABLE = "cronledger_app_version"
HEAD = "app0001"
"""The revision that this version's jobs need."""

_LOCK = 0x63726C61
"""The advisory lock that upgrades of one application take turns by."""


def current(engine: Engine) -> str | None:
    """Return the revision that a database is at, None where nothing has been created."""
    with engine.connect() as connection:
        return _current(connection)


def upgrade(engine: Engine, named: Mapping[str, str] | None = None) -> None:
    """Create what is missing, in one transaction; nothing happens if nothing is.

    `named`: tables that the application has under other names; they are not created. A table that is there
    already under the same name is left as it is: the host's own. So is what a newer version has created: it
    only adds. An empty file of SQLite becomes one that can give pages back.
    """
    if (current(engine) or "") >= HEAD:
        return
    from alembic import command  # noqa: PLC0415 - a third of a second that no other command should pay
    from alembic.config import Config  # noqa: PLC0415

    if engine.dialect.name == "sqlite" and not inspect(engine).get_table_names():
        new_file(engine)
    with engine.connect() as connection:
        _take_turn(connection)
        if (_current(connection) or "") < HEAD:
            config = Config()
            config.set_main_option("script_location", "cronledger:migrations/application")
            config.attributes.update(connection=connection, named=named or {})
            with ALEMBIC:
                command.upgrade(config, HEAD)
        connection.commit()


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()  # noqa: S608 - our own name


def _take_turn(connection: Connection) -> None:
    """Let one upgrade at a time go on; SQLite's transaction is begun by hand, so that it holds tables too."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    elif connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
