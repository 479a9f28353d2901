"""Who may do what in a PostgreSQL ledger: the statements that its owner runs, once and after each upgrade.

The owner makes the schema and upgrades it; nothing that serves should be the owner. The application's role
appends through functions that decide by themselves, keeps the rows that are not history, and reads. A reader
reads. Neither can change, forge or delete an event.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.dialects.postgresql import dialect

from cronledger.ledger.schema import METADATA
from cronledger.projections import tables

HISTORY = ("event", "event_body", "head", "cronledger_version")
"""What only the ledger's own functions, and migrations, may write."""
FUNCTIONS = ("cronledger_append(text, text)", "cronledger_renew(bigint, bigint)")

_quoted = dialect().identifier_preparer.quote_identifier  # type: ignore[no-untyped-call]


def statements(*, schema: str, app: str, reader: str | None = None) -> Iterator[str]:
    """Yield the statements that give an application's role, and a reader's, what they need and no more.

    >>> list(statements(schema="public", app="scheduler"))[2]
    'GRANT EXECUTE ON FUNCTION "public".cronledger_append(text, text) TO "scheduler";'
    """
    place, who = _quoted(schema), _quoted(app)
    yield f"REVOKE CREATE ON SCHEMA {place} FROM PUBLIC;"
    yield f"GRANT USAGE ON SCHEMA {place} TO {who};"
    yield from (f"GRANT EXECUTE ON FUNCTION {place}.{each} TO {who};" for each in FUNCTIONS)
    yield f"GRANT SELECT ON {_listed(place, HISTORY)} TO {who};"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {_listed(place, mutable())} TO {who};"
    yield f"GRANT USAGE ON SEQUENCE {_listed(place, sequences())} TO {who};"
    if reader is not None:
        yield f"GRANT USAGE ON SCHEMA {place} TO {_quoted(reader)};"
        yield f"GRANT SELECT ON {_listed(place, (*HISTORY, *mutable()))} TO {_quoted(reader)};"


def mutable() -> tuple[str, ...]:
    """Return the tables that are not history: views, signs of life, requests, log lines."""
    return tuple(sorted({*METADATA.tables, *tables.METADATA.tables} - set(HISTORY)))


def sequences() -> tuple[str, ...]:
    """Return what numbers the rows that the application adds, by the names that PostgreSQL gives."""
    numbered = [table.autoincrement_column for table in METADATA.sorted_tables if table.name not in HISTORY]
    return tuple(f"{each.table.name}_{each.name}_seq" for each in numbered if each is not None)


def _listed(place: str, names: tuple[str, ...]) -> str:
    return ", ".join(f"{place}.{_quoted(name)}" for name in names)
