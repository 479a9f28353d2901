"""A disk that is small, for ledgers that need one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.sqlite.processes import mounted, unmount


@pytest.fixture
def small_disk(tmp_path: Path, sqlite_template: Path) -> Iterator[Path]:
    """Return a folder of four megabytes with a fresh ledger, `ledger.db`, in it."""
    folder = tmp_path / "disk"
    if not mounted(folder, 4):
        pytest.skip("this user may not mount a file system")
    shutil.copyfile(sqlite_template, folder / "ledger.db")
    yield folder
    unmount(folder)
