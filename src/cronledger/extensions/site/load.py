"""The files that describe a site, to its settings. Every one is optional; all problems are told at once.

services/content/config.yaml           content_sources, categories, metadata
services/config/blog.yaml              base_url, content_sources; elsewhere if BLOG_CONFIG says so
services/web/templates/templates.yaml  templates: which kinds of content each one is for

The application's configuration may say `application.base_url`, and other folders under `application.site`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cronledger import JobContext
from cronledger.errors import ConfigError
from cronledger.extensions.site import sources
from cronledger.extensions.site.kinds import KINDS, kind_of
from cronledger.extensions.site.reading import Part, read_file
from cronledger.extensions.site.settings import Site, Source
from cronledger.strict_yaml import check
from cronledger.strict_yaml.problem import Problems, meant, quoted

BLOG_CONFIG = "BLOG_CONFIG"
FOLDERS = {
    "content": "services/content",
    "templates": "services/web/templates",
    "assets": "services/web/assets",
    "output": "web/dist",
}
"""Where everything is, relative to the application's root."""

_BASE_URL = "https://example.com"
_METADATA = ("name", "description", "default_author", "language", "locales", "structured_data")
_STRUCTURED = ("organization", "blog", "article")
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_TEMPLATE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


def load_site(ctx: JobContext) -> Site:
    """Return the settings of the application's site.

    Raises ConfigError with every problem of every file, each as `FILE:LINE:COLUMN: error: ...`.
    """
    problems = Problems()
    loading = _Loading(Path(os.path.realpath(ctx.root)), problems)
    site = loading.site(ctx.config)
    try:
        problems.refuse()
    except ConfigError as error:
        raise ConfigError([*loading.application_problems, *error.problems]) from None
    if loading.application_problems:
        raise ConfigError(loading.application_problems)
    return site


class _Loading:
    """What the files have said so far."""

    def __init__(self, root: Path, problems: Problems) -> None:
        self._root = root
        self._problems = problems
        self.application_problems: list[str] = []

    def site(self, application: Mapping[str, Any]) -> Site:
        folders = self._folders(application.get("site"))
        content = self._file(
            folders["content"] / "config.yaml", ("content_sources", "categories", "metadata")
        )
        blog = self._blog()
        base_url = self._base_url(application, blog)
        metadata = content.part("metadata", _METADATA)
        structured = metadata.part("structured_data", _STRUCTURED)
        locales = metadata.get("locales", check.several(check.filled), ())
        usual = locales[0] if locales and not metadata.says("language") else "en"
        language = self._locale(metadata, "language", metadata.text("language", usual))
        found = self._sources(content, blog, folders["content"])
        return Site(
            base_url=base_url,
            name=metadata.text("name")
            or structured.part("organization").text("name")
            or urlsplit(base_url).hostname
            or "",
            description=metadata.text("description") or structured.part("blog").text("description"),
            author=metadata.text("default_author"),
            language=language,
            locales=tuple(self._locale(metadata, "locales", each) for each in locales) or (language,),
            sources=found,
            kinds=self._kinds(folders["templates"], found),
            **folders,
        )

    def _folders(self, said: object) -> dict[str, Path]:
        chosen = said if isinstance(said, Mapping) else {}
        if said is not None and not isinstance(said, Mapping):
            self.application_problems.append("application.site: must be a mapping of names to folders")
        for key in chosen:
            if key not in FOLDERS:
                unknown = f"unknown key {quoted(str(key))}; {_meant(str(key), FOLDERS)}"
                self.application_problems.append(f"application.site: {unknown}")
        for key, folder in chosen.items():
            if not isinstance(folder, str) or not folder or "\0" in folder:
                self.application_problems.append(f"application.site.{key}: must be the path of a folder")
        texts = {key: chosen.get(key) for key in FOLDERS}
        folders = {
            key: Path(os.path.normpath(self._root / (text if isinstance(text, str) else FOLDERS[key])))
            for key, text in texts.items()
        }
        self._check_places(folders)
        return folders

    def _check_places(self, folders: Mapping[str, Path]) -> None:
        """Refuse folders that a link leads to, and an output that would be read as what it is made of."""
        real = {key: Path(os.path.realpath(folder)) for key, folder in folders.items()}
        for key, folder in folders.items():
            # Content is judged where its sources are. What lies elsewhere was meant to.
            if key != "content" and folder.is_relative_to(self._root) and real[key] != folder:
                self._refuse_link(folder)
        output = real["output"]
        inputs = (key for key in ("assets", "templates", "content") if _overlap(output, real[key]))
        if key := next(inputs, ""):
            self.application_problems.append(
                f"application.site.output: {self._shown(folders['output'])} overlaps the folder of {key}, "
                f"{self._shown(folders[key])}: choose a folder apart from it"
            )

    def _refuse_link(self, folder: Path) -> None:
        self.application_problems.append(
            f"{self._shown(folder)} leads through a symbolic link, which is not followed"
        )

    def _file(self, path: Path, known: tuple[str, ...]) -> Part:
        found = read_file(path, self._shown(path), known, self._problems)
        return found or Part.nothing(self._shown(path), self._problems)

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self._root) if path.is_relative_to(self._root) else path)

    def _blog(self) -> tuple[Part, Path]:
        said = os.environ.get(BLOG_CONFIG)
        path = self._root / (said or "services/config/blog.yaml")
        known = ("base_url", "enable_link_tracking", "content_sources")
        found = read_file(path, self._shown(path), known, self._problems)
        if found is None and said:
            self.application_problems.append(f"{BLOG_CONFIG}: there is no file {quoted(said)}")
        part = found or Part.nothing(self._shown(path), self._problems)
        part.get("enable_link_tracking", check.flag, None)
        return part, path.parent

    def _base_url(self, application: Mapping[str, Any], blog: tuple[Part, Path]) -> str:
        part, _ = blog
        chosen = part.text("base_url", _BASE_URL)
        if reason := _unfit_address(chosen):
            part.refuse("base_url", f"{quoted(chosen)} {reason}")
            chosen = _BASE_URL
        if (said := application.get("base_url")) is not None:
            if reason := _unfit_address(str(said)):
                self.application_problems.append(f"application.base_url: {quoted(str(said))} {reason}")
            else:
                chosen = str(said)
        return chosen.rstrip("/")

    def _locale(self, metadata: Part, key: str, locale: str) -> str:
        if not _LOCALE.fullmatch(locale):
            metadata.refuse(key, f"{quoted(locale)} is not a locale such as en or pt-BR")
        return locale

    def _sources(self, content: Part, blog: tuple[Part, Path], folder: Path) -> tuple[Source, ...]:
        said: dict[str, sources.Said] = {}
        names: set[str] = set()
        for name, part in content.parts("content_sources", sources.KEYS):
            found = sources.read(part, name, sources.Places(self._root, folder))
            source_id = found.fields["source_id"]
            if source_id in said:
                part.refuse("source_id", f"source '{source_id}' is already defined")
            said[source_id] = found
        part, beside = blog
        for item in part.items("content_sources", sources.KEYS):
            if not item.says("source_id"):
                item.refuse("source_id", "is missing")
                continue
            found = sources.read(item, "", sources.Places(self._root, beside))
            source_id = found.fields["source_id"]
            if source_id in names:
                item.refuse("source_id", f"source '{source_id}' is already defined")
            names.add(source_id)
            said[source_id] = sources.joined(said[source_id], found) if source_id in said else found
        if not said:
            return self._usual_source(folder)
        categories = dict(content.parts("categories", ("name", "description")))
        return tuple(
            source
            for each in said.values()
            if (source := sources.finished(each)) and _has_category(each, source, categories)
        )

    def _usual_source(self, folder: Path) -> tuple[Source, ...]:
        if not folder.is_dir():
            return ()
        if Path(os.path.realpath(folder)) != folder:
            self._refuse_link(folder)
        return (Source(source_id="blog", path=folder, sitemap=sources.usual_sitemap("blog")),)

    def _kinds(self, templates: Path, found: tuple[Source, ...]) -> dict[str, str]:
        kinds: dict[str, str] = {}
        lists = {f"{source_id}-list" for source_id in ("blog", *(source.source_id for source in found))}
        known = (*KINDS, "page", *sorted(lists - {*KINDS}))
        whole = self._file(templates / "templates.yaml", ("templates",))
        for name, part in whole.parts("templates", ("content_types",)):
            if not _TEMPLATE.fullmatch(name):
                part.wrong(f"{quoted(name)} is not the name of a file in {self._shown(templates)}")
            for word in part.get("content_types", check.several(check.filled), ()):
                kind = word if word in lists else kind_of(word)
                if word not in known:
                    part.refuse("content_types", f"unknown kind {quoted(word)}; {_meant(word, known)}")
                elif kinds.setdefault(kind, name) != name:
                    part.refuse("content_types", f"{quoted(word)} already has the template '{kinds[kind]}'")
        return kinds


def _has_category(said: sources.Said, source: Source, categories: Mapping[str, Part]) -> bool:
    if categories and source.category_id and source.category_id not in categories:
        unknown = f"unknown category {quoted(source.category_id)}; {_meant(source.category_id, categories)}"
        said.part.refuse("category_id", unknown)
    return True


def _meant(word: str, known: Iterable[str]) -> str:
    return meant(word, known) or f"known: {', '.join(known)}"


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _unfit_address(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return "is not an address"
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_fine:
        return "must be an address that begins with http:// or https://"
    if parts.query or parts.fragment or parts.username is not None or re.search(r"[\s\"'<>\\]", url):
        return "must be a plain address, without user, blanks, ? or #"
    if not url.isascii():  # nor do sitemaps and feeds take it
        return "must be written in ASCII: the host as xn--..., other letters as %C3%BC"
    return None
