"""`python -m tests.chaos --seconds 600 --seed 7 [--database sqlite|postgres|both] [--instances 3]`.

Exit code 1 if anything does not hold. The export, the effects and every instance's log are kept.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos import shim
from tests.chaos.conduct import Outcome, Wanted, conduct
from tests.chaos.server import own_server
from tests.conftest import bring_to_head


def main() -> int:
    """Run on each database that was asked for; return the exit code."""
    options = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    options.add_argument("--seconds", type=float, default=600.0, help="how long faults are injected")
    options.add_argument("--seed", type=int, default=1, help="what the faults are drawn from")
    options.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    options.add_argument("--instances", type=int, default=3)
    options.add_argument("--slack", type=float, default=3.0, help="seconds of lateness that need no fault")
    options.add_argument("--fault", action="append", default=[], help="only this one; repeatable")
    options.add_argument("--folder", type=Path, help="where everything is kept; default: a new one")
    asked = options.parse_args()
    root = asked.folder or Path(tempfile.mkdtemp(prefix="cronledger-chaos-"))
    root.mkdir(parents=True, exist_ok=True)
    built = shim.built(root)
    if built is None:
        print("no C compiler: the wall clocks are left alone")
    wanted = Wanted(
        seconds=asked.seconds, seed=asked.seed, instances=asked.instances, slack=asked.slack,
        faults=asked.fault, shim=built,
    )  # fmt: skip
    databases = ("sqlite", "postgres") if asked.database == "both" else (asked.database,)
    return max([_on(database, root / database, wanted) for database in databases])


def _on(database: str, folder: Path, wanted: Wanted) -> int:
    print(
        f"== {database}, seed {wanted.seed}, {wanted.seconds:g} s, {wanted.instances} instances", flush=True
    )
    folder.mkdir(parents=True, exist_ok=True)
    if database == "sqlite":
        url = f"sqlite:///{folder / 'ledger.db'}"
        bring_to_head(url)
        return _told(conduct(folder, url, wanted, say=_say))
    with own_server() as server:
        return _told(conduct(folder, server.make_database(), wanted, server=server, say=_say))


def _told(outcome: Outcome) -> int:
    """Print what held and what did not."""
    print("-- figures")
    for name, value in outcome.figures.items():
        print(f"   {name:26} {value}")
    print(f"   {'faults injected':26} {len(outcome.injected)}")
    for name, found in outcome.problems.items():
        print(f"   {name:26} {'held' if not found else f'VIOLATED {len(found)} times'}")
        for each in found[:10]:
            print(f"      {each}")
    print(f"-- everything is kept in {outcome.folder}", flush=True)
    return 1 if outcome.violations else 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
