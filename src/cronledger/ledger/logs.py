"""Log lines of runs and of the engine, kept beside the ledger so that every instance can show them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from cronledger.domain.ids import InstanceId, JobName, RunId
from cronledger.errors import UsageError
from cronledger.ledger.instants import from_micros, to_micros
from cronledger.ledger.normal import MESSAGE_BYTES, cleaned, truncated
from cronledger.ledger.schema import LOG_LINE

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
"""From the least to the most serious."""

_OTHER_NAMES = {"WARNING": "WARN", "CRITICAL": "ERROR", "FATAL": "ERROR", "NOTSET": "DEBUG", "TRACE": "DEBUG"}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One log line."""

    at: datetime
    level: str
    logger: str
    instance: InstanceId
    message: str
    job: JobName | None = None
    run_id: RunId | None = None
    step: str | None = None


def write_lines(connection: Connection, lines: Iterable[Line]) -> None:
    """Keep log lines; a message is cut to its limit."""
    rows = [msgspec.structs.asdict(line) | _columns(line) for line in lines]
    if rows:
        connection.execute(LOG_LINE.insert(), rows)


def lines(
    connection: Connection,
    *,
    level: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    job: str | None = None,
    run_id: str | None = None,
    limit: int = 20,
) -> list[Line]:
    """Return the newest `limit` lines that match, newest last: `level` and above, from `since` to `until`."""
    wanted = select(LOG_LINE).order_by(LOG_LINE.c.at.desc(), LOG_LINE.c.id.desc()).limit(limit)
    if level is not None:
        wanted = wanted.where(LOG_LINE.c.level.in_(at_least(level)))
    if since is not None:
        wanted = wanted.where(LOG_LINE.c.at >= to_micros(since))
    if until is not None:
        wanted = wanted.where(LOG_LINE.c.at < to_micros(until))
    if job is not None:
        wanted = wanted.where(LOG_LINE.c.job == job)
    if run_id is not None:
        wanted = wanted.where(LOG_LINE.c.run_id == run_id)
    return [_line(row) for row in reversed(connection.execute(wanted).all())]


def at_least(level: str) -> tuple[str, ...]:
    """Return a level and those above it; raise UsageError for a word that is none.

    >>> at_least("warning")
    ('WARN', 'ERROR')
    """
    name = level.upper()
    name = _OTHER_NAMES.get(name, name)
    if name not in LEVELS:
        raise UsageError(f"unknown log level {level!r}", hint=f"use one of {', '.join(LEVELS)}")
    return LEVELS[LEVELS.index(name) :]


def _columns(line: Line) -> dict[str, Any]:
    level = _OTHER_NAMES.get(line.level.upper(), line.level.upper())
    message = truncated(cleaned(line.message), MESSAGE_BYTES)
    return {"at": to_micros(line.at), "level": level, "message": message}


def _line(row: Row[Any]) -> Line:
    return Line(
        at=from_micros(row.at),
        level=row.level,
        logger=row.logger,
        instance=InstanceId(row.instance),
        message=row.message,
        job=None if row.job is None else JobName(row.job),
        run_id=None if row.run_id is None else RunId(row.run_id),
        step=row.step,
    )
