"""Rows of an application, with everything filled in that a test does not mind."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any

from sqlalchemy import Column, MetaData, Table, insert, select
from sqlalchemy.engine import Engine

from cronledger.extensions.tables import COLUMNS, KEYS

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
_numbers = count(1)

DEFAULTS: dict[str, dict[str, Any]] = {
    "users": {"name": "{n}", "email": "{n}@example.org", "status": "active", "roles": [], "created_at": NOON},
    "user_sessions": {
        "started_at": NOON, "last_activity_at": NOON, "request_count": 1, "is_bot": False,
        "is_scanner": False, "is_behavioral_bot": False,
    },
    "markdown_content": {
        "slug": "slug-{n}", "locale": "en", "title": "Title {n}", "description": "", "body": "", "author": "",
        "published_at": NOON, "keywords": "", "kind": "blog", "source_id": "blog", "version_hash": "",
        "public": True, "links": [], "updated_at": NOON,
    },
    "engagement_events": {
        "session_id": "s", "page_url": "/", "event_type": "page_view", "time_on_page_ms": 0,
        "created_at": NOON,
    },
    "content_performance_metrics": {"updated_at": NOON},
    "tenant_activity": {"event_type": "login", "remote_created_at": NOON},
    "user_activity": {"user_id": "u", "category": "", "action": "", "description": "", "created_at": NOON},
    "logs": {"timestamp": NOON, "level": "INFO", "module": "app", "message": ""},
}  # fmt: skip


@cache
def table(name: str) -> Table:
    """Return a table with the columns that jobs know."""
    key = KEYS.get(name, next(iter(COLUMNS[name])))
    columns = [Column(each, kind, primary_key=each == key) for each, kind in COLUMNS[name].items()]
    return Table(name, MetaData(), *columns)


def add(db: Engine, name: str, *rows: dict[str, Any]) -> list[Any]:
    """Insert rows and return their keys; `{n}` in a default is a number of the row's own."""
    (key,) = table(name).primary_key.columns.keys()
    whole = []
    for row in rows:
        n = next(_numbers)
        defaults = {
            each: value.replace("{n}", str(n)) if isinstance(value, str) else value
            for each, value in DEFAULTS[name].items()
        }
        own = {key: n if name == "engagement_events" else f"{name}-{n}"}
        whole.append(own | defaults | row)
    with db.begin() as connection:
        for row in whole:
            connection.execute(insert(table(name)).values(row))
    return [row[key] for row in whole]


def all_of(db: Engine, name: str, *columns: str) -> list[Any]:
    """Return columns of all rows, in the order of their keys."""
    found = table(name)
    wanted = [found.c[each] for each in columns]
    with db.connect() as connection:
        rows: Iterable[Any] = connection.execute(select(*wanted).order_by(*found.primary_key))
        return [tuple(row) if len(columns) > 1 else row[0] for row in rows]
