"""The whole site: nine steps, each recorded by itself, and none that stops the next."""

from __future__ import annotations

from cronledger import Pipeline
from cronledger.extensions.site.ingestion import Rules
from cronledger.extensions.web.steps.asset_copy import asset_copy
from cronledger.extensions.web.steps.asset_organization import asset_organization
from cronledger.extensions.web.steps.content_ingestion import content_ingestion
from cronledger.extensions.web.steps.content_prerender import content_prerender
from cronledger.extensions.web.steps.llms_txt import llms_txt
from cronledger.extensions.web.steps.page_prerender import page_prerender
from cronledger.extensions.web.steps.robots_txt import robots_txt
from cronledger.extensions.web.steps.rss_feed import rss_feed
from cronledger.extensions.web.steps.sitemap import sitemap


class PublishPipeline(Pipeline):
    """Markdown files to a static site.

    A step reads what it needs from the files and the database, and nothing from the memory of another: a run
    that is tried again goes on behind the last step that was finished.
    """

    name = "publish_pipeline"
    description = "Turn Markdown, templates and assets into the static site, in nine steps"
    schedule = "0 */15 * * * *"
    run_on_startup = True
    tags = ("content", "site")
    idempotent = True
    params = Rules

    def __init__(self) -> None:
        super().__init__(
            [
                content_ingestion,
                asset_copy,
                content_prerender,
                page_prerender,
                sitemap,
                llms_txt,
                robots_txt,
                rss_feed,
                asset_organization,
            ]
        )
