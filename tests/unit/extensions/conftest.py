"""An application's database with every table that a built-in job touches, once on each database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cronledger.ledger.application import application_engine
from cronledger.migrations import application
from cronledger.testing import ManualClock
from tests.postgres import Server

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands at `NOON`; `perform(..., clock=clock)` gives it to a job."""
    return ManualClock(NOON)


@pytest.fixture(scope="session")
def sqlite_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with every table, to be copied."""
    path = tmp_path_factory.mktemp("application") / "template.db"
    engine = application_engine(f"sqlite:///{path}")
    application.upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def postgres_app(postgres_server: Server) -> str:
    """Return the name of a database with every table, to be copied."""
    url = postgres_server.make_database(template=None)
    engine = application_engine(url)
    application.upgrade(engine)
    engine.dispose()
    return url.rpartition("/")[2]


@pytest.fixture
def sqlite_app_url(sqlite_app: Path, tmp_path: Path) -> str:
    """Return the URL of an application's database in a file."""
    path = tmp_path / "app.db"
    shutil.copyfile(sqlite_app, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_app_url(postgres_server: Server, postgres_app: str) -> Iterator[str]:
    """Return the URL of an application's database on PostgreSQL."""
    url = postgres_server.make_database(template=postgres_app)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgres"])
def app_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an application's database."""
    return str(request.getfixturevalue(f"{request.param}_app_url"))


@pytest.fixture
def app_db(app_url: str) -> Iterator[Engine]:
    """Return an engine for an application's database, as `cronledger app-db upgrade` leaves it."""
    engine = application_engine(app_url)
    yield engine
    engine.dispose()
