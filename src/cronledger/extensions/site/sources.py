"""One source of content, as a file says it; two files may each say a part of it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec

from cronledger.extensions.site.kinds import kind_of
from cronledger.extensions.site.reading import Part
from cronledger.extensions.site.settings import Branding, ParentRoute, Sitemap, Source
from cronledger.strict_yaml import check
from cronledger.strict_yaml.problem import quoted

KEYS = (
    "source_id", "category_id", "path", "allowed_content_types", "enabled", "override_existing",
    "description", "branding", "indexing", "sitemap",
)  # fmt: skip
_ROUTE = ("enabled", "url", "priority", "changefreq")
_CHANGEFREQ = check.one_of(["always", "hourly", "daily", "weekly", "monthly", "yearly", "never"])
_PRIORITY = check.number(0, 1)
_ID = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
_SEGMENT = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")
_SLUG = "{slug}"


class Said(msgspec.Struct, frozen=True):
    """What one file says of a source, and nothing that it does not say."""

    part: Part
    fields: dict[str, Any]


class Places(msgspec.Struct, frozen=True):
    """What paths in a file are relative to: `services/...` to the application's root, others to the file."""

    root: Path
    folder: Path


def read(part: Part, name: str, places: Places) -> Said:
    """Return what a mapping says of the source `name`."""
    source_id = part.get("source_id", check.filled, name)
    if not _ID.fullmatch(source_id):
        part.refuse("source_id", f"{quoted(source_id)} may have small letters, digits, '-' and '_' only")
    fields: dict[str, Any] = {"source_id": source_id}
    if part.says("path"):
        fields["path"] = _path(part, places)
    for key, kind in (
        ("category_id", check.text),
        ("enabled", check.flag),
        ("override_existing", check.flag),
        ("allowed_content_types", check.several(check.filled)),
    ):
        if part.says(key):
            fields[key] = part.get(key, kind, None)
    if fields.get("allowed_content_types"):
        fields["allowed_content_types"] = tuple(dict.fromkeys(map(kind_of, fields["allowed_content_types"])))
    if part.says("indexing"):
        fields |= _indexing(part.part("indexing", ("clear_before", "recursive", "override_existing")))
    if part.says("branding") or part.says("description"):
        fields["branding"] = _branding(part)
    if part.says("sitemap"):
        fields["sitemap"] = _sitemap(part, source_id)
    return Said(part, fields)


def joined(first: Said, second: Said) -> Said:
    """Return what two files say of one source; where they say different things, the first one stands."""
    for key, value in second.fields.items():
        if first.fields.setdefault(key, value) != value:
            where = first.part.place_of(key)
            second.part.refuse(key, f"source '{first.fields['source_id']}' says something else at {where}")
    return first


def finished(said: Said) -> Source | None:
    """Return the source, once all files have spoken; None if its path is missing."""
    fields = {key: value for key, value in said.fields.items() if value is not None}
    if "path" not in fields:
        if not said.part.says("path"):
            said.part.refuse("path", "is missing: say in which folder its Markdown files are")
        return None
    if fields.get("enabled", True):
        _check_folder(said.part, fields["path"])
    fields.setdefault("sitemap", usual_sitemap(fields["source_id"]))
    return Source(**fields)


def usual_sitemap(source_id: str) -> Sitemap:
    """Return where a source's items appear if nobody says it."""
    return Sitemap(url_pattern=f"/{source_id}/{_SLUG}", parent_route=ParentRoute(url=f"/{source_id}"))


def _path(part: Part, places: Places) -> Path | None:
    written = part.get("path", check.filled, None)
    if written is None or Path(written).is_absolute():
        return None if written is None else Path(os.path.normpath(written))
    is_services = Path(written).parts[:1] == ("services",)
    path = Path(os.path.normpath((places.root if is_services else places.folder) / written))
    if not path.is_relative_to(places.root):
        part.refuse("path", f"{quoted(written)} leads out of {places.root}", "an absolute path may")
        return None
    if Path(os.path.realpath(path)) != path:
        part.refuse("path", f"{quoted(written)} leads through a symbolic link, which is not followed")
        return None
    return path


def _check_folder(part: Part, path: Path) -> None:
    if not path.is_dir():
        part.refuse("path", f"{path} is not a folder" if path.exists() else f"there is no folder {path}")


def _indexing(part: Part) -> dict[str, Any]:
    keys = ("clear_before", "recursive", "override_existing")
    return {key: part.get(key, check.flag, None) for key in keys if part.says(key)}


def _branding(part: Part) -> Branding:
    keys = ("name", "description", "image", "keywords")
    said = part.part("branding", keys)
    texts = {key: said.text(key) for key in keys}
    texts["description"] = texts["description"] or part.text("description")
    return Branding(**texts)


def _sitemap(source: Part, source_id: str) -> Sitemap:
    part = source.part(
        "sitemap", ("enabled", "url_pattern", "priority", "changefreq", "fetch_from", "parent_route")
    )
    part.text("fetch_from")
    pattern = part.text("url_pattern", f"/{source_id}/{_SLUG}")
    if pattern.count(_SLUG) != 1:
        part.refuse("url_pattern", f"{quoted(pattern)} must contain {_SLUG} once")
    elif reason := _unfit(pattern.replace(_SLUG, "slug")):
        part.refuse("url_pattern", f"{quoted(pattern)} {reason}")
    return Sitemap(
        enabled=part.get("enabled", check.flag, True),
        url_pattern=pattern,
        priority=part.get("priority", _PRIORITY, 0.5),
        changefreq=part.get("changefreq", _CHANGEFREQ, "weekly"),
        parent_route=_parent(part.part("parent_route", _ROUTE), source_id)
        if part.says("parent_route")
        else None,
    )


def _parent(part: Part, source_id: str) -> ParentRoute:
    url = part.text("url", f"/{source_id}")
    if url != "/" and (reason := _unfit(url)):
        part.refuse("url", f"{quoted(url)} {reason}")
    return ParentRoute(
        enabled=part.get("enabled", check.flag, True),
        url=url,
        priority=part.get("priority", _PRIORITY, 0.5),
        changefreq=part.get("changefreq", _CHANGEFREQ, "weekly"),
    )


def _unfit(url: str) -> str | None:
    """Say why a path of the site cannot be used, so that nothing is ever written beside the output."""
    if not url.startswith("/"):
        return "must begin with /"
    for segment in url.removeprefix("/").removesuffix("/").split("/"):
        if not _SEGMENT.fullmatch(segment):
            return "may have letters, digits, '-', '_', '~' and '.' between slashes, and no '.' in front"
    return None
