"""Instances of one machine: a killed one is dead at once, one whose sessions ended is not dead at all.

Each is struck right after it has beaten, so that its silence says nothing for six seconds.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from cronledger.ledger import instances
from tests.chaos.cluster import Cluster, Instance, Line, wait_until
from tests.checker import problems
from tests.conftest import lines_of

CONFIG = """
scheduler:
  drain_seconds: 6
  extensions: [probes]
  jobs:
    - {name: slow, extension: probes, schedule: "* * * * * *", overlap: allow}
    - {name: again, extension: probes, schedule: "* * * * * *", overlap: allow}
"""
LONGEST_SECONDS = 3.0
"""How long a decision may take beside other tests on a busy machine; by beats it takes nearly six."""
ENDS = {"run.lost", "attempt.lost", "run.succeeded"}
Attempt = tuple[str, int]
END_SESSIONS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name LIKE '%%' || %s || '%%'
"""


@pytest.fixture
def cluster(postgres_url: str, tmp_path: Path) -> Iterator[Cluster]:
    """Return two instances that are ready; the first that leads performs all runs."""
    found = Cluster(tmp_path / "run", postgres_url, config=CONFIG)
    try:
        for label in ("first", "second"):
            found.start(label)
        wait_until(lambda: ["ready", "ready"] == [each.state for each in rows(found)], 60, "two instances")
        yield found
    finally:
        found.close()


def rows(cluster: Cluster) -> list[instances.Instance]:
    with cluster.store().reading() as connection:
        return instances.known(connection)


def row_of(cluster: Cluster, instance: Instance) -> instances.Instance:
    return next(each for each in rows(cluster) if each.pid == instance.pid)


def having_beaten(cluster: Cluster) -> Instance:
    """Return the leader right after a beat, while it performs runs of both jobs."""
    leader = cluster.wait_for_leader()
    row = row_of(cluster, leader)

    def performs_both() -> bool:
        found = under_way(lines_of(cluster.url), row.id, time.time())
        return {"slow", "again"} == {run_id.partition("@")[0] for run_id, _ in found}

    wait_until(performs_both, 60, "runs of both jobs")
    beat_at = row_of(cluster, leader).beat_at
    wait_until(lambda: row_of(cluster, leader).beat_at > beat_at, 60, "a beat")
    goes_on = performs_both() and cluster.wait_for_leader() is leader
    return leader if goes_on else having_beaten(cluster)  # a stall may have made the other one lead


def under_way(lines: list[Line], instance: str, at: float) -> set[Attempt]:
    """Return the attempts that an instance was performing at an instant."""
    before = [each for each in lines if recorded_at(each) <= at]
    begun = {
        _attempt(each) for each in before if each["type"] == "run.started" and each["instance"] == instance
    }
    return begun - {_attempt(each) for each in before if each["type"] in ENDS}


def ends(lines: list[Line], attempts: set[Attempt]) -> list[Line]:
    """Return how attempts ended."""
    return [each for each in lines if each["type"] in ENDS and _attempt(each) in attempts]


def recorded_at(line: Line) -> float:
    return datetime.fromisoformat(str(line["recorded_at"])).timestamp()


def _attempt(line: Line) -> Attempt:
    return str(line["run_id"]), int(line["attempt"])


def test_the_runs_of_a_killed_instance_are_decided_before_it_is_silent(cluster: Cluster) -> None:
    """They waited for an overdue beat, six seconds and more after the next leader was elected."""
    leader = having_beaten(cluster)
    killed, term, killed_at = row_of(cluster, leader).id, cluster.term(), time.time()
    leader.signal(signal.SIGKILL)
    cluster.wait_for_leader(term)
    orphans = under_way(lines_of(cluster.url), killed, killed_at)
    wait_until(lambda: len(orphans) == len(ends(lines_of(cluster.url), orphans)), 30, "the end of its runs")
    lines = lines_of(cluster.url)
    ended = ends(lines, orphans)
    elected = next(each for each in lines if each["type"] == "leader.elected" and each["term"] > term)

    assert {("slow", "run.lost"), ("again", "attempt.lost")} <= {
        (each["job"], each["type"]) for each in ended
    }
    assert max(recorded_at(each) for each in ended) - recorded_at(elected) < LONGEST_SECONDS
    assert [] == problems(lines, all_ended=False)


def test_an_instance_whose_sessions_were_ended_loses_no_run(cluster: Cluster) -> None:
    """Its process is there, and it beats: only its locks are gone for a moment, and another one may lead."""
    leader = having_beaten(cluster)
    struck, term, struck_at = row_of(cluster, leader).id, cluster.term(), time.time()
    with psycopg.connect(cluster.url, autocommit=True) as admin:
        (cut,) = admin.execute(END_SESSIONS, (struck,)).fetchone() or (0,)
    cluster.wait_for_leader(term)
    performed = under_way(lines_of(cluster.url), struck, struck_at)
    wait_until(
        lambda: len(performed) == len(ends(lines_of(cluster.url), performed)), 30, "the end of its runs"
    )
    lines = lines_of(cluster.url)

    assert 3 <= cut
    assert {"run.succeeded"} == {each["type"] for each in ends(lines, performed)}
    assert [] == [each["run_id"] for each in lines if each["type"] in ("run.lost", "attempt.lost")]
    assert [] == problems(lines, all_ended=False)
