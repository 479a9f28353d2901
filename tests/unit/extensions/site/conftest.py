"""A folder with content, and a database that its rows go to."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from cronledger.testing import ManualClock
from tests.unit.extensions.site.site_files import Folder


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BLOG_CONFIG", "CONTENT_INGESTION_DELETE_ORPHANS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def files(tmp_path: Path, clock: ManualClock) -> Folder:
    """Return an empty folder of an application without a database."""
    return Folder(tmp_path / "site", None, clock)


@pytest.fixture
def folder(tmp_path: Path, app_db: Engine, clock: ManualClock) -> Folder:
    """Return an empty folder of an application, once on each database."""
    return Folder(tmp_path / "site", app_db, clock)
