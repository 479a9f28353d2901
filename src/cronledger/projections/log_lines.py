"""The ledger read as a log, together with the lines that jobs and the engine wrote.

What happened to a run is in its events; a log line for it would say it twice. So the log is put together when
it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from cronledger.domain.events import Recorded
from cronledger.domain.ids import JobName, Position, RunId, run_stream
from cronledger.ledger import logs
from cronledger.ledger.api import Ledger
from cronledger.ledger.database import Store
from cronledger.ledger.logs import Line, at_least
from cronledger.projections.event_lines import line_of
from cronledger.projections.moments import moment

PAGE = 500
EVENTS_READ = 200_000
"""How far back one question looks; an older line is found with `until`."""


def view(
    store: Store,
    *,
    level: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    job: JobName | None = None,
    run_id: RunId | None = None,
    limit: int = 20,
) -> list[Line]:
    """Return the newest `limit` lines of `level` and above, from `since` up to `until`, the newest last."""
    levels = at_least(level or "DEBUG")
    said: list[Line] = []
    for recorded in _newest_first(store.ledger, run_id, until):
        if len(said) == limit or (since is not None and recorded.recorded_at < since):
            break
        line = line_of(recorded)
        if line.level in levels and job in (None, line.job):
            said.append(line)
    with store.reading() as connection:
        written = logs.lines(
            connection, level=level, since=since, until=until, job=job, run_id=run_id, limit=limit
        )
    both = sorted([*reversed(said), *written], key=lambda line: line.at)
    return both[max(0, len(both) - limit) :]


def document(line: Line) -> dict[str, Any]:
    """Return a line as `infra logs view` shows it."""
    return {
        "at": moment(line.at),
        "level": line.level,
        "logger": line.logger,
        "job": line.job,
        "run_id": line.run_id,
        "step": line.step,
        "instance": line.instance,
        "message": line.message,
    }


def _newest_first(ledger: Ledger, run_id: RunId | None, until: datetime | None) -> Iterator[Recorded]:
    if run_id is not None:
        for recorded in reversed(ledger.read_stream(run_stream(run_id))):
            if until is None or recorded.recorded_at < until:
                yield recorded
        return
    # `until` itself is left out, as with the lines that were written.
    end = ledger.head().position if until is None else ledger.position_at(until - timedelta(microseconds=1))
    stop = max(0, end - EVENTS_READ)
    while end > stop:
        after = Position(max(stop, end - PAGE))
        yield from reversed(ledger.read_all(after, end - after))
        end = after
