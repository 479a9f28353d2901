"""An open store for each test of the contract, on every database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cronledger.ledger.api import Ledger
from cronledger.ledger.database import Store
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
