"""The application's own database, which jobs reach as `ctx.db`. The ledger never touches it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from cronledger.errors import ConfigError
from cronledger.ledger.failures import UNCLEAR, WRITE_IT, has_unclear_password
from cronledger.ledger.sqlite_connections import make_private

_NO_URL = (
    "application.database_url is not the URL of a database that can be opened here: use for instance "
    "sqlite:///app.db or postgresql://USER@HOST/DATABASE"
)


def url_beside(ledger_url: str) -> str | None:
    """Return the URL of a second file beside a SQLite ledger's, None for any other ledger.

    >>> url_beside("sqlite:///data/cronledger.db")
    'sqlite:///data/cronledger-app.db'
    """
    scheme, separator, rest = ledger_url.partition(":///")
    if scheme != "sqlite" or not rest:
        return None
    path = PurePosixPath(rest.partition("?")[0])
    return f"{scheme}{separator}{path.with_name(f'{path.stem}-app{path.suffix}')}"


def new_file(engine: Engine) -> None:
    """Prepare a file that is this package's own: readers beside a writer, and pages that can be given back.

    The second only has an effect before the first table.
    """
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA auto_vacuum = INCREMENTAL")
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")


def application_engine(url: str) -> Engine:
    """Return an engine for the application's database; it connects when a job first asks.

    `postgres://` and `postgresql://` use psycopg 3; SQLite minds foreign keys, as PostgreSQL does, and a file
    that it makes is this user's alone. Raises ConfigError for a URL that cannot be read, and for a database
    whose driver is not installed.

    >>> application_engine("sqlite://").dialect.name
    'sqlite'
    """
    if has_unclear_password(url):
        raise ConfigError([f"application.database_url cannot be read: {UNCLEAR}; {WRITE_IT}"])
    scheme, separator, rest = url.partition("://")
    if scheme in {"postgres", "postgresql"}:
        scheme = "postgresql+psycopg"
    try:
        engine = create_engine(f"{scheme}{separator}{rest}", hide_parameters=True)
    except ImportError as error:
        missing = f"application.database_url: the driver of '{scheme}' is not installed here: {error.name}"
        raise ConfigError([missing]) from None
    except (ArgumentError, NoSuchModuleError):
        raise ConfigError([_NO_URL]) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "do_connect", _make_file)
        event.listen(engine, "connect", _mind_foreign_keys)
    return engine


def _make_file(_dialect: object, _record: object, words: list[Any], named: dict[str, Any]) -> None:
    """Make a file that is not there private; what stands in the way SQLite says itself."""
    if words[0] != ":memory:" and not named.get("uri"):
        with suppress(OSError):
            make_private(Path(words[0]))


def _mind_foreign_keys(connection: DBAPIConnection, _record: object) -> None:
    connection.cursor().execute("PRAGMA foreign_keys = ON")
