"""Instants as the tables keep them: whole microseconds since 1970 in UTC, exact on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cronledger.errors import LedgerDamaged

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1024)  # as below
def to_micros(at: datetime) -> int:
    """Return the microseconds since 1970 of an aware instant.

    >>> to_micros(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


@lru_cache(maxsize=1024)  # the events of one append share their instant
def from_micros(micros: int) -> datetime:
    """Return the instant, aware and in UTC, of microseconds since 1970; LedgerDamaged if there is none."""
    try:
        return EPOCH + timedelta(0, 0, micros)
    except OverflowError as error:
        raise LedgerDamaged(
            f"an instant is stored that no calendar has: {micros} microseconds since 1970",
            hint="run `cronledger ledger verify`; somebody has edited the database",
        ) from error


def rfc3339(micros: int) -> str:
    """Return an instant with its fraction only if it has one.

    >>> rfc3339(1_000_000), rfc3339(1_500_000)
    ('1970-01-01T00:00:01Z', '1970-01-01T00:00:01.500000Z')
    """
    return from_micros(micros).replace(tzinfo=None).isoformat() + "Z"


def rfc3339_exact(micros: int) -> str:
    """Return an instant with six digits of fraction, always.

    >>> rfc3339_exact(1_000_000)
    '1970-01-01T00:00:01.000000Z'
    """
    return from_micros(micros).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
