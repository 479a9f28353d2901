"""`content_ingestion`: what the Markdown files of all sources say, in the database."""

from __future__ import annotations

from cronledger import Job, JobContext, JobResult
from cronledger.extensions.site.ingestion import Rules, ingest
from cronledger.extensions.site.load import load_site
from cronledger.extensions.threads import in_thread


class ContentIngestion(Job):
    """Read the Markdown files of every source of content into the database."""

    name = "content_ingestion"
    description = "Read the Markdown files of every source of content into the database."
    schedule = "0 0 * * * *"
    tags = ("content",)
    idempotent = True
    params = Rules

    async def execute(self, ctx: JobContext) -> JobResult:
        """Ingest what is new or has changed."""
        return await in_thread(ctx, _ingest)


def _ingest(ctx: JobContext) -> JobResult:
    return ingest(ctx, load_site(ctx), ctx.params).result()
