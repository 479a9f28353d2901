"""An application's database with every table that a built-in job touches, once on each database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cronledger.ledger.application import application_engine, new_file
from cronledger.migrations import application
from cronledger.testing import ManualClock

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands at `NOON`; `perform(..., clock=clock)` gives it to a job."""
    return ManualClock(NOON)


@pytest.fixture(params=["sqlite", "postgres"])
def app_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an application's empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'app.db'}"
    return str(request.getfixturevalue("empty_postgres_url"))


@pytest.fixture
def app_db(app_url: str) -> Iterator[Engine]:
    """Return an engine for an application's database, as `cronledger app-db upgrade` leaves it."""
    engine = application_engine(app_url)
    if engine.dialect.name == "sqlite":
        new_file(engine)
    application.upgrade(engine)
    yield engine
    engine.dispose()
