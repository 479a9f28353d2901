"""How long nobody leads and nothing fires after the leader is killed, stopped, or asked to end.

Three instances, a job every second; the leader gets a signal at a random moment, and the ledger's own times
tell the rest: `leader` is the time from the signal to the next `leader.elected`, `fire` to the next
`run.triggered` of the schedule, which includes waiting for the next full second if none was missed.

    PYTHONPATH=. python bench/failover.py [--rounds 20] [--fault kill|stop|term] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.chaos.cluster import Cluster, parsed, wait_until
from tests.conftest import bring_to_head
from tests.postgres import shared_server

FAULTS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM}
BARS = {"kill": 2.0, "stop": 12.0, "term": 1.0}
"""What is promised, in seconds: to the next fire, to the next fire, to the next leader."""
CONFIG = """
scheduler:
  extensions: [probes]
  jobs:
    - {name: every_second, extension: probes, job: quick, schedule: "* * * * * *"}
"""


def measure(url: str, folder: Path, fault: str, rounds: int) -> dict[str, list[float]]:
    """Take the leader away so many times; return seconds to the next leader and to the next fire."""
    cluster = Cluster(folder, url, config=CONFIG)
    taken: list[tuple[float, int]] = []
    chance = random.Random(fault)
    try:
        for number in range(3):
            cluster.start(f"up{number}")
        for _ in range(rounds):
            wait_until(lambda: _are_settled(cluster), 60, "three instances that beat")
            time.sleep(1.5 + chance.random())
            # Only now: whoever gets the lock back from the dead leads again, without need.
            leader = cluster.wait_for_leader()
            taken.append((time.time(), cluster.term()))
            leader.signal(FAULTS[fault])
            cluster.wait_for_leader(taken[-1][1])
            leader.end()
            cluster.start(leader.label)
        cluster.wait_for_leader(taken[-1][1])
        time.sleep(3.0)
        return _figures(parsed(cluster.export()), taken)
    finally:
        cluster.close()


def _are_settled(cluster: Cluster) -> bool:
    """Whether every instance has seen the leader, so that each of them stands for election."""
    from cronledger.ledger import instances  # noqa: PLC0415 - to aim with

    with cluster.store().reading() as connection:
        rows = instances.known(connection)
    pids = {each.pid for each in cluster.up()}
    return pids == {row.pid for row in rows if row.pid in pids and row.state == "ready"}


def _figures(events: list[dict[str, Any]], taken: list[tuple[float, int]]) -> dict[str, list[float]]:
    leader, fire = [], []
    for at, term in taken:
        later = [event for event in events if event["term"] is not None and event["term"] > term]
        elected = next(event for event in later if event["type"] == "leader.elected")
        triggered = next(event for event in later if event["type"] == "run.triggered")
        leader.append(_seconds(elected["recorded_at"]) - at)
        fire.append(_seconds(triggered["recorded_at"]) - at)
    return {"leader": leader, "fire": fire}


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def spread(seconds: list[float]) -> dict[str, float]:
    """Return the least, the median, the ninth decile and the most."""
    ordered = sorted(seconds)
    tenth = ordered[min(len(ordered) - 1, int(len(ordered) * 0.9))]
    figures = {"min": ordered[0], "p50": statistics.median(ordered), "p90": tenth, "max": ordered[-1]}
    return {name: round(value, 3) for name, value in figures.items()}


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, Any]]:
    """Give a maker of fresh ledgers for each database."""

    def sqlite() -> str:
        url = f"sqlite:///{tempfile.mkdtemp(dir=folder)}/ledger.db"
        bring_to_head(url)
        return url

    with shared_server(folder, bring_to_head) as server:
        yield {"sqlite": sqlite, "postgres": server.make_database}


def main() -> None:
    """Measure every fault on both databases and print the distribution."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--fault", choices=sorted(FAULTS), action="append")
    options.add_argument("--database", choices=["sqlite", "postgres"], action="append")
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, databases(Path(name)) as makers:
        for database in asked.database or makers:
            for fault in asked.fault or FAULTS:
                folder = Path(name) / f"{database}-{fault}"
                seconds = measure(makers[database](), folder, fault, asked.rounds)
                results[f"{database} {fault}"] = {"seconds": seconds} | {
                    what: spread(each) for what, each in seconds.items()
                }
                if not asked.json:
                    _print(f"{database} {fault}", results[f"{database} {fault}"], BARS[fault])
    if asked.json:
        print(json.dumps(results, indent=1))


def _print(name: str, found: dict[str, Any], bar: float) -> None:
    for what in ("leader", "fire"):
        figures = "  ".join(f"{key} {value:6.3f}" for key, value in found[what].items())
        print(f"{name:16} to the next {what:7} {figures}  (bar {bar:g} s)", flush=True)


if __name__ == "__main__":
    main()
