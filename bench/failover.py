"""How long nobody leads and nothing fires after the leader is killed, stopped, or asked to end.

Three instances and two jobs that fire every second, of which one takes two seconds; the leader gets a signal
at a random moment, and the ledger tells the rest. `leader` is the time from the signal to the next
`leader.elected`, `fire` to the next `run.triggered` of the schedule, which includes waiting for the next full
second if none was missed. `orphans` is the time from the election until the runs that the killed leader was
performing were decided, the last of them. Fire times that were not triggered, or twice, are counted over the
whole of a measure.

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
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from bench.figures import Bar, Figure, Scale, Spread, percentile
from bench.places import Places
from cronledger.projections import fold, run_history
from tests.chaos.cluster import Cluster, parsed, wait_until
from tests.conftest import bring_to_head
from tests.postgres import shared_server

FAULTS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM}
BARS = {"kill": 2.0, "stop": 12.0, "term": 1.0}
"""What is promised, in seconds: to the next fire, to the next fire, to the next leader."""
ENDS = {f"run.{outcome}" for outcome in ("succeeded", "partial", "failed", "timed_out", "cancelled", "lost")}
CONFIG = """
scheduler:
  extensions: [probes]
  jobs:
    - {name: every_second, extension: probes, job: quick, schedule: "* * * * * *", overlap: allow,
       catch_up: all, catch_up_limit: 1000}
    - {name: two_seconds, extension: probes, job: slow, schedule: "* * * * * *", overlap: allow,
       catch_up: all, catch_up_limit: 1000}
"""
Seconds = dict[str, list[float]]


class Taken(NamedTuple):
    """A leader that was taken away: when, in which term, and its process."""

    at: float
    term: int
    pid: int


def figures(places: Places, scale: Scale) -> Iterator[Figure]:
    """Yield the lines of row 11: `kill -9` of the leader."""
    rounds = scale.of(1, 2, 20)
    with ThreadPoolExecutor(len(places.databases)) as pool:
        # Beside each other, unless it counts: an instance is killed too rarely to be in the other's way.
        measured = pool.map(lambda database: _killed(places, database, rounds), places.databases)
        for database, found in zip(places.databases, measured, strict=True):
            yield from _rows(database, found, rounds)


def _killed(places: Places, database: str, rounds: int) -> Seconds:
    with places.ledger(database) as url:
        return measure(url, places.subfolder(), "kill", rounds)


def _rows(database: str, found: Seconds, rounds: int) -> Iterator[Figure]:
    lines = (
        ("leader", "kill -9 to the next leader, p99", "ms", 1000, Bar(300.0)),
        ("fire", "kill -9 to the next fire, p99", "s", 1, Bar(2.0)),
        ("orphans", "election to the last orphan decided", "s", 1, Bar(1.0)),
        ("missed", "fire times missed", "", 1, Bar(0.0)),
        ("doubled", "fire times doubled", "", 1, Bar(0.0)),
    )
    for key, told, unit, factor, bar in lines:
        takes = [each * factor for each in found[key]] or [0.0]
        ours, details = Spread.of([percentile(takes, 99)]), {"takes": [round(each, 3) for each in takes]}
        yield Figure(
            row=11, measure=f"{database}: {told}", unit=unit, ours=ours, bar=bar, n=rounds, details=details
        )


def measure(url: str, folder: Path, fault: str, rounds: int) -> Seconds:
    """Take the leader away so many times; return the seconds each time, and what was missed and doubled."""
    cluster = Cluster(folder, url, config=CONFIG)
    taken: list[Taken] = []
    chance = random.Random(fault)
    try:
        for number in range(3):
            cluster.start(f"up{number}")
        for _ in range(rounds):
            wait_until(lambda: _are_settled(cluster), 60, "three instances that beat")
            time.sleep(1.5 + chance.random())
            # Only now: whoever gets the lock back from the dead leads again, without need.
            leader = cluster.wait_for_leader()
            taken.append(Taken(time.time(), cluster.term(), leader.pid))
            leader.signal(FAULTS[fault])
            cluster.wait_for_leader(taken[-1].term)
            leader.end()
            cluster.start(leader.label)
        cluster.wait_for_leader(taken[-1].term)
        if fault == "kill":
            wait_until(lambda: _are_decided(cluster, taken), 30, "the end of the runs of the killed")
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


def _are_decided(cluster: Cluster, taken: list[Taken]) -> bool:
    """Whether no run is left that a killed instance was performing."""
    fold.catch_up(cluster.store())
    with cluster.store().reading() as connection:
        runs = run_history.unfinished(connection)
    killed = {each.pid for each in taken}
    return not any(each.instance and _pid(each.instance) in killed for each in runs)


def _figures(events: list[dict[str, Any]], taken: list[Taken]) -> Seconds:
    found: Seconds = {"leader": [], "fire": [], "orphans": []}
    ends = {each["run_id"]: each for each in events if each["type"] in ENDS}
    for at, term, pid in taken:
        later = [event for event in events if event["term"] is not None and event["term"] > term]
        elected = next(event for event in later if event["type"] == "leader.elected")
        triggered = next(event for event in later if event["type"] == "run.triggered")
        begun = [each for each in events if each["type"] == "run.started" and _pid(each["instance"]) == pid]
        decided = [ends[each["run_id"]] for each in begun if each["run_id"] in ends]
        lost = [each for each in decided if each["type"] == "run.lost"]
        found["leader"].append(_seconds(elected["recorded_at"]) - at)
        found["fire"].append(_seconds(triggered["recorded_at"]) - at)
        found["orphans"] += [
            _seconds(each["recorded_at"]) - _seconds(elected["recorded_at"]) for each in lost[-1:]
        ]
    return found | _accounted(events)


def _accounted(events: list[dict[str, Any]]) -> Seconds:
    """Count the seconds between the first and the last fire time of each job that were missed or doubled."""
    missed = doubled = 0
    scheduled = [each for each in events if each["type"] == "run.triggered" and each["cause"] == "schedule"]
    for job in {each["job"] for each in scheduled}:
        fired = Counter(round(_seconds(each["fire_at"])) for each in scheduled if each["job"] == job)
        missed += max(fired) - min(fired) + 1 - len(fired)
        doubled += sum(fired.values()) - len(fired)
    return {"missed": [float(missed)], "doubled": [float(doubled)]}


def _pid(instance: str) -> int:
    return int(instance.split(".")[-2])


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
                    what: spread(each) for what, each in seconds.items() if each
                }
                if not asked.json:
                    _print(f"{database} {fault}", results[f"{database} {fault}"], BARS[fault])
    if asked.json:
        print(json.dumps(results, indent=1))


def _print(name: str, found: dict[str, Any], bar: float) -> None:
    for what in ("leader", "fire", "orphans"):
        if what in found:
            told = "  ".join(f"{key} {value:6.3f}" for key, value in found[what].items())
            print(f"{name:16} to the next {what:7} {told}  (bar {bar:g} s)", flush=True)
    seconds = found["seconds"]
    print(f"{name:16} missed {seconds['missed'][0]:g}, doubled {seconds['doubled'][0]:g}", flush=True)


if __name__ == "__main__":
    main()
