"""The figures of a match as two tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bench.figures import Figure, Spread, short
from bench.peers.match import SPEED_ROW

NOTHING = "-"
SPEED = (
    "peer",
    "jobs/s",
    "ours, runs/s",
    "ours / peer",
    "wanted",
    "peer / raw driver",
    "CPU us a job",
    "ours",
)
LATENESS = (
    "peer",
    "due at once",
    "started",
    "p50 ms",
    "p99 ms",
    "max ms",
    "ours: started",
    "p50 ms",
    "p99 ms",
)


def page(figures: Iterable[Figure]) -> str:
    """Return both tables, each if there is a line for it."""
    told = list(figures)
    speeds = [_speed(figure) for figure in told if figure.row == SPEED_ROW]
    late = [_late(figure) for figure in told if figure.row != SPEED_ROW]
    tables = [table(header, rows) for header, rows in ((SPEED, speeds), (LATENESS, late)) if rows]
    return "\n\n".join(tables)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Set columns under each other; a row that is shorter ends with a remark.

    >>> print(table(("peer", "rate"), [("a", "10"), ("bee", "silent")]))
    peer  rate
    a     10
    bee   silent
    """
    full = [row for row in (header, *rows) if len(row) == len(header)]
    widths = [max(len(row[column]) for row in full) for column in range(len(header))]
    widths[0] = max(len(row[0]) for row in (header, *rows))
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in (header, *rows)
    )


def _speed(figure: Figure) -> tuple[str, ...]:
    details = figure.details
    if figure.floor is None:
        return (details["peer"], NOTHING, _spread(figure.ours), details["silence"])
    return (
        details["peer"],
        _spread(figure.floor),
        _spread(figure.ours),
        _spread(figure.ratio),
        NOTHING if figure.bar is None else f"{figure.bar.limit:g}{'' if figure.keeps else ', missed'}",
        _spread(details["peer_of_raw_driver"]),
        _spread(details["peer_cpu_us"]),
        _spread(details["ours_cpu_us"]),
    )


def _late(figure: Figure) -> tuple[str, ...]:
    details, ours = figure.details, figure.details["ours"]
    mine = (_started(ours), _milliseconds(ours, "p50_ms"), _milliseconds(ours, "p99_ms"))
    theirs = details.get("theirs")
    if theirs is None:
        return (details["peer"], str(figure.n), details["silence"])
    late = tuple(_milliseconds(theirs, name) for name in ("p50_ms", "p99_ms", "p100_ms"))
    return (details["peer"], str(figure.n), _started(theirs), *late, *mine)


def _spread(spread: Spread | None) -> str:
    """Write takes; one alone without its bounds."""
    assert spread is not None
    return short(spread.median) if spread.min == spread.max else str(spread)


def _started(side: dict[str, Any]) -> str:
    twice = f", {side['doubled']} twice" if side["doubled"] else ""
    return f"{side['started']}/{side['due']}{twice}"


def _milliseconds(side: dict[str, Any], name: str) -> str:
    return NOTHING if side[name] is None else short(side[name])
