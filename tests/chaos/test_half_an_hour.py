"""Half an hour of faults on real processes; `python -m tests.chaos` is the same for as long as one likes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos import shim
from tests.chaos.conduct import Wanted, conduct
from tests.chaos.server import own_server

MINUTES = 60.0
SLACK_SECONDS = 6.0


@pytest.mark.nightly
@pytest.mark.timeout(45 * MINUTES)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_half_an_hour_of_everything(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Fault 1, 2, 6, 7, 11 to 14, 16 to 18, 20, 21, 50 to 52, 55, 57, 58, 75, in any combination."""
    seed = random.randrange(10**6)
    shim_file = shim.built(tmp_path)
    wanted = Wanted(seconds=30 * MINUTES, seed=seed, slack=SLACK_SECONDS, shim=shim_file)
    if database == "sqlite":
        outcome = conduct(tmp_path / "run", str(request.getfixturevalue("sqlite_url")), wanted)
    else:
        with own_server() as server:
            outcome = conduct(tmp_path / "run", server.make_database(), wanted, server=server)

    assert [] == outcome.violations, f"seed {seed}, kept in {outcome.folder}"
    assert outcome.injected
