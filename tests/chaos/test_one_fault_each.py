"""Each fault of the matrix that needs real processes and minutes, by itself; for the night."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from tests.chaos import shim
from tests.chaos.cluster import CONFIG, Cluster
from tests.chaos.conduct import Outcome, Wanted, conduct
from tests.chaos.nemesis import Nemesis
from tests.chaos.server import own_server
from tests.postgres import OwnServer

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]
SLACK_SECONDS = 6.0
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    """Return a server that may be stopped."""
    with own_server() as server:
        yield server


@pytest.fixture
def own_url(server: OwnServer) -> Iterator[str]:
    """Return a fresh ledger on the server that may be stopped."""
    url = server.make_database()
    yield url
    server.drop_database(url)


def kinds(outcome: Outcome) -> Counter[str]:
    return Counter(line["type"] for line in outcome.lines)


def changes_of_leader(outcome: Outcome) -> int:
    """Count the elections between the first one and the end, when each resigns to the next."""
    reigns = [line["type"] for line in outcome.lines if line["type"].startswith("leader.")]
    return reigns[: reigns.index("leader.resigned")].count("leader.elected") - 1


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        pytest.param("stall", 75, id="7: a process stalls for longer than its lease, and resumes"),
        pytest.param("stop_all", 45, id="9: all are stopped and resumed together"),
        pytest.param("roll", 45, id="57: a rolling update"),
        pytest.param("double", 45, id="58: a second process of the same name"),
    ],
)
def test_processes(fault: str, seconds: float, sql_url: str, tmp_path: Path) -> None:
    wanted = Wanted(seconds=seconds, faults=[fault], pause=(8.0, 14.0), slack=SLACK_SECONDS, proxies=False)
    outcome = conduct(tmp_path / "run", sql_url, wanted)

    assert [] == outcome.violations


@pytest.mark.parametrize(
    ("faults", "seconds"),
    [
        pytest.param(["end_sessions"], 30, id="12: all sessions are ended"),
        pytest.param(["restart"], 40, id="13: a fast restart"),
        pytest.param(["crash"], 50, id="14: the server crashes"),
        pytest.param(["cut", "mute", "refuse"], 60, id="16, 17: connections break, before and after commit"),
        pytest.param(["hold_long"], 80, id="18, 21: half-open, and delivered late"),
        pytest.param(["shift", "kill", "shift", "terminate"], 60, id="50-52: wrong clocks, leader changes"),
    ],
)
def test_the_database_and_the_way_there(
    faults: list[str], seconds: float, server: OwnServer, own_url: str, tmp_path: Path
) -> None:
    built = shim.built(tmp_path)
    if "shift" in faults and built is None:
        pytest.skip("no C compiler: wall clocks cannot be shifted")
    wanted = Wanted(
        seconds=seconds, faults=faults, in_turn=True, pause=(5.0, 8.0), slack=SLACK_SECONDS, shim=built
    )
    outcome = conduct(tmp_path / "run", own_url, wanted, server=server)

    assert [] == outcome.violations
    assert outcome.injected or "shift" in faults


def test_a_stalled_process_loses_its_runs_and_says_so_late(sql_url: str, tmp_path: Path) -> None:
    """Fault 7: what it was doing is lost once, and its result is kept as late."""

    def act(nemesis: Nemesis, cluster: Cluster) -> None:
        for _ in range(2):
            leader = cluster.wait_for_leader()
            nemesis.stop(leader, 22.0)
            nemesis.attend(30.0)

    outcome = conduct(
        tmp_path / "run", sql_url, Wanted(seconds=0, slack=SLACK_SECONDS, proxies=False), act=act
    )
    found = kinds(outcome)

    assert [] == outcome.violations
    assert 3 <= found["leader.elected"]


def test_two_minutes_without_a_database_lose_no_run(server: OwnServer, own_url: str, tmp_path: Path) -> None:
    """Fault 15: silence counts only while we ourselves are heard."""

    def act(nemesis: Nemesis, _cluster: Cluster) -> None:
        nemesis.attend(10.0)
        nemesis.outage(120.0)
        nemesis.attend(130.0)

    outcome = conduct(
        tmp_path / "run", own_url, Wanted(seconds=0, slack=SLACK_SECONDS), act=act, server=server
    )
    found = kinds(outcome)

    assert [] == outcome.violations
    assert 0 == found["run.lost"] + found["attempt.lost"]


def test_a_database_that_is_slower_by_200_ms_changes_no_leader(own_url: str, tmp_path: Path) -> None:
    """Fault 20."""

    def act(nemesis: Nemesis, cluster: Cluster) -> None:
        nemesis.attend(5.0)
        for instance in cluster.up():
            nemesis.slow(instance, 0.1, 40.0)
        nemesis.attend(40.0)

    outcome = conduct(tmp_path / "run", own_url, Wanted(seconds=0, slack=SLACK_SECONDS), act=act)

    assert [] == outcome.violations
    assert 0 == changes_of_leader(outcome)


LOAD = """
import sys, time
from tests.conftest import opened
from tests.events import plain
store = opened(sys.argv[1])
until = time.monotonic() + 40
while time.monotonic() < until:
    store.ledger.append(plain(f"load-{sys.argv[2]}-{time.monotonic_ns()}", 100))
store.close()
"""


def test_a_file_that_is_busy_with_an_import_keeps_its_leader(sqlite_url: str, tmp_path: Path) -> None:
    """Fault 42: four processes that write without a pause."""

    def act(nemesis: Nemesis, _cluster: Cluster) -> None:
        nemesis.attend(5.0)
        nemesis.note("four processes write without a pause", 45.0)
        writers = [
            subprocess.Popen([sys.executable, "-c", LOAD, sqlite_url, str(number)], cwd=ROOT)
            for number in range(4)
        ]
        nemesis.attend(40.0)
        assert [0] * 4 == [writer.wait(timeout=60) for writer in writers]

    wanted = Wanted(seconds=0, slack=SLACK_SECONDS, operators=False)
    outcome = conduct(tmp_path / "run", sqlite_url, wanted, act=act)

    assert [] == outcome.violations
    assert 0 == changes_of_leader(outcome)


DEADLY = (
    CONFIG
    + """
    - {name: exits, extension: probes, schedule: "*/12 * * * * *"}
    - {name: crashes, extension: probes, schedule: "4/12 * * * * *"}
    - {name: starves, extension: probes, schedule: "8/12 * * * * *"}
"""
)


def test_jobs_that_kill_their_process_are_lost_and_the_others_live(sql_url: str, tmp_path: Path) -> None:
    """Fault 69: `os._exit`, a segmentation fault, and the kernel that is out of memory."""

    def act(nemesis: Nemesis, cluster: Cluster) -> None:
        for _ in range(80):
            nemesis.attend(0.5)
            for number in range(3 - len(cluster.up())):
                nemesis.note("a job killed its process", 2.0)
                nemesis.begin(f"again{number}")

    wanted = Wanted(seconds=0, slack=SLACK_SECONDS, proxies=False, config=DEADLY)
    outcome = conduct(tmp_path / "run", sql_url, wanted, act=act)
    ends = Counter(
        (line["job"], line["type"])
        for line in outcome.lines
        if line["job"] in ("exits", "crashes", "starves") and line["type"].startswith("run.")
    )
    unexpected = [each for each in outcome.violations if "ended with exit code" not in each]

    assert [] == unexpected
    assert ends["exits", "run.lost"] >= 2
    assert ends["crashes", "run.lost"] >= 2
    assert ends["starves", "run.lost"] >= 2


def test_a_storm_of_manual_runs_survives_two_changes_of_leader(sql_url: str, tmp_path: Path) -> None:
    """Fault 75: whatever was acknowledged exists and ends."""
    acknowledged: list[str] = []

    def ask(cluster: Cluster) -> None:
        asked = cluster.ask("infra", "jobs", "run", "by_hand", "--no-wait", "-o", "name")
        if asked.returncode == 0:
            acknowledged.extend(asked.stdout.decode().split())

    def act(nemesis: Nemesis, cluster: Cluster) -> None:
        with ThreadPoolExecutor(4) as people:
            asking = [people.submit(ask, cluster) for _ in range(40)]
            for _ in range(2):
                nemesis.attend(4.0)
                nemesis.strike("kill")
            for each in asking:
                each.result()

    wanted = Wanted(seconds=0, slack=SLACK_SECONDS, operators=False, proxies=False)
    outcome = conduct(tmp_path / "run", sql_url, wanted, act=act)
    runs = {line["run_id"] for line in outcome.lines if line["type"] == "run.triggered"}

    assert [] == outcome.violations
    assert len(acknowledged) > 20
    assert set() == set(acknowledged) - runs


QUIET = """
scheduler:
  extensions: [probes]
  jobs:
    - {name: by_hand, extension: probes, job: quick, schedule: "", overlap: allow}
"""


def test_without_notifications_a_run_waits_for_the_next_look_and_no_longer(
    own_url: str, tmp_path: Path
) -> None:
    """Fault 80: what the listener would hear is lost."""

    def act(nemesis: Nemesis, cluster: Cluster) -> None:
        for instance in cluster.up():
            assert instance.proxy
            instance.proxy.silence("wake")
            instance.proxy.cut()
        nemesis.attend(3.0)
        for _ in range(10):
            cluster.ask("infra", "jobs", "run", "by_hand", "--no-wait")
            nemesis.attend(0.3)

    wanted = Wanted(seconds=0, slack=SLACK_SECONDS, operators=False, config=QUIET)
    outcome = conduct(tmp_path / "run", own_url, wanted, act=act)
    triggered = {
        line["run_id"]: line["recorded_at"] for line in outcome.lines if line["type"] == "run.triggered"
    }
    waited = [
        (datetime.fromisoformat(line["recorded_at"]) - datetime.fromisoformat(triggered[line["run_id"]]))
        for line in outcome.lines
        if line["type"] == "run.started"
    ]

    assert [] == outcome.violations
    assert 10 == len(waited)
    assert max(waited).total_seconds() < 1.0 + SLACK_SECONDS
