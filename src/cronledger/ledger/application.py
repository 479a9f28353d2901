"""The application's own database, which jobs reach as `ctx.db`. The ledger never touches it."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from cronledger.errors import UsageError


def application_engine(url: str) -> Engine:
    """Return an engine for the application's database; it connects when a job first asks.

    `postgres://` and `postgresql://` use psycopg 3. Raises UsageError for a URL that cannot be read.

    >>> application_engine("sqlite://").dialect.name
    'sqlite'
    """
    scheme, separator, rest = url.partition("://")
    if scheme in {"postgres", "postgresql"}:
        scheme = "postgresql+psycopg"
    try:
        return create_engine(f"{scheme}{separator}{rest}")
    except (ArgumentError, NoSuchModuleError, ImportError):
        raise UsageError(
            "application.database_url is not the URL of a database that can be opened here",
            hint="use for instance sqlite:///app.db or postgresql://USER@HOST/DATABASE",
        ) from None
