"""A site that is published in a test, and what is read from its output."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from sqlalchemy import Engine

from cronledger.extensions.web.publish_pipeline import PublishPipeline
from cronledger.testing import ManualClock, Performed, perform_with_steps
from tests.unit.extensions.site.site_files import markdown

EXAMPLE = Path(__file__).parents[4] / "examples" / "site"
BASE_URL = "https://alderandrye.example"
STATE = ".cronledger"


class PublishedSite:
    """A folder with a site, a database and a clock; its content and settings can be changed in between."""

    def __init__(self, root: Path, db: Engine | None, clock: ManualClock) -> None:
        self.root = root
        self.db = db
        self.clock = clock
        self.output = root / "web" / "dist"
        self.config = root / "services" / "config" / "config.yaml"

    @classmethod
    def example(cls, root: Path, db: Engine | None, clock: ManualClock) -> PublishedSite:
        """Return a copy of the sample site."""
        shutil.copytree(EXAMPLE / "services", root / "services")
        return cls(root, db, clock)

    @classmethod
    def bare(cls, root: Path, db: Engine | None, clock: ManualClock) -> PublishedSite:
        """Return a site without templates, assets or settings, and one source `blog` without items."""
        site = cls(root, db, clock)
        (root / "services" / "content").mkdir(parents=True)
        site.config.parent.mkdir()
        site.config.write_text(
            "application: {base_url: https://alderandrye.example}\n"
            "scheduler: {jobs: [{name: publish_pipeline, extension: web}]}\n"
        )
        return site

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file of the site, named relative to `services/`."""
        path = self.root / "services" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def add(self, slug: str, body: str = "Some text.", **front: str) -> Path:
        """Write an item of the source `blog`."""
        said = {"title": slug.capitalize(), "slug": f'"{slug}"'} | front
        return self.write(f"content/{slug or 'index'}.md", markdown(body, **said))

    def publish(self) -> Performed:
        """Perform the pipeline once."""
        pipeline = PublishPipeline()
        return asyncio.run(perform_with_steps(pipeline, db=self.db, config=self.config, clock=self.clock))

    def errors(self) -> dict[str, str]:
        """Perform the pipeline once and return the errors of the steps that failed."""
        return {step.name: step.error for step in self.publish().steps if step.error}

    def text(self, path: str) -> str:
        """Return a file of the output."""
        return (self.output / path).read_text(encoding="utf-8")


def files(folder: Path) -> dict[str, bytes]:
    """Return every file of an output folder, without what the writer keeps for itself."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and STATE not in path.parts
    }


def places(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return for every file what changes when it is written: its inode and both times."""
    found = {path: path.stat() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        path.relative_to(folder).as_posix(): (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
        for path, status in found.items()
        if path.name != "lock"
    }


def tree_hash(folder: Path, but: Path) -> str:
    """Return one hash of everything below a folder except below another one: names, kinds and bytes."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if not path.is_relative_to(but):
            kind = "link" if path.is_symlink() else "file" if path.is_file() else "other"
            found.update(f"{path.relative_to(folder)} {kind}\n".encode())
            found.update(path.read_bytes() if kind == "file" else b"")
    return found.hexdigest()


class Page(HTMLParser):
    """A page as a browser would take it apart: its elements with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        if tag in self._inside:
            del self._inside[len(self._inside) - 1 - self._inside[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        """Keep what can be read."""
        if self._inside[-1:] not in (["script"], ["style"]):
            self.words.append(data)

    @property
    def ids(self) -> list[str]:
        """Every id, in order."""
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def addresses(self) -> Iterator[str]:
        """Yield where links, pictures, style sheets and scripts lead."""
        for _, attributes in self.elements:
            yield from (attributes[name] for name in ("href", "src") if name in attributes)
