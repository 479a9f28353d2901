"""The pools of connections that the ledgers in databases work with."""

from __future__ import annotations

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry


def close_for_good(engine: Engine) -> None:
    """Close every connection: one that a thread is still reading from, as soon as it has been given back."""
    event.listen(engine, "checkin", _close)
    engine.dispose()


def _close(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    del connection
    entry.close()
