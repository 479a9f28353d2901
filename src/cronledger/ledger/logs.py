"""Log lines of runs and of the engine, kept beside the ledger so that every instance can show them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, func, select, tuple_

from cronledger.domain.ids import InstanceId, JobName, RunId
from cronledger.domain.line import LEVELS, Line
from cronledger.errors import UsageError
from cronledger.ledger.instants import from_micros, to_micros
from cronledger.ledger.normal import MESSAGE_BYTES, cleaned, truncated
from cronledger.ledger.schema import LOG_LINE

_OTHER_NAMES = {"WARNING": "WARN", "CRITICAL": "ERROR", "FATAL": "ERROR", "NOTSET": "DEBUG", "TRACE": "DEBUG"}
_TEXTS = ("logger", "job", "run_id", "step")
_c = LOG_LINE.c


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines are meant: of `level` and above, from `since` up to `until`, about these things.

    `text` is looked for in the message, whatever the case of its letters.
    """

    level: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    job: JobName | None = None
    run_id: RunId | None = None
    step: str | None = None
    text: str | None = None

    def fitting(self) -> Callable[[Line], bool]:
        """Return what tells a line that is meant; raises UsageError for a level that is none."""
        levels = at_least(self.level or "DEBUG")
        text = (self.text or "").casefold()

        def fits(line: Line) -> bool:
            return (
                line.level in levels
                and (self.since is None or line.at >= self.since)
                and (self.until is None or line.at < self.until)
                and self.job in (None, line.job)
                and self.run_id in (None, line.run_id)
                and self.step in (None, line.step)
                and text in line.message.casefold()
            )

        return fits


class Numbered(msgspec.Struct, frozen=True):
    """A line and its number in the table."""

    number: int
    line: Line


def write_lines(connection: Connection, lines: Iterable[Line]) -> None:
    """Keep log lines; a message is cut to its limit."""
    rows = [msgspec.structs.asdict(line) | _columns(line) for line in lines]
    if rows:
        connection.execute(LOG_LINE.insert(), rows)


def page(
    connection: Connection,
    wanted: Wanted,
    *,
    limit: int,
    newest_first: bool = False,
    beyond: Numbered | None = None,
) -> list[Numbered]:
    """Return the next lines by their time, those after `beyond`; `text` is the caller's to look for."""
    key = tuple_(_c.at, _c.id)
    order = (_c.at.desc(), _c.id.desc()) if newest_first else (_c.at, _c.id)
    chosen = _about(wanted).order_by(*order).limit(limit)
    if beyond is not None:
        last = (to_micros(beyond.line.at), beyond.number)
        chosen = chosen.where(key < last if newest_first else key > last)
    return [Numbered(row.id, _line(row)) for row in connection.execute(chosen)]


def numbered_after(connection: Connection, wanted: Wanted, number: int) -> list[Numbered]:
    """Return the lines of higher numbers, as they were written."""
    chosen = _about(wanted).where(_c.id > number).order_by(_c.id)
    return [Numbered(row.id, _line(row)) for row in connection.execute(chosen)]


def last_number(connection: Connection) -> int:
    """Return the number of the line that was written last, 0 if there is none."""
    return int(connection.execute(select(func.coalesce(func.max(_c.id), 0))).scalar_one())


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


def _about(wanted: Wanted) -> Select[Any]:
    chosen = select(LOG_LINE)
    if wanted.level is not None:
        chosen = chosen.where(_c.level.in_(at_least(wanted.level)))
    if wanted.since is not None:
        chosen = chosen.where(_c.at >= to_micros(wanted.since))
    if wanted.until is not None:
        chosen = chosen.where(_c.at < to_micros(wanted.until))
    for name in ("job", "run_id", "step"):
        value = getattr(wanted, name)
        if value is not None:
            chosen = chosen.where(_c[name] == value)
    return chosen


def _columns(line: Line) -> dict[str, Any]:
    level = _OTHER_NAMES.get(line.level.upper(), line.level.upper())
    message = truncated(line.message, MESSAGE_BYTES)
    texts = {name: cleaned(value) for name in _TEXTS if (value := getattr(line, name)) is not None}
    return {"at": to_micros(line.at), "level": level, "message": message, **texts}


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
