"""What a database's errors mean to the rest of the package; the drivers' own words stay as the cause."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cronledger.errors import CronledgerError, LedgerUnreachable, UsageError

Translate = Callable[[BaseException], CronledgerError | None]

UNCLEAR = "it is unclear which @ ends the password"
WRITE_IT = "write @ in a password as %40"

_TWO_ENDS = re.compile(r"[^:/]*://[^:/]*:[^@]*@[^@]*@")
_SECRETS = ("password", "passfile", "sslpassword", "sslkey")


@contextmanager
def translated(translate: Translate) -> Iterator[None]:
    """Raise what a driver's error means instead of it; an error that means nothing to us passes."""
    try:
        yield
    except DBAPIError as error:
        problem = None if error.orig is None else translate(error.orig)
        if problem is None:
            raise
        raise problem from error
    except PoolTimeout as error:
        raise LedgerUnreachable("all database connections of this process are in use") from error


def parsed(url: str) -> URL:
    """Return a database URL in parts; raise UsageError, without repeating it, if it is none."""
    if has_unclear_password(url):
        raise UsageError(f"the database URL cannot be read: {UNCLEAR}", hint=WRITE_IT)
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise UsageError(
            "the database URL cannot be read",
            hint="use sqlite:///FILE, postgresql://USER:PASSWORD@HOST/DATABASE or memory://NAME",
        ) from error


def has_unclear_password(url: str) -> bool:
    """Whether an @ follows the one that ends the password: what lies between would be shown as the host.

    >>> has_unclear_password("postgresql://ann:p@ss@db/jobs"), has_unclear_password("postgresql://ann:p@db/jobs")
    (True, False)
    """
    return _TWO_ENDS.match(url) is not None


def safe_url(url: str) -> str:
    """Return a database URL that may be shown: its secrets are starred out.

    >>> safe_url("postgresql://ann:s3cret@db/jobs?sslpassword=x")
    'postgresql://ann:***@db/jobs?sslpassword=%2A%2A%2A'
    """
    try:
        parts = parsed(url)
    except UsageError:
        return "(a database URL that cannot be read)"
    hidden = {key: "***" for key in parts.query if key in _SECRETS}
    return parts.update_query_dict(hidden).render_as_string(hide_password=True)
