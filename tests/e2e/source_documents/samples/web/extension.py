"""Document 003, "Project Structure": the extension, for jobs that are not submitted by their modules."""

from __future__ import annotations

from cronledger import Extension, Job

from .jobs import ContentIngestionJob, PublishJob


class WebExtension(Extension):
    """Provides jobs beside those that `web.jobs` submits."""

    name = "web"

    def jobs(self) -> list[Job]:
        return [ContentIngestionJob(), PublishJob()]
