"""Run worlds from seeds and say what held: `python -m tests.simulation --seed 7 --trace`."""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
import time
from collections.abc import Sequence

from tests.simulation.judge import judge
from tests.simulation.simulator import FAULTS, STEERING, History, Scenario, Simulation

SHOWN = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every world held, 1 if one did not."""
    options = _parsed(arguments)
    logging.basicConfig(level=logging.CRITICAL)
    failed = []
    for seed in options.seeds:
        scenario = Scenario(
            seed=seed, seconds=options.hours * 3600, instances=options.instances, faults=options.faults
        )
        began = time.perf_counter()
        history = Simulation(scenario, trace=_say if options.trace else None).run()
        wrong = judge(history)
        _say(_summary(history, time.perf_counter() - began, wrong))
        for problem in wrong[:SHOWN]:
            _say(f"  {problem}")
        if wrong:
            failed.append(seed)
            _say(f"  again: python -m tests.simulation --seed {seed} --hours {options.hours:g} --trace")
    if len(options.seeds) > 1:
        _say(f"{len(options.seeds) - len(failed)} of {len(options.seeds)} worlds held; failed: {failed}")
    return 1 if failed else 0


def _summary(history: History, took: float, wrong: list[str]) -> str:
    cluster = history.cluster
    events = cluster.exported()
    injected = ", ".join(f"{name} {count}" for name, count in sorted(cluster.injected.items()))
    checks = sorted({problem.split(":")[0] for problem in wrong})
    return (
        f"seed {history.scenario.seed}: {'VIOLATED ' + ' '.join(checks) if wrong else 'held'}; "
        f"{len(events)} events, {cluster.log.head.term} terms, {len(cluster.worlds)} instances "
        f"on a {cluster.kind}, {history.lasted:.0f} s in {took:.2f} s; "
        f"history {hashlib.sha256(b''.join(events)).hexdigest()[:16]}\n  injected: {injected or 'nothing'}"
    )


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--seeds", metavar="A-B", help="all seeds from A to B")
    parser.add_argument("--hours", type=float, default=Scenario(seed=0).seconds / 3600, help="of faults")
    parser.add_argument("--instances", type=int, help="how many; drawn from the seed if not given")
    parser.add_argument("--faults", default=",".join(FAULTS), help="kinds, comma separated (default: all)")
    parser.add_argument("--trace", action="store_true", help="one line per event and fault")
    options = parser.parse_args(arguments)
    options.faults = [kind for kind in options.faults.split(",") if kind]
    if unknown := set(options.faults) - {*FAULTS, *STEERING}:
        parser.error(f"unknown faults {sorted(unknown)}; there are {', '.join(FAULTS)}")
    first, _, last = (options.seeds or str(options.seed or 0)).partition("-")
    options.seeds = range(int(first), int(last or first) + 1)
    return options


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
