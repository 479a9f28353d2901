"""The tables of an application that the built-in jobs touch, under the names that it gives them.

`cronledger app-db upgrade` creates them all. A host that has such tables already says what it calls them:

    application:
      tables:
        users: accounts
        user_sessions: {name: visits, columns: {last_activity_at: seen_at}}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    inspect,
)
from sqlalchemy.engine import Dialect

from cronledger import JobContext
from cronledger.errors import UsageError
from cronledger.strict_yaml.problem import meant


class TableMissing(Exception):
    """The application's database does not have what a job needs."""


class Instant(TypeDecorator[datetime]):
    """An instant in UTC, also where a database keeps no zone with it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Keep UTC; a reader without zones sees it so."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Give an aware instant back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_TEXT, _INT, _REAL, _AT, _FLAG, _JSON = Text(), Integer(), Float(), Instant(), Boolean(), JSON()

KEYS = {"user_sessions": "session_id", "user_contexts": "context_id", "oauth_jti_revocations": "jti"}
"""What identifies a row, where it is not `id`."""

COLUMNS: dict[str, dict[str, Any]] = {
    "users": {
        "id": _TEXT, "name": _TEXT, "email": _TEXT, "status": _TEXT, "roles": _JSON, "is_bot": _FLAG,
        "is_scanner": _FLAG, "created_at": _AT,
    },
    "user_sessions": {
        "session_id": _TEXT, "user_id": _TEXT, "started_at": _AT, "last_activity_at": _AT, "ended_at": _AT,
        "request_count": _INT, "ip_address": _TEXT, "country": _TEXT, "device_type": _TEXT,
        "referrer_source": _TEXT, "landing_page": _TEXT, "entry_url": _TEXT, "is_bot": _FLAG,
        "is_ai_crawler": _FLAG, "is_scanner": _FLAG, "is_behavioral_bot": _FLAG,
        "behavioral_bot_reason": _TEXT, "behavioral_bot_score": _INT,
    },
    "user_contexts": {
        "context_id": _TEXT, "user_id": _TEXT, "session_id": _TEXT, "name": _TEXT, "kind": _TEXT,
        "created_at": _AT,
    },
    "task_messages": {"id": _TEXT, "context_id": _TEXT, "role": _TEXT, "created_at": _AT},
    "mcp_tool_executions": {"id": _TEXT, "context_id": _TEXT},
    "governance_decisions": {"id": _TEXT, "context_id": _TEXT},
    "logs": {
        "id": _TEXT, "timestamp": _AT, "level": _TEXT, "module": _TEXT, "message": _TEXT, "metadata": _TEXT,
        "user_id": _TEXT, "session_id": _TEXT, "task_id": _TEXT, "trace_id": _TEXT, "context_id": _TEXT,
        "client_id": _TEXT,
    },
    "oauth_refresh_tokens": {"id": _TEXT, "expires_at": _AT},
    "oauth_auth_codes": {"id": _TEXT, "expires_at": _AT, "used_at": _AT},
    "oauth_state_bindings": {"id": _TEXT, "expires_at": _AT},
    "oauth_jti_revocations": {"jti": _TEXT, "exp": _AT},
    "id_jag_replay": {"id": _TEXT, "expires_at": _AT},
    "markdown_content": {
        "id": _TEXT, "slug": _TEXT, "locale": _TEXT, "title": _TEXT, "description": _TEXT, "body": _TEXT,
        "author": _TEXT, "published_at": _AT, "keywords": _TEXT, "kind": _TEXT, "image": _TEXT,
        "category_id": _TEXT, "source_id": _TEXT, "version_hash": _TEXT, "public": _FLAG, "links": _JSON,
        "updated_at": _AT,
    },
    "content_fragments": {
        "content_id": _TEXT, "version_hash": _TEXT, "html": _TEXT, "toc_html": _TEXT, "modified_at": _AT,
    },
    "engagement_events": {
        "id": _INT, "session_id": _TEXT, "user_id": _TEXT, "page_url": _TEXT, "content_id": _TEXT,
        "event_type": _TEXT, "time_on_page_ms": _INT, "created_at": _AT,
    },
    "content_performance_metrics": {
        "id": _TEXT, "content_id": _TEXT, "total_views": _INT, "unique_visitors": _INT,
        "avg_time_on_page_seconds": _REAL, "shares_total": _INT, "comments_count": _INT,
        "search_impressions": _INT, "search_clicks": _INT, "avg_search_position": _REAL,
        "views_last_7_days": _INT, "views_last_30_days": _INT, "trend_direction": _TEXT, "updated_at": _AT,
    },
    "tenant_activity": {"id": _TEXT, "event_type": _TEXT, "user_id": _TEXT, "remote_created_at": _AT},
    "user_activity": {
        "id": _TEXT, "user_id": _TEXT, "category": _TEXT, "action": _TEXT, "entity_type": _TEXT,
        "entity_name": _TEXT, "description": _TEXT, "created_at": _AT,
    },
    "admin_traffic_reports": {
        "id": _TEXT, "report_date": _TEXT, "report_period": _TEXT, "report_data": _JSON, "generated_at": _AT,
    },
    "report_posts": {"idempotency_key": _TEXT, "report": _TEXT, "begun_at": _AT, "posted_at": _AT},
    "job_watermarks": {"job": _TEXT, "watermark": _JSON, "updated_at": _AT},
}  # fmt: skip
"""Every column of the built-in schema; a host's table may have more."""

SPARE: dict[str, frozenset[str]] = {
    "users": frozenset({"name", "email", "status", "is_bot", "is_scanner"}),
    "user_sessions": frozenset(
        {"ip_address", "entry_url", "is_ai_crawler", "behavioral_bot_reason", "behavioral_bot_score"}
    ),
    "user_contexts": frozenset({"user_id", "name"}),
    "task_messages": frozenset({"role", "created_at"}),
    "logs": frozenset(
        {"message", "metadata", "session_id", "task_id", "trace_id", "context_id", "client_id"}
    ),
    "engagement_events": frozenset({"user_id", "content_id", "event_type"}),
    "tenant_activity": frozenset({"user_id"}),
    "user_activity": frozenset({"category", "action", "entity_type", "entity_name", "description"}),
}
"""Columns that no rule of a built-in job touches: a host's table may do without them."""


class Tables:
    """The tables that one run asked for, as attributes: `tables.users.c.created_at`."""

    def __init__(self, found: Mapping[str, Table]) -> None:
        self._found = dict(found)

    def __getattr__(self, name: str) -> Table:
        try:
            return self._found[name]
        except KeyError:
            raise AttributeError(name) from None

    def __iter__(self) -> Iterator[Table]:
        return iter(self._found.values())


def tables(ctx: JobContext, *names: str) -> Tables:
    """Return tables of the application's database, once it is certain that they have every column needed.

    Raises TableMissing, naming the first table or column that is not there.
    """
    mapping = Names(ctx.config.get("tables") or {})
    seen = inspect(ctx.db)
    return Tables({name: _table(name, mapping, seen) for name in names})


class Names:
    """What an application calls the tables and columns, as `application.tables` says.

    Raises UsageError for a table or column that no built-in job knows, and for anything else that is not
    understood: a job would go through another table than the one that was meant.
    """

    def __init__(self, said: object) -> None:
        if not isinstance(said, Mapping):
            raise UsageError("application.tables is not a mapping", hint="write `users: accounts` below it")
        self._said = said
        for name, each in said.items():
            _require_known(str(name), COLUMNS, "application.tables: no built-in job knows a table")
            if isinstance(each, Mapping):
                _require_table(str(name), each)
            else:
                _require_name(each, f"application.tables.{name}")

    def others(self) -> dict[str, str]:
        """Return the tables that the application has under other names, with those names."""
        return {name: self.table(name) for name in self._said if self.table(name) != name}

    def table(self, name: str) -> str:
        """Return an application's name for a table."""
        said = self._said.get(name, name)
        return str(said.get("name", name) if isinstance(said, Mapping) else said)

    def column(self, table: str, column: str) -> str:
        """Return an application's name for a column."""
        said = self._said.get(table)
        columns = said.get("columns", {}) if isinstance(said, Mapping) else {}
        return str(columns.get(column, column))


def _require_table(name: str, said: Mapping[Any, Any]) -> None:
    """Raise UsageError unless this says what a table and its columns are called, and nothing else."""
    about = f"application.tables.{name}"
    for key in said:
        _require_known(str(key), ("name", "columns"), f"{about}: there is no key")
    _require_name(said.get("name", name), f"{about}.name")
    columns = said.get("columns", {})
    if not isinstance(columns, Mapping):
        raise UsageError(
            f"{about}.columns is not a mapping", hint="write `columns: {created_at: inserted_at}`"
        )
    for column, called in columns.items():
        _require_known(str(column), COLUMNS[name], f"{about}.columns: no built-in job knows a column")
        _require_name(called, f"{about}.columns.{column}")


def _require_name(name: object, about: str) -> None:
    if not isinstance(name, str) or not name:
        raise UsageError(f"{about} is not a name", hint="write what it is called, as a text")


def _require_known(name: str, known: Iterable[str], about: str) -> None:
    if name not in known:
        guess = meant(name, known)  # in the sentence itself: the error of a run has no hint
        said = f"{about} '{name}'{f'; {guess}' if guess else ''}"
        raise UsageError(said, hint=None if guess else f"there are: {', '.join(known)}")


def _table(name: str, names: Names, seen: Any) -> Table:
    actual = names.table(name)
    schema, _, bare = actual.rpartition(".")
    if not seen.has_table(bare, schema=schema or None):
        says = f"application.tables says that it calls '{name}' so"  # and then `app-db upgrade` makes none
        advice = f"run `cronledger app-db upgrade`, or say under application.tables what it calls '{name}'"
        raise TableMissing(
            f"the application's database has no table '{actual}': {advice if actual == name else says}"
        )
    there = {column["name"] for column in seen.get_columns(bare, schema=schema or None)}
    named = {key: names.column(name, key) for key in COLUMNS[name]}
    spare = SPARE.get(name, frozenset())
    wanted = {key: column for key, column in named.items() if column in there or key not in spare}
    if missing := [column for column in wanted.values() if column not in there]:
        raise TableMissing(
            f"table '{actual}' of the application's database has no column '{missing[0]}': add it, or say "
            f"under application.tables.{name}.columns what it is called"
        )
    key = KEYS.get(name, next(iter(COLUMNS[name])))
    columns = [
        Column(column, COLUMNS[name][each], key=each, primary_key=each == key)
        for each, column in wanted.items()
    ]
    return Table(bare, MetaData(), *columns, schema=schema or None)
