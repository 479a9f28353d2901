"""Runs that somebody waits for at a terminal: a list of them and their steps that is drawn anew.

It stands on standard error below the cursor and is wiped away before the answer; whatever is logged meanwhile
moves it down.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TextIO

import typer

from cronledger.cli.options import Output
from cronledger.cli.render import clean, cut, has_colour, painted
from cronledger.domain.ids import RunId
from cronledger.domain.run import RunState
from cronledger.ledger.database import Store
from cronledger.projections import progress, run_history, step_history
from cronledger.projections.replay import current

WIPE = "\x1b[J"
"""Erases from the cursor to the end of the screen."""


@contextmanager
def live(ctx: typer.Context) -> Iterator[Callable[[Store, Sequence[RunId]], None] | None]:
    """Give what draws runs; None where nobody looks: in a pipe, or where a program reads the answer."""
    if ctx.obj.output is not Output.TABLE or not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield None
        return
    stream = sys.stderr
    try:
        yield lambda store, run_ids: draw(stream, store, run_ids)
    finally:
        stream.write(WIPE)
        stream.flush()


def draw(stream: TextIO, store: Store, run_ids: Sequence[RunId]) -> None:
    """Draw runs over what was drawn before, as many as the screen takes; the cursor stays where it is."""
    size = shutil.get_terminal_size()
    room = max(2, size.lines - 3)
    lines = told(store, run_ids[: room + 1])  # of thousands only those that can be seen are read
    if len(lines) > room:
        lines = [*lines[: room - 1], "…"]
    paint = has_colour(stream)
    shown = [painted(cut(clean(line), size.columns - 1), on=paint) for line in lines]
    # The first line stays empty: a line that is logged meanwhile begins there.
    stream.write(WIPE + "".join(f"\n{line}" for line in shown) + f"\x1b[{len(shown)}A\r")
    stream.flush()


def told(store: Store, run_ids: Sequence[RunId]) -> list[str]:
    """Say how runs and their steps stand, the run before its steps."""
    now = store.ledger.head().clock
    lines: list[str] = []
    with current(store) as views, views.reading() as connection:
        for run_id in run_ids:
            run = run_history.one(connection, run_id)
            if run is None:
                continue
            far = progress.of_run(connection, run)
            lines.append(_line("", run.outcome or run.phase, run.run_id, _time(run, now), _far(far)))
            lines += [
                _line("  ", step.outcome, step.name, _seconds(step.started_at, step.ended_at, now))
                for step in step_history.of_run(connection, run_id)
                if step.attempt == run.attempt
            ]
    return lines


def _line(indent: str, state: str, *words: str) -> str:
    return f"{indent}{state:<10} {'  '.join(word for word in words if word)}"


def _time(run: RunState, now: datetime) -> str:
    return _seconds(run.started_at, run.ended_at, now)


def _far(document: dict[str, object] | None) -> str:
    if document is None:
        return ""
    percent = "" if document["percent"] is None else f"{document['percent']}%"
    return "  ".join(str(part) for part in (percent, document["message"]) if part)


def _seconds(started_at: datetime | None, ended_at: datetime | None, now: datetime) -> str:
    if started_at is None:
        return ""
    return f"{max(0.0, ((ended_at or now) - started_at).total_seconds()):.0f} s"
