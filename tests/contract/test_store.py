from __future__ import annotations

from tests.conftest import opened

from cronledger import migrations


def test_a_fresh_ledger_is_at_the_newest_schema(ledger_url: str) -> None:
    store = opened(ledger_url)

    migrations.check(store)
    assert 0 == store.ledger.head().position
    store.close()
