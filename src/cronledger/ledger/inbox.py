"""Requests for runs as rows, written by applications over connections and in transactions of their own.

Coordination, not history: the leader appends what a row asks for, and removes it once that is durable. A row
that is read again has been sequenced before if its run exists, so nothing is lost or done twice in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, exists, func, select

from cronledger.domain.ids import JobName
from cronledger.domain.requests import Requested
from cronledger.ledger.instants import from_micros, to_micros
from cronledger.ledger.schema import INBOX

_parameters = msgspec.json.Decoder(dict[str, Any]).decode


def columns(request: Requested, written_at: datetime) -> dict[str, Any]:
    """Return a request as the columns of a row."""
    return {
        "id": request.id,
        "written_at": to_micros(written_at),
        "job": request.job,
        "parameters": msgspec.json.encode(request.parameters).decode(),
        "actor": request.actor,
        "idempotency_key": request.key,
        "reason": request.reason,
    }


def waiting(connection: Connection, limit: int) -> list[Requested]:
    """Return the oldest requests, in the order of their ids, which begin with the time."""
    rows = connection.execute(select(INBOX).order_by(INBOX.c.id).limit(limit))
    return [_requested(row) for row in rows]


def backlog(connection: Connection) -> tuple[int, datetime | None]:
    """Return how many requests wait, and when the oldest was written by the clock of its application."""
    count, oldest = connection.execute(select(func.count(), func.min(INBOX.c.written_at))).one()
    return count, None if oldest is None else from_micros(oldest)


def has_requests(connection: Connection) -> bool:
    """Whether any request waits."""
    return bool(connection.execute(select(exists(select(INBOX.c.id)))).scalar_one())


def remove(connection: Connection, ids: Sequence[str]) -> None:
    """Remove the rows of requests that are history now."""
    connection.execute(INBOX.delete().where(INBOX.c.id.in_(ids)))


def _requested(row: Row[Any]) -> Requested:
    parameters: dict[str, Any] = {}
    problem = None
    try:
        parameters = _parameters(row.parameters)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        problem = f"the parameters are not a JSON object: {error}"
    return Requested(
        id=row.id,
        job=JobName(row.job),
        parameters=parameters,
        actor=row.actor,
        key=row.idempotency_key,
        reason=row.reason,
        problem=problem,
    )
