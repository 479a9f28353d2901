"""Step 7: `robots.txt`."""

from __future__ import annotations

from cronledger import JobContext, JobResult
from cronledger.extensions.site.load import load_site
from cronledger.extensions.site.output import Output
from cronledger.extensions.site.urls import Addresses

CLOSED = ("/api/", "/console/", "/_/")
"""What crawlers shall leave alone."""


def robots_txt(ctx: JobContext) -> JobResult:
    """Let crawlers read all but an application's own addresses, and tell them where the sitemap is."""
    site = load_site(ctx)
    addresses = Addresses(site.base_url)
    lines = [
        "User-agent: *",
        f"Allow: {addresses.path('/')}",
        "",
        *(f"Disallow: {addresses.path(path)}" for path in CLOSED),
        "",
        f"Sitemap: {addresses.full('/sitemap.xml')}",
        "",
    ]
    with Output(site.output, "robots_txt", enforce=ctx.enforce) as output:
        output.put("robots.txt", "\n".join(lines).encode())
        counts = output.finish()
    return JobResult.success().with_stats(1, 0).with_message(str(counts))
