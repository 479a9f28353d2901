"""What a site's files say about it: its name and address, its sources of content, where everything is."""

from __future__ import annotations

from pathlib import Path

import msgspec


class ParentRoute(msgspec.Struct, frozen=True, kw_only=True):
    """The page that lists a source's items."""

    enabled: bool = True
    url: str
    priority: float = 0.5
    changefreq: str = "weekly"


class Sitemap(msgspec.Struct, frozen=True, kw_only=True):
    """Where a source's items appear: `url_pattern` holds `{slug}`."""

    enabled: bool = True
    url_pattern: str
    priority: float = 0.5
    changefreq: str = "weekly"
    parent_route: ParentRoute | None = None


class Branding(msgspec.Struct, frozen=True, kw_only=True):
    """How a source, or the whole site, calls itself."""

    name: str = ""
    description: str = ""
    image: str = ""
    keywords: str = ""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One folder of Markdown files. An item of kind outside `allowed_content_types` (if any) is an error.

    Attributes:
        recursive: Whether the folders in the folder belong to it.
        clear_before: Whether rows whose files are gone are deleted, whatever the run says.
    """

    source_id: str
    category_id: str = ""
    path: Path
    allowed_content_types: tuple[str, ...] = ()
    enabled: bool = True
    override_existing: bool = True
    recursive: bool = True
    clear_before: bool = False
    branding: Branding = Branding()
    sitemap: Sitemap | None = None


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that publishing needs to know; all paths are absolute.

    Attributes:
        base_url: http or https, without a slash at its end.
        locales: The first one is the default: its pages have no prefix.
        templates: Jinja2 templates; `kinds` names the one for each kind of content.
        assets: Folder whose files are copied to the output under the same relative names.
    """

    base_url: str
    name: str
    description: str = ""
    author: str = ""
    language: str = "en"
    locales: tuple[str, ...] = ("en",)
    sources: tuple[Source, ...] = ()
    kinds: dict[str, str] = {}
    content: Path
    templates: Path
    assets: Path
    output: Path
