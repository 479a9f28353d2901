"""Measure, and print the table.

    python -m bench [--quick | --smoke] [--only NAME ...] [--database sqlite|postgres] [--peers] [--json FILE]

`--quick` ends within five minutes, and leaves the peers out unless they are asked for; without it the whole
takes about an hour and a half. `--smoke` only shows that everything runs. The exit code says nothing about
bars: figures of a busy machine prove nothing.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.figures import Figure, Scale
from bench.peers.environments import DEFAULT_FOLDER, prepare
from bench.peers.roster import PEERS
from bench.places import Places, places
from cronledger._version import __version__

MEASURES = (
    "throughput", "append", "lateness", "registration", "idle", "failover", "history", "cron", "soak",
    "publish", "peers",
)  # fmt: skip
DATABASES = ("sqlite", "postgres")
HEADER = ("row", "measure", "n", "ours", "floor", "ratio", "bar", "")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run: where and when it was measured, and what."""

    machine: dict[str, Any]
    scale: Scale
    seconds: float
    figures: list[Figure]


def measured(places: Places, scale: Scale, names: list[str]) -> Iterator[Figure]:
    """Yield every figure as soon as it is known."""
    for name in names:
        print(f"… {name}", file=sys.stderr, flush=True)
        yield from importlib.import_module(f"bench.{name}").figures(places, scale)


def machine() -> dict[str, Any]:
    """Say what it was measured on."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _cpu_info() if line.startswith("model name")),
        platform.machine(),
    )
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cronledger": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": platform.platform(),
        "processor": cpu,
        "cores": _cores(),
    }


def table(figures: list[Figure]) -> str:
    """Lay the figures out, row by row.

    >>> print(table([]))
    | row | measure | n | ours | floor | ratio | bar |  |
    |---|---|---|---|---|---|---|---|
    """
    lines = [_line(HEADER), _line(["---"] * len(HEADER)).replace(" ", "")]
    for each in sorted(figures, key=lambda figure: figure.row):
        kept = {None: "", True: "yes", False: "**no**"}[each.keeps]
        n = "" if each.n is None else f"{each.n:,}"
        ours = f"{each.ours} {each.unit}"
        cells = (each.row, each.measure, n, ours, each.floor or "", each.ratio or "", each.bar or "", kept)
        lines.append(_line(cells))
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, print."""
    options = argparse.ArgumentParser("python -m bench", description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--quick", action="store_true", help="within five minutes")
    options.add_argument("--smoke", action="store_true", help="only show that everything runs")
    options.add_argument("--only", nargs="+", choices=MEASURES, metavar="NAME", help=", ".join(MEASURES))
    options.add_argument("--database", choices=DATABASES, help="only this one")
    options.add_argument(
        "--peers", action="store_true", help="with the peers, in environments that are made first"
    )
    options.add_argument("--json", type=Path, metavar="FILE", help="write everything there too")
    chosen = options.parse_args()
    scale = Scale.SMOKE if chosen.smoke else Scale.QUICK if chosen.quick else Scale.FULL
    names = chosen.only or [name for name in MEASURES if name != "peers" or chosen.peers or not chosen.quick]
    if chosen.peers:
        prepare(PEERS, DEFAULT_FOLDER)
    began = time.monotonic()
    figures: list[Figure] = []
    with places((chosen.database,) if chosen.database else DATABASES) as ledgers:
        about = machine() | ledgers.versions()
        try:
            figures.extend(measured(ledgers, scale, names))
        finally:  # what was measured in an hour is not lost with what fails or is interrupted after it
            report = Report(machine=about, scale=scale, seconds=time.monotonic() - began, figures=figures)
            print(table(figures))
            print()
            print("; ".join(f"{name}: {value}" for name, value in about.items()))
            if chosen.json:
                chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


def _line(cells: Any) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    main()
