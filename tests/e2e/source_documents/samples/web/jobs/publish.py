"""Document 003, "Pipeline Jobs": a job that runs other jobs in sequence and stops at the first error."""

from __future__ import annotations

import anyio

from cronledger import Job, JobContext, JobResult

from .ingestion import ContentIngestionJob


class CopyExtensionAssetsJob(Job):
    """Can be called without a context, as the document does."""

    name = "copy_extension_assets"

    async def execute(self, ctx: JobContext) -> JobResult:
        return await self.execute_copy()

    @staticmethod
    async def execute_copy() -> JobResult:
        return JobResult.success()


class ContentPrerenderJob(Job):
    """Writes a page for each markdown file."""

    name = "content_prerender"

    async def execute(self, ctx: JobContext) -> JobResult:
        written = 0
        async for path in anyio.Path(ctx.config["content"]).glob("*.md"):
            await path.with_suffix(".html").write_text(f"<h1>{path.stem}</h1>\n")
            written += 1
        return JobResult.success().with_stats(written, 0)


class PublishJob(Job):
    """Manual only."""

    name = "publish"
    schedule = ""

    async def execute(self, ctx: JobContext) -> JobResult:
        await ContentIngestionJob().execute(ctx)
        await CopyExtensionAssetsJob.execute_copy()
        await ContentPrerenderJob().execute(ctx)
        return JobResult.success()
