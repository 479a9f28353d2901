"""Every table that a built-in job touches; those that a host has already stay as they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "app0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

_AT = sa.DateTime(timezone=True)
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


def _parent(there: set[str], column: str, ondelete: str) -> list[sa.ForeignKey]:
    """Refer to a table made here; a host's own may have keys of another kind."""
    return [] if column.partition(".")[0] in there else [sa.ForeignKey(column, ondelete=ondelete)]


def upgrade() -> None:
    """Create them, parents first."""
    there = set(sa.inspect(op.get_bind()).get_table_names())
    for tables in (_people(there), _talk(there), _credentials(), _content(there), _activity()):
        for name, columns in tables.items():
            if name not in there:
                op.create_table(name, *columns)


def _people(there: set[str]) -> dict[str, list[sa.schema.SchemaItem]]:
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
            sa.Column("user_id", sa.Text, *_parent(there, "users.id", "SET NULL"), index=True),
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


def _talk(there: set[str]) -> dict[str, list[sa.schema.SchemaItem]]:
    session = _parent(there, "user_sessions.session_id", "SET NULL")
    owner = _parent(there, "users.id", "CASCADE")
    return {
        "user_contexts": [
            _id("context_id"),
            sa.Column("user_id", sa.Text, *owner, nullable=False, index=True),
            sa.Column("session_id", sa.Text, *session, index=True),
            _text("name"),
            _text("kind", "user"),
            sa.Column("created_at", _AT, nullable=False, index=True),
        ],
        "task_messages": [_id(), _context(), _text("role"), _at("created_at")],
        "mcp_tool_executions": [_id(), _context()],
        "governance_decisions": [_id(), _context()],
        "logs": [
            _id(),
            sa.Column("timestamp", _AT, nullable=False, index=True),
            *(_text(name) for name in ("level", "module", "message")),
            sa.Column("metadata", sa.Text),
            sa.Column("user_id", sa.Text, index=True),
            *_perhaps("session_id", "task_id", "trace_id", "context_id", "client_id"),
        ],
    }


def _context() -> sa.Column[str]:
    return sa.Column("context_id", sa.Text, nullable=False, index=True)


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


def _content(there: set[str]) -> dict[str, list[sa.schema.SchemaItem]]:
    def content() -> list[sa.ForeignKey]:
        return _parent(there, "markdown_content.id", "CASCADE")

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
            sa.Column("content_id", sa.Text, *content(), primary_key=True),
            *(_text(name) for name in ("version_hash", "html", "toc_html")),
            _at("modified_at"),
        ],
        "content_performance_metrics": [
            _id(),
            sa.Column("content_id", sa.Text, *content(), nullable=False, unique=True),
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
