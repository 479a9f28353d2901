"""The pool of connections to PostgreSQL: how they are made, and what the driver's errors mean."""

from __future__ import annotations

import re
from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.pool import ConnectionPoolEntry

from cronledger.errors import (
    CronledgerError,
    LedgerDamaged,
    LedgerUnreachable,
    UsageError,
    WriterOutdated,
)
from cronledger.ledger.api import WRITER
from cronledger.ledger.connecting import BoundedConnection, met, server_of
from cronledger.ledger.missing_tables import without_head, without_table

_DAMAGED = "CL001"
_IMMUTABLE = "CL002"
_WRITER_OUTDATED = "CL003"
_QUOTED = re.compile(r'["«„»“]\s*(?:\w+\.)?(\w+)')
"""A name as a server quotes it, in whatever language it speaks."""


def problem(url: str, error: BaseException, *, secret: str | None = None) -> CronledgerError | None:
    """Return what an error of PostgreSQL or its driver means, or None if it is a mistake of ours.

    That is one about a value, or a change of what is recorded. For any other the server has reasons of its
    own, and most of them pass.
    """
    if not isinstance(error, psycopg.Error) or _is_ours(error):
        return None
    words = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if secret:
        words = words.replace(secret, "***")
    match error:
        case _ if error.sqlstate in (_DAMAGED, _WRITER_OUTDATED):
            return _told_by_function(error, words)
        case errors.UndefinedTable() | errors.UndefinedFunction() | errors.InvalidSchemaName():
            return without_table(url, _table_of(error, words))
        case errors.InsufficientPrivilege():
            return LedgerUnreachable(f"the ledger {url} may not be used so by this user: {words}")
        case errors.ReadOnlySqlTransaction():
            return LedgerUnreachable(
                f"the ledger {url} may not be written: {words}",
                hint="it is a standby, or default_transaction_read_only is set for it or for this user",
            )
        case psycopg.ProgrammingError() if "connection option" in words:
            return UsageError(f"the database URL cannot be used: {words}")
        case psycopg.OperationalError() | psycopg.InterfaceError() | errors.IdleInTransactionSessionTimeout():
            return LedgerUnreachable(f"the ledger {url} does not answer: {words}")
        case _:
            return _told_by_server(url, error, words)


def _is_ours(error: psycopg.Error) -> bool:
    return isinstance(error, psycopg.DataError | psycopg.IntegrityError) or error.sqlstate == _IMMUTABLE


def _table_of(error: psycopg.Error, words: str) -> str | None:
    """Return which table is not there, if it is a table and the server names it."""
    named = _QUOTED.search(words) if isinstance(error, errors.UndefinedTable) else None
    return None if named is None else named[1]


def _told_by_function(error: psycopg.Error, words: str) -> CronledgerError:
    if error.sqlstate == _DAMAGED:
        return LedgerDamaged(words, hint="run `cronledger ledger verify`")
    return WriterOutdated(int(error.diag.message_detail or 0), WRITER)


def _told_by_server(url: str, error: psycopg.Error, words: str) -> CronledgerError:
    match error:
        case errors.DataCorrupted() | errors.IndexCorrupted():
            return LedgerDamaged(
                f"the database of the ledger {url} is damaged: {words}",
                hint="look at the server's log; restore the database, then run `cronledger ledger verify`",
            )
        case errors.NoDataFound():
            return without_head()
        case _:
            return LedgerUnreachable(
                f"the ledger {url} answers with an error: {words}",
                hint="look at the server's log, and run `cronledger db check`",
            )


def arguments(parts: URL, instance: str) -> dict[str, Any]:
    """Return what the driver is told: the URL's parts, and limits for everything that could wait for ever.

    Of several hosts the primary is meant, whichever that is at the moment.
    """
    given = dict(parts.get_dialect()().create_connect_args(parts)[1])
    if "," in str(given.get("host", "")):
        given.setdefault("target_session_attrs", "read-write")
    name = given.pop("application_name", instance)
    return {
        "connect_timeout": 5,
        "keepalives": 1,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 5000,
        "application_name": f"cronledger {name}",
        "client_encoding": "utf8",
        "prepare_threshold": None,
    } | given


def pool_of(parts: URL, connect_args: dict[str, Any], limit_seconds: float) -> Engine:
    """Return the pool: its connections are bounded, settled, and forgotten once they lead to a standby."""

    def begin(dialect: object, record: object, words: list[Any], named: dict[str, Any]) -> BoundedConnection:
        del dialect, record
        return BoundedConnection.connect(*words, **named)

    def limit(connection: BoundedConnection, *_: object) -> None:
        connection.limit_seconds = limit_seconds

    engine = create_engine(URL.create(parts.drivername), connect_args=connect_args, pool_timeout=10.0)
    event.listen(engine, "do_connect", begin)
    event.listen(engine, "connect", _settle)
    event.listen(engine, "checkout", limit)
    event.listen(engine, "checkin", _unbind)
    event.listen(engine, "handle_error", _note_standby)
    return engine


def _settle(connection: psycopg.Connection[Any], record: ConnectionPoolEntry) -> None:
    try:
        connection.autocommit = True
        if not met(connection).is_pooler:
            record.info["server"] = server_of(connection)
        connection.autocommit = False
    except BaseException:
        connection.close()  # the pool forgets a connection whose first words failed, and leaves it open
        raise


def _unbind(connection: psycopg.Connection[Any] | None, _record: ConnectionPoolEntry) -> None:
    """Leave it to the server again whether a transaction may write: who has only read would insist on it."""
    if connection is not None:
        connection.read_only = None


def _note_standby(context: ExceptionContext) -> None:
    """Let the pool forget connections to a server that has become, or always was, a standby."""
    if isinstance(context.original_exception, errors.ReadOnlySqlTransaction):
        context.is_disconnect = True
