"""Step 6: `llms.txt`: what the site has, as a short Markdown page for language models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cronledger import JobContext, JobResult
from cronledger.extensions.site.load import load_site
from cronledger.extensions.site.output import Output
from cronledger.extensions.site.published import Item, Published, name_of, published
from cronledger.extensions.site.settings import Site
from cronledger.extensions.site.urls import Addresses

NEWEST = 15
"""So many posts are named."""

CHAPTERS = (("services", "Services"), ("extensions", "Extensions"), ("config", "Configuration Reference"))
"""Parts of the documentation, by the beginning of the slug."""
REST = "General"

_SPACE = re.compile(r"\s+")
_MARK = re.compile(r"([\\\[\]`*_<>])")


def llms_txt(ctx: JobContext) -> JobResult:
    """Write the addresses and descriptions of what is public, in a fixed order."""
    site = load_site(ctx)
    everything = published(ctx, site)
    items = everything.pages_in(site.locales[0])
    text = "\n".join(_lines(site, everything, items)).rstrip("\n") + "\n"
    with Output(site.output, "llms_txt", enforce=ctx.enforce) as output:
        output.put("llms.txt", text.encode())
        counts = output.finish()
    return JobResult.success().with_stats(text.count("\n- "), 0).with_message(str(counts))


def _lines(site: Site, everything: Published, items: list[Item]) -> Iterator[str]:
    addresses = Addresses(site.base_url)
    lists = [
        f"- [{_plain(name_of(each.source))}]({addresses.full(each.url)})"
        for each in everything.listings
        if each.locale == site.locales[0]
    ]
    yield f"# {_plain(site.name)}"
    if site.description:
        yield from ("", f"> {_plain(site.description)}")
    yield from ("", "## Quick Links", "", f"- [Homepage]({addresses.full('/')})", *lists, "")
    documents = [item for item in items if item.kind not in ("blog", "legal")]
    if documents:
        yield from ("## Documentation", "")
        for title, some in _chapters(documents):
            yield from (f"### {title}", "", *_links(addresses, some), "")
    if posts := [item for item in items if item.kind == "blog"]:
        yield from ("## Blog", "", *_links(addresses, posts[:NEWEST]), "")
    legal = sorted((item for item in items if item.kind == "legal"), key=lambda item: item.title)
    yield from ("## Resources", "", f"- [Sitemap]({addresses.full('/sitemap.xml')})")
    yield from _links(addresses, legal)


def _chapters(documents: list[Item]) -> Iterator[tuple[str, list[Item]]]:
    ordered = sorted(documents, key=lambda item: (item.title, item.slug))
    titles = {item.id: _chapter(item.slug) for item in ordered}
    for title in (*(title for _, title in CHAPTERS), REST):
        if some := [item for item in ordered if titles[item.id] == title]:
            yield title, some


def _chapter(slug: str) -> str:
    return next((title for prefix, title in CHAPTERS if slug.startswith(prefix)), REST)


def _links(addresses: Addresses, items: Iterable[Item]) -> Iterator[str]:
    for item in items:
        about = f": {_plain(item.description)}" if item.description else ""
        yield f"- [{_plain(item.title)}]({addresses.full(item.url)}){about}"


def _plain(text: str) -> str:
    """Return a text that stays on its line and marks nothing."""
    return _MARK.sub(r"\\\1", _SPACE.sub(" ", text).strip())
