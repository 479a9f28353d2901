"""`publish_content`: content files to the database, and nothing else; `publish_pipeline` makes the pages."""

from __future__ import annotations

from cronledger.extensions.blog.content_ingestion import ContentIngestion


class PublishContent(ContentIngestion):
    """Sync content files to the database."""

    name = "publish_content"
    description = "Sync content files to the database."
    schedule = "0 */30 * * * *"
