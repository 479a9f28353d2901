"""Document 001, "Writing Custom Jobs": a job that its module submits."""

from __future__ import annotations

from cronledger import Job, JobContext, JobResult, submit_job


class MyCustomJob(Job):
    """The document writes every member as a method; so does this."""

    def name(self) -> str:
        return "my_custom_job"

    def description(self) -> str:
        return "Brief description of what this job does"

    def schedule(self) -> str:
        return "0 0 * * * *"

    def run_on_startup(self) -> bool:
        return False

    async def execute(self, ctx: JobContext) -> JobResult:
        assert ctx.db is not None
        items_processed = 42
        items_failed = 0
        return JobResult.success().with_stats(items_processed, items_failed)


submit_job(MyCustomJob())
