"""In which schema of a PostgreSQL database a ledger is, whoever asks.

Its tables are found through the whole search path, so the first schema of that need not be theirs: a role may
have one of its own name.
"""

from __future__ import annotations

from typing import LiteralString

SCHEMA: LiteralString = (
    "coalesce((SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "WHERE c.oid = to_regclass('head')), current_schema())"
)
"""The name, as an expression; of the schema that a ledger would be made in, if there is none yet."""
