"""Document 003, "Project Structure": a job beside the others."""

from __future__ import annotations

import anyio

from cronledger import Job, JobContext, JobResult


class ContentIngestionJob(Job):
    """Counts the markdown files of the folder that the configuration names."""

    name = "content_ingestion"
    schedule = ""

    async def execute(self, ctx: JobContext) -> JobResult:
        found = [path async for path in anyio.Path(ctx.config["content"]).glob("*.md")]
        return JobResult.success().with_stats(len(found), 0)
