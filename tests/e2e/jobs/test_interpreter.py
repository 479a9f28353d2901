"""`up` has the process for itself, and sets the interpreter up for many runs and for threads that compute."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.jobs.nursery import Nursery
from tests.waiting import eventually_within

CONFIG = (
    "scheduler: {extensions: [asking], jobs: [{name: ask, extension: asking, schedule: '* * * * * *'}]}\n"
)
ASKING = """
import gc, os, sys
from pathlib import Path
from cronledger import job

@job(extension="asking")
def ask():
    young, spared = gc.get_threshold()[0], gc.get_freeze_count()
    Path("told.new").write_text(f"{sys.getswitchinterval()} {young} {spared > 0}")
    os.replace("told.new", "told")
"""


def test_up_lets_other_threads_in_soon_and_spares_what_stays(
    sqlite_url: str, tmp_path: Path, nursery: Nursery
) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "asking.py").write_text(ASKING)
    nursery.start(tmp_path, sqlite_url, "up")
    told = tmp_path / "told"

    assert eventually_within(60, told.exists)
    assert "0.001 50000 True" == told.read_text()
