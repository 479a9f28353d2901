"""Fresh ledgers for the tests, on every database."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings

from cronledger import migrations
from cronledger.clock import SystemClock
from cronledger.domain.ids import instance_id
from cronledger.entropy import SystemEntropy
from cronledger.ledger.database import Store, open_store
from cronledger.ledger.export import export
from tests.postgres import Server, shared_server

HERE = instance_id("fixture", os.getpid(), "f1c7f1c7f1c7")
_numbers = count(1)

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("nightly", deadline=None, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def opened(url: str) -> Store:
    """Open a store, making a SQLite file if need be."""
    return open_store(url, instance=HERE, clock=SystemClock(), entropy=SystemEntropy(), create=True)


def lines_of(url: str) -> list[dict[str, Any]]:
    """Return the lines of `ledger export`."""
    store = opened(url)
    try:
        return [msgspec.json.decode(line) for line in export(store.ledger)]
    finally:
        store.close()


def bring_to_head(url: str) -> None:
    """Give a database the newest schema."""
    store = opened(url)
    migrations.upgrade(store)
    store.close()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return the PostgreSQL server of this run."""
    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent
    with shared_server(folder, bring_to_head) as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file at the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    bring_to_head(f"sqlite:///{path}")
    return path


@pytest.fixture
def memory_url() -> Iterator[str]:
    """Return a fresh ledger in memory; it lasts as long as the test."""
    url = f"memory://test-{next(_numbers)}"
    store = opened(url)
    migrations.upgrade(store)
    yield url
    store.close()


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """Return a fresh SQLite ledger."""
    path = tmp_path / "ledger.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """Return a fresh PostgreSQL ledger."""
    url = postgres_server.make_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def empty_postgres_url(postgres_server: Server) -> Iterator[str]:
    """Return a fresh PostgreSQL database without a schema."""
    url = postgres_server.make_database(template=None)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """Return a fresh SQLite file without a schema."""
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest) -> str:
    """Return a fresh ledger, once on every database."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=["sqlite", "postgres"])
def sql_url(request: pytest.FixtureRequest) -> str:
    """Return a fresh ledger, once on every database that lasts."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=["sqlite", "postgres"])
def empty_sql_url(request: pytest.FixtureRequest) -> str:
    """Return a fresh database without a schema, once on every database that lasts."""
    return str(request.getfixturevalue(f"empty_{request.param}_url"))
