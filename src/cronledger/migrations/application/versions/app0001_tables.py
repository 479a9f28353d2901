"""Every table that a built-in job touches; those that a host has already stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "app0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

_AT = sa.DateTime(timezone=True)
_KEYS = {"user_sessions": "session_id"}
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NO, _ZERO = sa.false(), sa.text("0")


def _id(name: str = "id") -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default=default)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=_ZERO)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=_NO)


def _at(name: str) -> sa.Column[object]:
    return sa.Column(name, _AT, nullable=False)


def _perhaps(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text) for name in names]


class _Host:
    """What the application has already, under our names or others."""

    def __init__(self, named: Mapping[str, str]) -> None:
        self._inspector = sa.inspect(op.get_bind())
        self._named = named

    def has(self, table: str) -> bool:
        """Whether a table is there, or is said to have another name."""
        return table in self._named or self._inspector.has_table(table)

    def refer(self, name: str, table: str, ondelete: str, **more: Any) -> sa.Column[Any]:
        """Return a column that refers to a table by value; to one of ours with a foreign key.

        A host's own table may have a key of another type, and is its own to refer to.
        """
        if self.has(table):
            return sa.Column(name, self.key_type(table), **more)
        key = sa.ForeignKey(f"{table}.{_KEYS.get(table, 'id')}", ondelete=ondelete)
        return sa.Column(name, sa.Text, key, **more)

    def key_type(self, table: str) -> Any:
        """Return the type of the column that identifies a row of a table."""
        schema, _, bare = self._named.get(table, table).rpartition(".")
        place = {"schema": schema or None}
        if not self._inspector.has_table(bare, **place):
            return sa.Text()
        key = self._inspector.get_pk_constraint(bare, **place)["constrained_columns"]
        types = {each["name"]: each["type"] for each in self._inspector.get_columns(bare, **place)}
        return types[key[0]] if len(key) == 1 else sa.Text()


def upgrade() -> None:
    """Create them, parents first."""
    host = _Host(context.config.attributes.get("named", {}))
    ours = _people(host) | _talk(host) | _credentials() | _content(host) | _activity()
    missing = [name for name in ours if not host.has(name)]
    for name in missing:
        op.create_table(name, *ours[name])


def _people(host: _Host) -> dict[str, list[sa.schema.SchemaItem]]:
    return {
        "users": [
            _id(),
            sa.Column("name", sa.Text, nullable=False, unique=True),
            sa.Column("email", sa.Text, nullable=False, unique=True),
            _text("status", "active"),
            sa.Column("roles", sa.JSON, nullable=False),
            _flag("is_bot"),
            _flag("is_scanner"),
            sa.Column("created_at", _AT, nullable=False, index=True),
        ],
        "user_sessions": [
            _id("session_id"),
            host.refer("user_id", "users", "SET NULL", index=True),
            sa.Column("started_at", _AT, nullable=False, index=True),
            sa.Column("last_activity_at", _AT, nullable=False, index=True),
            sa.Column("ended_at", _AT, index=True),
            _count("request_count"),
            *_perhaps("ip_address", "country", "device_type", "referrer_source", "landing_page", "entry_url"),
            _flag("is_bot"),
            _flag("is_ai_crawler"),
            _flag("is_scanner"),
            _flag("is_behavioral_bot"),
            sa.Column("behavioral_bot_reason", sa.Text),
            _count("behavioral_bot_score"),
        ],
    }


def _talk(host: _Host) -> dict[str, list[sa.schema.SchemaItem]]:
    def context() -> sa.Column[Any]:
        return sa.Column("context_id", host.key_type("user_contexts"), nullable=False, index=True)

    return {
        "user_contexts": [
            _id("context_id"),
            host.refer("user_id", "users", "CASCADE", nullable=False, index=True),
            host.refer("session_id", "user_sessions", "SET NULL", index=True),
            _text("name"),
            _text("kind", "user"),
            sa.Column("created_at", _AT, nullable=False, index=True),
        ],
        "task_messages": [_id(), context(), _text("role"), _at("created_at")],
        "mcp_tool_executions": [_id(), context()],
        "governance_decisions": [_id(), context()],
        "logs": [
            _id(),
            sa.Column("timestamp", _AT, nullable=False, index=True),
            *(_text(name) for name in ("level", "module", "message")),
            sa.Column("metadata", sa.Text),
            sa.Column("user_id", host.key_type("users"), index=True),
            *_perhaps("session_id", "task_id", "trace_id", "context_id", "client_id"),
        ],
    }


def _credentials() -> dict[str, list[sa.schema.SchemaItem]]:
    def expires(name: str = "expires_at") -> sa.Column[object]:
        return sa.Column(name, _AT, nullable=False, index=True)

    return {
        "oauth_refresh_tokens": [_id(), expires()],
        "oauth_auth_codes": [_id(), expires(), sa.Column("used_at", _AT)],
        "oauth_state_bindings": [_id(), expires()],
        "oauth_jti_revocations": [_id("jti"), expires("exp")],
        "id_jag_replay": [_id(), expires()],
    }


def _content(host: _Host) -> dict[str, list[sa.schema.SchemaItem]]:
    return {
        "markdown_content": [
            _id(),
            _text("slug"),
            _text("locale", "en"),
            *(_text(name) for name in ("title", "description", "body", "author")),
            sa.Column("published_at", _AT, nullable=False, index=True),
            *(_text(name) for name in ("keywords", "kind")),
            *_perhaps("image", "category_id"),
            sa.Column("source_id", sa.Text, nullable=False, index=True),
            _text("version_hash"),
            sa.Column("public", sa.Boolean, nullable=False, server_default=sa.true()),
            sa.Column("links", sa.JSON, nullable=False),
            _at("updated_at"),
            sa.UniqueConstraint("slug", "locale"),
        ],
        "content_fragments": [
            host.refer("content_id", "markdown_content", "CASCADE", primary_key=True),
            *(_text(name) for name in ("version_hash", "html", "toc_html")),
            _at("modified_at"),
        ],
        "content_performance_metrics": [
            _id(),
            host.refer("content_id", "markdown_content", "CASCADE", nullable=False, unique=True),
            _count("total_views"),
            _count("unique_visitors"),
            sa.Column("avg_time_on_page_seconds", sa.Float, nullable=False, server_default=_ZERO),
            *(_count(name) for name in ("shares_total", "comments_count")),
            *(_count(name) for name in ("search_impressions", "search_clicks")),
            sa.Column("avg_search_position", sa.Float),
            *(_count(name) for name in ("views_last_7_days", "views_last_30_days")),
            _text("trend_direction", "stable"),
            _at("updated_at"),
        ],
    }


def _activity() -> dict[str, list[sa.schema.SchemaItem]]:
    return {
        "engagement_events": [
            sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
            sa.Column("session_id", sa.Text, nullable=False, index=True),
            *_perhaps("user_id"),
            sa.Column("page_url", _BYTEWISE, nullable=False, index=True),
            sa.Column("content_id", sa.Text, index=True),
            _text("event_type"),
            _count("time_on_page_ms"),
            sa.Column("created_at", _AT, nullable=False, index=True),
        ],
        "tenant_activity": [
            _id(),
            _text("event_type"),
            *_perhaps("user_id"),
            sa.Column("remote_created_at", _AT, nullable=False, index=True),
        ],
        "user_activity": [
            _id(),
            *(_text(name) for name in ("user_id", "category", "action")),
            *_perhaps("entity_type", "entity_name"),
            _text("description"),
            sa.Column("created_at", _AT, nullable=False, index=True),
        ],
        "admin_traffic_reports": [
            _id(),
            _text("report_date"),
            _text("report_period"),
            sa.Column("report_data", sa.JSON, nullable=False),
            _at("generated_at"),
            sa.UniqueConstraint("report_date", "report_period"),
        ],
        "report_posts": [
            _id("idempotency_key"),
            _text("report"),
            _at("begun_at"),
            sa.Column("posted_at", _AT),
        ],
        "job_watermarks": [
            _id("job"),
            sa.Column("watermark", sa.JSON, nullable=False),
            _at("updated_at"),
        ],
    }
