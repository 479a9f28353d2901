"""Step 1: Markdown files to rows, as `blog:content_ingestion` does it."""

from __future__ import annotations

from cronledger import JobContext, JobResult
from cronledger.extensions.site.ingestion import ingest
from cronledger.extensions.site.load import load_site


def content_ingestion(ctx: JobContext) -> JobResult:
    """Read every source of content."""
    return ingest(ctx, load_site(ctx), ctx.params).result()
