"""A minute of real processes on one ledger, killed without warning; judged by what they leave behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.cluster import Cluster
from tests.chaos.conduct import Wanted, conduct
from tests.chaos.nemesis import Nemesis
from tests.checker import triggered

SECONDS = 60
SLACK_SECONDS = 6.0
"""How late is still on time beside other tests on a busy machine; a lost fire time is lost at any pace."""


@pytest.mark.timeout(600)
def test_two_killed_leaders_and_other_trouble_cost_no_fire_time_and_double_none(
    sql_url: str, tmp_path: Path
) -> None:
    """Fault 1, 2, 6, 11, 55: killed twice, stopped for a moment, asked to end, its session ended."""

    def act(nemesis: Nemesis, cluster: Cluster) -> None:
        nemesis.attend(4.0)
        nemesis.kill(cluster.wait_for_leader())
        nemesis.attend(11.0)
        nemesis.stop(cluster.wait_for_leader(), 3.0)
        nemesis.attend(10.0)
        nemesis.kill(cluster.wait_for_leader())
        nemesis.attend(11.0)
        nemesis.strike("terminate" if cluster.is_sqlite else "end_holder")
        nemesis.attend(6.0)
        nemesis.strike("terminate")
        nemesis.attend(8.0)

    wanted = Wanted(seconds=SECONDS, seed=3, slack=SLACK_SECONDS, proxies=False)
    outcome = conduct(tmp_path / "run", sql_url, wanted, act=act)
    elected = [line for line in outcome.lines if line["type"] == "leader.elected"]

    assert [] == outcome.violations
    assert 3 <= len(elected)
    assert SECONDS - 20 < len(triggered(outcome.lines, "every_second"))
