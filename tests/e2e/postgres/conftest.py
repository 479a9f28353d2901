"""Servers of their own for tests that stop, copy or reconfigure them, and stores that speak to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from cronledger.clock import SystemClock
from cronledger.domain.ids import InstanceId, instance_id
from cronledger.entropy import SystemEntropy
from cronledger.ledger.postgres import PostgresStore
from tests.conftest import bring_to_head
from tests.postgres import OwnServer, own_server

Opener = Callable[..., PostgresStore]
_numbers = count(1)


@pytest.fixture
def own(request: pytest.FixtureRequest) -> Iterator[OwnServer]:
    """Return a server that this test may do anything to."""
    server = own_server(bring_to_head)
    yield server
    server.end()


@pytest.fixture(scope="module")
def module_server() -> Iterator[OwnServer]:
    """Return a server that the tests of a module share and leave as they found it."""
    server = own_server(bring_to_head)
    yield server
    server.end()


@pytest.fixture
def module_url(module_server: OwnServer) -> Iterator[str]:
    """Return a fresh ledger on the module's server."""
    url = module_server.make_database()
    yield url
    module_server.drop_database(url)


@pytest.fixture
def store_at() -> Iterator[Opener]:
    """Open stores, each as an instance of its own, with a limit for every call; close them afterwards."""
    stores: list[PostgresStore] = []

    def open_at(url: str, *, limit_seconds: float = 5.0, instance: InstanceId | None = None) -> PostgresStore:
        store = PostgresStore(
            url,
            instance=instance or instance_id("own", next(_numbers), "f1c7f1c7f1c7"),
            clock=SystemClock(),
            entropy=SystemEntropy(),
            limit_seconds=limit_seconds,
        )
        stores.append(store)
        return store

    yield open_at
    for store in stores:
        store.close()
