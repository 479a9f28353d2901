"""A million log lines go in bounded memory, while another job keeps its cadence."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from tests.unit.extensions.many_rows import Told

ROOT = Path(__file__).parents[3]
MOST_MEGABYTES = 200
MOST_LATE_SECONDS = 5
"""On a machine that has other things to do; on a quiet one it is a few hundredths."""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rows", [50_000, pytest.param(1_000_000, marks=pytest.mark.nightly)])
def test_very_many_rows_go_in_little_memory_and_other_jobs_fire_each_second(
    app_url: str, tmp_path: Path, rows: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.extensions.many_rows", app_url, str(rows)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        check=True,
    )
    told = msgspec.json.decode(done.stdout, type=Told)

    assert rows == told.removed
    assert told.message.startswith(f"{rows} old log lines removed; ")
    assert told.peak_megabytes < MOST_MEGABYTES
    assert told.most_late_seconds < MOST_LATE_SECONDS
    second = timedelta(seconds=1)
    assert {second} >= {later - at for at, later in zip(told.fire_times, told.fire_times[1:], strict=False)}
