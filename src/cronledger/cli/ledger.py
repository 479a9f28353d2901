"""The ledger itself: export, follow, show, verify, count."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer

from cronledger.cli import following
from cronledger.cli.context import Application, application
from cronledger.cli.options import Output
from cronledger.cli.render import emit, escaped, print_line
from cronledger.cli.times import position_or_moment
from cronledger.domain.events import Recorded
from cronledger.domain.ids import Position
from cronledger.errors import LedgerDamaged, NotFound, UsageError
from cronledger.ledger.api import Ledger, Stored
from cronledger.ledger.codec import exported
from cronledger.ledger.export import export as exported_lines
from cronledger.ledger.verify import stray_bodies
from cronledger.ledger.verify import verify as verified
from cronledger.projections.event_lines import line_of
from cronledger.projections.moments import moment

app = typer.Typer(help="Read, export and verify the ledger.", no_args_is_help=True)

PAGE = 1000
COLUMNS = ("position", "recorded_at", "type", "stream", "instance", "says")

At = Annotated[str, typer.Argument(metavar="POSITION", help="A position in the ledger.")]


@app.command()
def export(
    ctx: typer.Context,
    *,
    after: Annotated[
        str | None, typer.Option(metavar="POSITION", help="Only events after this position, or time.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="POSITION", help="Only events up to and with this position, or time."),
    ] = None,
    stream: Annotated[str | None, typer.Option(metavar="STREAM", help="Only events of this stream.")] = None,
) -> None:
    """Write every event as a line of JSON, in order; a prefix of it never changes."""
    opened = application(ctx)
    ledger = opened.existing().ledger
    first = _position(opened, after) if after is not None else Position(0)
    last = _position(opened, until) if until is not None else ledger.head().position
    for line in exported_lines(ledger, first, last, stream):
        _put(line)


@app.command()
def tail(
    ctx: typer.Context,
    *,
    limit: Annotated[
        int, typer.Option("-n", "--limit", min=1, max=100_000, help="How many of the newest.")
    ] = 10,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is appended, until Ctrl-C.")
    ] = False,
) -> None:
    """Show the newest events, the newest last."""
    opened = application(ctx)
    store = opened.existing()
    head = store.ledger.head().position
    start = Position(max(0, head - limit))
    newest = store.ledger.read_stored(start, head - start)
    if not follow:
        events = [_event(stored) for stored in newest]
        rows = [_row(recorded) for recorded in store.ledger.read_all(start, head - start)]
        emit(ctx, {"events": events}, columns=COLUMNS, rows=rows, text=None if rows else "No events.")
        return
    following.follow(ctx, store, _Follower(store.ledger, start, opened.output).look)


@app.command()
def show(ctx: typer.Context, position: At) -> None:
    """Show one event, every field of it."""
    opened = application(ctx)
    ledger = opened.existing().ledger
    if not position.removeprefix("position:").isdecimal():
        raise UsageError(f"{position!r} is not a position", hint="use a number from 1 on")
    wanted = _position(opened, position)
    found = ledger.read_stored(Position(wanted - 1), 1) if wanted > 0 else []
    if not found or found[0].position != wanted:
        raise NotFound(f"there is no event at position {wanted}", hint="positions are counted from 1")
    emit(ctx, _event(found[0]))


@app.command()
def verify(ctx: typer.Context) -> None:
    """Check every event: positions, versions, times and commitments; exit code 7 if something is wrong."""
    store = application(ctx).existing()
    report = verified(store.ledger, stray=stray_bodies(store.reading))
    document = msgspec.to_builtins(report)
    problems = document["problems"]
    good = f"ok: {report.events} events, none missing, every body is the one that was committed to"
    text = None if problems else good
    emit(ctx, document, columns=("position", "problem"), rows=problems or None, text=text)
    if not report.ok:
        raise typer.Exit(LedgerDamaged.exit_code)


@app.command()
def stats(ctx: typer.Context) -> None:
    """Count what the ledger holds."""
    ledger = application(ctx).existing().ledger
    head = ledger.head()
    kinds: Counter[str] = Counter()
    streams: set[str] = set()
    first_at: datetime | None = None
    for recorded in _all(ledger, head.position):
        first_at = first_at or recorded.recorded_at
        kinds[recorded.type] += 1
        streams.add(recorded.stream)
    document = {
        "events": kinds.total(),
        "streams": len(streams),
        "jobs": sum(stream.startswith("job-") for stream in streams),
        "runs": sum(stream.startswith("run-") for stream in streams),
        "first_recorded_at": moment(first_at),
        "last_recorded_at": moment(head.recorded_at) if kinds else None,
        "term": head.term,
        "epoch": head.epoch,
        "lineage": head.lineage,
        "types": dict(sorted(kinds.items())),
    }
    emit(ctx, document)


# --- private --------------------------------------------------------------------------------------------


def _position(opened: Application, text: str) -> Position:
    return opened.position(position_or_moment(text, opened.now()))


def _all(ledger: Ledger, until: Position) -> Iterator[Recorded]:
    position = Position(0)
    while position < until and (page := ledger.read_all(position, min(PAGE, until - position))):
        yield from page
        position = page[-1].position


class _Follower:
    """Prints every event after a position once, one a line, however often it is interrupted."""

    def __init__(self, ledger: Ledger, after: Position, output: Output) -> None:
        self._ledger = ledger
        self._after = after
        self._output = output

    def look(self) -> None:
        """Print what was appended since."""
        while page := self._ledger.read_all(self._after, PAGE):
            if self._output is Output.TABLE:
                for recorded in page:
                    print_line("  ".join(str(value) for value in _row(recorded).values()))
            else:
                for stored in self._ledger.read_stored(self._after, len(page)):
                    _put(exported(stored) + b"\n")
            self._after = page[-1].position


def _event(stored: Stored) -> dict[str, Any]:
    event: dict[str, Any] = msgspec.json.decode(exported(stored))
    return event


def _row(recorded: Recorded) -> dict[str, object]:
    line = line_of(recorded)
    return {
        "position": recorded.position,
        "recorded_at": moment(recorded.recorded_at),
        "type": recorded.type,
        "stream": recorded.stream,
        "instance": recorded.instance,
        "says": line.message,
    }


def _put(line: bytes) -> None:
    """Write bytes as they are, but to a terminal; a prefix of an export is the same on every machine."""
    if sys.stdout.isatty():
        sys.stdout.write(escaped(line.decode()))
        return
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(line.decode())
    else:
        buffer.write(line)
