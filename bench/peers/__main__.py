"""Measure the peers beside us.

    PYTHONPATH=src:. python -m bench.peers [--quick] [--peer NAME]... [--due N]... [--venvs DIR] [--json]
    PYTHONPATH=src:. python -m bench.peers --prepare

Environments that are not there are made first, from the pinned versions; `--prepare` does only that. With
`--quick` all takes two minutes, without it twenty, most of them for peers that have too many jobs due.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import msgspec

from bench.figures import Scale
from bench.peers import figures
from bench.peers.environments import DEFAULT_FOLDER, prepare
from bench.peers.roster import chosen
from bench.peers.tables import page
from bench.places import places


def main() -> int:
    """Do what the command line asks for; return 1 if an environment could not be made."""
    options = argparse.ArgumentParser(
        prog="python -m bench.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument(
        "--quick", action="store_true", help="one round, and 100 jobs due each second for 3 s"
    )
    options.add_argument(
        "--peer", action="append", default=[], metavar="NAME", help="only this one (repeatable)"
    )
    options.add_argument(
        "--due", action="append", type=int, metavar="N", help="jobs due each second (repeatable)"
    )
    options.add_argument("--venvs", type=Path, default=DEFAULT_FOLDER, help="where the environments are kept")
    options.add_argument("--prepare", action="store_true", help="only make the environments")
    options.add_argument("--json", action="store_true", help="print the figures as JSON")
    asked = options.parse_args()
    try:
        peers = chosen(asked.peer)
    except LookupError as error:
        options.error(str(error))
    failed = prepare(peers, asked.venvs)
    if asked.prepare:
        return failed
    scale = Scale.QUICK if asked.quick else Scale.FULL
    due = asked.due or scale.of((), (100,), (100, 1000, 5000))
    with places(tuple(sorted({peer.rival for peer in peers}, reverse=True))) as there:
        found = list(figures(there, scale, peers=peers, venvs=asked.venvs, make=False, due_at_once=due))
    print(json.dumps(msgspec.to_builtins(found), indent=2) if asked.json else page(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
