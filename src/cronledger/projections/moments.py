"""Instants as JSON documents show them: RFC 3339, UTC, `Z`."""

from __future__ import annotations

from datetime import datetime

from cronledger.ledger.instants import rfc3339, rfc3339_exact, to_micros


def fire_time(at: datetime | None) -> str | None:
    """Return an instant that is usually whole; its fraction is shown only if it has one.

    >>> from datetime import UTC
    >>> fire_time(datetime(2026, 1, 1, 3, tzinfo=UTC))
    '2026-01-01T03:00:00Z'
    """
    return None if at is None else rfc3339(to_micros(at))


def moment(at: datetime | None) -> str | None:
    """Return an instant that was recorded, with six digits of fraction, so that the texts sort by time."""
    return None if at is None else rfc3339_exact(to_micros(at))
