"""An open store for each test of the contract, on every database."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cronledger.ledger.api import Ledger
from cronledger.ledger.database import Store
from tests.cli_runner import APP, Cli, run_cli
from tests.conftest import opened


@pytest.fixture
def store(ledger_url: str) -> Iterator[Store]:
    """Return an open store with a fresh ledger."""
    store = opened(ledger_url)
    yield store
    store.close()


@pytest.fixture
def ledger(store: Store) -> Ledger:
    """Return a fresh ledger."""
    return store.ledger


@pytest.fixture
def cli(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Return the program on a fresh ledger, in an empty folder, with the code of a house."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    env = {"CRONLEDGER_DATABASE_URL": ledger_url, "CRONLEDGER_APP": APP}
    return lambda *args, **more: run_cli(*args, env=env | more.pop("env", {}), **more)
