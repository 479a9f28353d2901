"""The tables of the ledger: the same on both databases, times as microseconds since 1970.

`event` and `event_body` only grow; `head` orders the appends; the others are coordination, not history.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeEngine

REVISION = "0004"
"""The migration that this version needs."""

METADATA = MetaData()

BIG = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits: SQLite's STRICT tables know them as INTEGER."""

KEY = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared byte by byte, as SQLite does anyway."""

REAL: TypeEngine[float] = Double().with_variant(sqlite.REAL(), "sqlite")
"""64 bits of binary floating point."""


EVENT = Table(
    "event",
    METADATA,
    Column("position", BIG, primary_key=True, autoincrement=False),
    Column("id", LargeBinary, nullable=False, unique=True),
    Column("stream", KEY, nullable=False),
    Column("version", Integer, nullable=False),
    Column("type", KEY, nullable=False),
    Column("schema", Integer, nullable=False),
    Column("must_understand", Integer, nullable=False),
    Column("recorded_at", BIG, nullable=False),
    Column("instance", KEY, nullable=False),
    Column("term", BIG),
    Column("actor", Text, nullable=False),
    Column("job", KEY),
    Column("attempt", Integer),
    Column("fire_at", BIG),
    Column("cause", KEY),
    Column("commitment", LargeBinary, nullable=False),
    UniqueConstraint("stream", "version"),
    sqlite_strict=True,
)

Index(
    "event_of_job",
    EVENT.c.job,
    EVENT.c.position,
    sqlite_where=EVENT.c.job.is_not(None),
    postgresql_where=EVENT.c.job.is_not(None),
)

Index(
    "event_must_understand",
    EVENT.c.type,
    EVENT.c.schema,
    EVENT.c.position,
    sqlite_where=EVENT.c.must_understand == 1,
    postgresql_where=EVENT.c.must_understand == 1,
)

EVENT_BODY = Table(
    "event_body",
    METADATA,
    Column("position", BIG, primary_key=True, autoincrement=False),
    Column("salt", LargeBinary, nullable=False),
    Column("body", Text, nullable=False),
    sqlite_strict=True,
)

HEAD = Table(
    "head",
    METADATA,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    Column("position", BIG, nullable=False),
    Column("recorded_at", BIG, nullable=False),
    Column("term", BIG, nullable=False),
    Column("leader", KEY),
    Column("lease_until", BIG),
    Column("epoch", BIG, nullable=False),
    Column("lineage", KEY, nullable=False),
    Column("min_writer", Integer, nullable=False),
    sqlite_strict=True,
    postgresql_with={"fillfactor": 10},
)

INSTANCE = Table(
    "instance",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", KEY, CheckConstraint("kind IN ('service', 'oneshot')"), nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("build", Text, nullable=False),
    Column("started_at", BIG, nullable=False),
    Column("beat_at", BIG, nullable=False),
    Column("state", KEY, CheckConstraint("state IN ('starting', 'ready', 'draining')"), nullable=False),
    Column("epoch", BIG),
    Column("jobs", Text, nullable=False),
    Column("features", Text, nullable=False),
    Column("config_revision", Text),
    Column("process", Text, system=True),  # not created with the table: revision 0004 adds it
    sqlite_strict=True,
    postgresql_with={"fillfactor": 50},
)

INBOX = Table(
    "inbox",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("written_at", BIG, nullable=False),
    Column("job", KEY, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("reason", Text),
    sqlite_strict=True,
)

LOG_LINE = Table(
    "log_line",
    METADATA,
    Column("id", BIG, primary_key=True, autoincrement=True),
    Column("at", BIG, nullable=False),
    Column("level", KEY, nullable=False),
    Column("logger", Text, nullable=False),
    Column("job", KEY),
    Column("run_id", KEY),
    Column("step", Text),
    Column("instance", KEY, nullable=False),
    Column("message", Text, nullable=False),
    Index("log_line_at", "at"),
    sqlite_strict=True,
)

RUN_PROGRESS = Table(
    "run_progress",
    METADATA,
    Column("run_id", KEY, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("done", REAL, nullable=False),
    Column("total", REAL),
    Column("message", Text),
    Column("at", BIG, nullable=False),
    sqlite_strict=True,
    info={"since": "0002"},
)
