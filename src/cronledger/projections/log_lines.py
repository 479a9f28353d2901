"""The ledger read as a log, together with the lines that jobs and the engine wrote.

What happened to a run is in its events; a log line for it would say it twice. So the log is put together when
it is asked for.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any

import msgspec

from cronledger.domain.events import Recorded
from cronledger.domain.ids import Position, run_stream
from cronledger.domain.line import LEVELS, Line
from cronledger.ledger import logs
from cronledger.ledger.api import Ledger
from cronledger.ledger.database import Store
from cronledger.ledger.logs import Numbered, Wanted
from cronledger.projections.event_lines import line_of
from cronledger.projections.moments import moment

PAGE = 500
EVENTS_READ = 200_000
"""How far back one question for the newest lines looks; an older line is found with `until`."""
LOOKS_BACK = 20
"""For so many looks a line is waited for whose number is lower than others': it was committed later."""
_JUST_BEFORE = timedelta(microseconds=1)


class Seen(msgspec.Struct, frozen=True):
    """How far the log was there at some moment: what comes later is new."""

    position: Position
    number: int


def view(store: Store, wanted: Wanted, *, limit: int = 20, seen: Seen | None = None) -> list[Line]:
    """Return the newest `limit` lines that are wanted, the newest last; `seen`: none that came later."""
    fits = wanted.fitting()
    written = (each.line for each in _written(store, wanted, seen=seen, newest_first=True))
    said = map(line_of, _events_newest_first(store.ledger, wanted, seen))
    newest = merge(written, said, key=_at, reverse=True)
    return list(islice(filter(fits, newest), limit))[::-1]


def oldest_first(store: Store, wanted: Wanted) -> Iterator[Line]:
    """Yield every line that is wanted, the oldest first."""
    fits = wanted.fitting()
    written = (each.line for each in _written(store, wanted))
    said = map(line_of, _events_oldest_first(store.ledger, wanted))
    return filter(fits, merge(said, written, key=_at))


def summary(store: Store, wanted: Wanted) -> dict[str, Any]:
    """Count the lines that are wanted, by level and by job; lines about no job stand last, under null."""
    counts: dict[str | None, Counter[str]] = {}
    for line in oldest_first(store, wanted):
        counts.setdefault(line.job, Counter())[line.level] += 1
    jobs = sorted(counts.items(), key=lambda item: (item[0] is None, item[0]))
    return {
        "since": moment(wanted.since),
        "until": moment(wanted.until),
        "levels": _by_level(sum((each for _, each in jobs), Counter())),
        "jobs": [{"job": job, **_by_level(each)} for job, each in jobs],
    }


class Follower:
    """Reads on: each look returns the lines that have come since the one before, by their time.

    A look that fails has seen nothing: the next one returns what it would have.
    """

    def __init__(self, store: Store, wanted: Wanted) -> None:
        self._store = store
        self._wanted = wanted
        self._fits = wanted.fitting()
        with store.reading() as connection:
            number = logs.last_number(connection)
        self.begun = Seen(store.ledger.head().position, number)
        self._position = self.begun.position
        self._highest = number
        self._floors: deque[int] = deque([number], maxlen=LOOKS_BACK)
        self._shown: set[int] = set()

    def look(self) -> list[Line]:
        """Return what is new. Raises LedgerUnreachable."""
        said: list[Line] = []
        position = self._position
        while page := self._store.ledger.read_all(position, PAGE):
            said += map(line_of, page)
            position = page[-1].position
        written = self._lines()
        self._position = position
        return [line for line in merge(said, written, key=_at) if self._fits(line)]

    def _lines(self) -> list[Line]:
        """Return new lines; their numbers are given before their commits, so some are found a look later."""
        floor = self._floors[0]
        with self._store.reading() as connection:
            found = logs.numbered_after(connection, self._wanted, floor)
        new = [each for each in found if each.number not in self._shown]
        self._highest = max([self._highest, *(each.number for each in new)])
        self._floors.append(self._highest)
        self._shown = {each.number for each in found if each.number > self._floors[0]}
        return sorted((each.line for each in new), key=_at)


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


def _at(line: Line) -> datetime:
    return line.at


def _by_level(counts: Counter[str]) -> dict[str, int]:
    return {level.lower(): counts[level] for level in reversed(LEVELS)}


def _written(
    store: Store, wanted: Wanted, *, seen: Seen | None = None, newest_first: bool = False
) -> Iterator[Numbered]:
    """Yield the lines of the table, page by page: each page is a moment of its own."""
    last: Numbered | None = None
    while True:
        with store.reading() as connection:
            page = logs.page(connection, wanted, limit=PAGE, newest_first=newest_first, beyond=last)
        yield from (each for each in page if seen is None or each.number <= seen.number)
        if len(page) < PAGE:
            return
        last = page[-1]


def _events_newest_first(ledger: Ledger, wanted: Wanted, seen: Seen | None) -> Iterator[Recorded]:
    since, until = wanted.since, wanted.until
    if wanted.run_id is not None:
        stream = reversed(ledger.read_stream(run_stream(wanted.run_id)))
        yield from (each for each in stream if seen is None or each.position <= seen.position)
        return
    # `until` itself is left out, as with the lines that were written.
    end = ledger.head().position if until is None else ledger.position_at(until - _JUST_BEFORE)
    end = end if seen is None else min(end, seen.position)
    stop = max(0, end - EVENTS_READ)
    while end > stop:
        after = Position(max(stop, end - PAGE))
        for recorded in reversed(ledger.read_all(after, end - after)):
            if since is not None and recorded.recorded_at < since:
                return
            yield recorded
        end = after


def _events_oldest_first(ledger: Ledger, wanted: Wanted) -> Iterator[Recorded]:
    since, until = wanted.since, wanted.until
    if wanted.run_id is not None:
        yield from ledger.read_stream(run_stream(wanted.run_id))
        return
    position = Position(0) if since is None else ledger.position_at(since - _JUST_BEFORE)
    end = ledger.head().position if until is None else ledger.position_at(until - _JUST_BEFORE)
    while position < end and (page := ledger.read_all(position, min(PAGE, end - position))):
        yield from page
        position = page[-1].position
