"""What it means that a table, or the head's one row, is not there: it was taken away, or never made."""

from __future__ import annotations

from cronledger.errors import CronledgerError, LedgerDamaged, SchemaOutdated
from cronledger.ledger.schema import METADATA, REVISION

_VERSION_TABLE = "cronledger_version"


class NoSuchTable(SchemaOutdated):
    """One table is not there. Whoever opens a ledger looks first whether it has a schema at all."""

    code = "no_such_table"

    def __init__(self, url: str, table: str) -> None:
        hint = "run `cronledger projections rebuild`: it makes the tables of the views anew from the events"
        if table in METADATA.tables:
            hint = "restore the database from a backup; if it never held a ledger: `cronledger db upgrade`"
        CronledgerError.__init__(self, f"the database {url} has no table {table}", hint=hint)
        self.current, self.head, self.table = None, REVISION, table


def without_table(url: str, table: str | None) -> SchemaOutdated:
    """Return what to say of a database in which a table was not found; None: it is not known which."""
    if table in (None, _VERSION_TABLE):
        return SchemaOutdated(url, None, REVISION)
    return NoSuchTable(url, table)


def without_head() -> LedgerDamaged:
    """Return what to say of a ledger whose head is gone."""
    return LedgerDamaged("the ledger has no head", hint="restore the database, or begin a new one")
