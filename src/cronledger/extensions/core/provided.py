"""The jobs of `core`, gathered."""

from __future__ import annotations

from cronledger import Extension
from cronledger.extensions.core.cleanup_anonymous_users import CleanupAnonymousUsers
from cronledger.extensions.core.cleanup_empty_contexts import CleanupEmptyContexts
from cronledger.extensions.core.cleanup_inactive_sessions import CleanupInactiveSessions
from cronledger.extensions.core.database_cleanup import DatabaseCleanup
from cronledger.extensions.core.log_cleanup import LogCleanup
from cronledger.extensions.core.publish_content import PublishContent

core = Extension(
    name="core",
    jobs=[
        CleanupAnonymousUsers(),
        CleanupEmptyContexts(),
        CleanupInactiveSessions(),
        DatabaseCleanup(),
        LogCleanup(),
        PublishContent(),
    ],
)
