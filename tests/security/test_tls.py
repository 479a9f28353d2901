"""Item 28: a way to PostgreSQL that others on the network could read is told, and never taken by mistake."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from cronledger.errors import LedgerUnreachable
from cronledger.ledger.postgres_concerns import concerns
from tests.conftest import opened

NO_LOCK = (0, 0)


class Session:
    """A session at the test's server that seems to have come another way."""

    def __init__(self, connection: psycopg.Connection[Any], address: str, *, encrypted: bool) -> None:
        self._connection = connection
        self.info = SimpleNamespace(
            backend_pid=connection.info.backend_pid, host="db.example", hostaddr=address
        )
        self.pgconn = SimpleNamespace(ssl_in_use=encrypted)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def told(url: str, address: str, *, encrypted: bool) -> list[tuple[str, str]]:
    """Return what is said about the way, and what to do."""
    with psycopg.connect(url, autocommit=True) as connection:
        session: Any = Session(connection, address, encrypted=encrypted)
        found = concerns(session, NO_LOCK)
    return [(each.what, each.todo) for each in found if "encrypted" in each.what]


@pytest.mark.parametrize("address", ["10.0.0.5", "192.0.2.7", "2001:db8::5"])
def test_plain_tcp_to_another_machine_is_warned_of(postgres_url: str, address: str) -> None:
    (warning,) = told(postgres_url, address, encrypted=False)

    assert "the connection to db.example is not encrypted" == warning[0]
    assert "sslmode=verify-full" in warning[1]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.1.1", "::1", ""])
def test_nobody_listens_on_loopback_or_a_socket_file(postgres_url: str, address: str) -> None:
    assert [] == told(postgres_url, address, encrypted=False)


def test_tls_to_another_machine_is_well(postgres_url: str) -> None:
    assert [] == told(postgres_url, "10.0.0.5", encrypted=True)


def test_a_url_that_wants_tls_never_falls_back_to_plain_text(postgres_url: str) -> None:
    store = opened(f"{postgres_url}?sslmode=verify-full&sslrootcert=system")

    with pytest.raises(LedgerUnreachable, match=r"SSL|sslrootcert|root certificate"):
        store.ledger.head()
    store.close()
