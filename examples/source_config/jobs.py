"""Samples for the configuration files of the source documents: they only show the shape.

Every job that `services/scheduler/config.yaml` and `services/scheduler/config-of-000.yaml` name stands here
under the same extension and name. Each does something small that can be seen (it counts files below `data`
or writes some below `dist`) and says so in its result. The jobs that come with the package are something
else: they do the real work, on a real database.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from cronledger import JobContext, JobResult, Pipeline, job, submit_job

DATA = Path("data")
DIST = Path("dist")


# --- core: maintenance ----------------------------------------------------------------------------------


@job(extension="core", schedule="0 0 3 * * *")
def cleanup_anonymous_users() -> JobResult:
    """Remove old anonymous user accounts (a sample: counts them)."""
    return _counted(_files("anonymous_users"), "anonymous users")


@job(extension="core", schedule="0 0 * * * *")
def cleanup_empty_contexts() -> JobResult:
    """Clean up empty conversation contexts (a sample: counts the empty files)."""
    empty = [path for path in _files("contexts") if path.stat().st_size == 0]
    return _counted(empty, "empty contexts")


@job(extension="core", schedule="0 0 * * * *")
def cleanup_inactive_sessions() -> JobResult:
    """Remove inactive sessions (a sample: counts them)."""
    return _counted(_files("sessions"), "inactive sessions")


@job(extension="core", schedule="0 0 4 * * *")
def database_cleanup() -> JobResult:
    """General database maintenance (a sample: counts temporary files)."""
    return _counted(_files("temporary"), "temporary files")


@job(extension="core", schedule="0 */30 * * * *")
def publish_content() -> JobResult:
    """Sync content files to the database (a sample: counts them)."""
    return _counted(_files("content"), "content files")


# --- blog -----------------------------------------------------------------------------------------------


@job(extension="blog", schedule="0 0 * * * *")
def content_ingestion() -> JobResult:
    """Load markdown files (a sample: counts them)."""
    return _counted(_files("content"), "markdown files")


# --- web: the publish pipeline --------------------------------------------------------------------------


def asset_copy(_ctx: JobContext) -> JobResult:
    """Copy styles and scripts to the output folder."""
    DIST.mkdir(exist_ok=True)
    copied = [Path(shutil.copy(path, DIST)) for path in _files("assets")]
    return _counted(copied, "assets")


def content_prerender(_ctx: JobContext) -> JobResult:
    """Render each markdown file to a fragment of HTML."""
    fragments = DIST / "fragments"
    fragments.mkdir(parents=True, exist_ok=True)
    for path in _files("content"):
        (fragments / f"{path.stem}.html").write_text(f"<p>{path.read_text().strip()}</p>\n")
    return _counted(_files("content"), "fragments")


def page_prerender(_ctx: JobContext) -> JobResult:
    """Put each fragment into a page."""
    fragments = sorted((DIST / "fragments").glob("*.html"))
    for path in fragments:
        (DIST / path.name).write_text(f"<!doctype html>\n<title>{path.stem}</title>\n{path.read_text()}")
    return _counted(fragments, "pages")


def sitemap_generation(ctx: JobContext) -> JobResult:
    """List every page in sitemap.xml."""
    locations = "".join(f"<url><loc>{link}</loc></url>" for link in _links(ctx))
    return _written("sitemap.xml", f"<urlset>{locations}</urlset>\n")


def llms_txt_generation(ctx: JobContext) -> JobResult:
    """List every page in llms.txt."""
    return _written("llms.txt", "".join(f"- {link}\n" for link in _links(ctx)))


def robots_txt_generation(ctx: JobContext) -> JobResult:
    """Refer to the site map in robots.txt."""
    sitemap = f"{ctx.config['base_url']}/sitemap.xml"
    return _written("robots.txt", f"User-agent: *\nAllow: /\n\nSitemap: {sitemap}\n")


def rss_feed_generation(ctx: JobContext) -> JobResult:
    """List every page in feed.xml."""
    items = "".join(f"<item><link>{link}</link></item>" for link in _links(ctx))
    return _written("feed.xml", f'<rss version="2.0"><channel>{items}</channel></rss>\n')


def asset_organization(_ctx: JobContext) -> JobResult:
    """Move styles and scripts to folders of their own."""
    assets = [path for path in sorted(DIST.glob("*")) if path.suffix in {".css", ".js"}]
    for path in assets:
        folder = DIST / path.suffix.removeprefix(".")
        folder.mkdir(exist_ok=True)
        path.replace(folder / path.name)
    return _counted(assets, "assets in place")


class PublishPipeline(Pipeline):
    """Nine steps in sequence; one that fails does not stop the next."""

    name = "publish_pipeline"
    description = "Publish the site, step by step (a sample: a few small files below dist)"
    schedule = "0 */15 * * * *"
    run_on_startup = True


submit_job(
    PublishPipeline(
        [
            content_ingestion,
            asset_copy,
            content_prerender,
            page_prerender,
            sitemap_generation,
            llms_txt_generation,
            robots_txt_generation,
            rss_feed_generation,
            asset_organization,
        ]
    ),
    extension="web",
)


# --- web: figures and reports ---------------------------------------------------------------------------


@job(extension="web", schedule="0 */15 * * * *")
def content_analytics_aggregation() -> JobResult:
    """Aggregate page views per page (a sample: counts lines)."""
    pages = {line for path in _files("views") for line in path.read_text().split()}
    return JobResult.success().with_stats(len(pages), 0).with_message(f"Aggregated {len(pages)} pages")


@job(extension="web", schedule="0 0 7,19 * * *")
def daily_traffic_report() -> JobResult:
    """Report the traffic (a sample: says how many views there were)."""
    views = [line for path in _files("views") for line in path.read_text().split()]
    return JobResult.success().with_message(f"{len(views)} views today")


@job(extension="web", schedule="0 0 18 * * *")
def daily_activity_summary() -> JobResult:
    """Summarize the day (a sample: says how many things happened)."""
    happened = [line for path in _files("activity") for line in path.read_text().splitlines()]
    return JobResult.success().with_message(f"{len(happened)} activities today")


# --- what the samples share -----------------------------------------------------------------------------


def _files(folder: str) -> list[Path]:
    return sorted(path for path in (DATA / folder).glob("*") if path.is_file())


def _counted(paths: list[Path], what: str) -> JobResult:
    return JobResult.success().with_stats(len(paths), 0).with_message(f"Found {len(paths)} {what}")


def _links(ctx: JobContext) -> list[str]:
    return [f"{ctx.config['base_url']}/{path.name}" for path in sorted(DIST.glob("*.html"))]


def _written(name: str, text: str) -> JobResult:
    DIST.mkdir(exist_ok=True)
    (DIST / name).write_text(text)
    return JobResult.success().with_stats(1, 0).with_message(f"Wrote {name}")
