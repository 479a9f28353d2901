"""A site's folder for the tests, and the jobs performed on it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, MetaData, Table, select

from cronledger import Job
from cronledger.domain.run import RunState
from cronledger.extensions.blog.content_ingestion import ContentIngestion
from cronledger.testing import ManualClock, perform

FRONT = {"title": "Hello", "slug": "hello", "published_at": "2026-01-31", "kind": "blog"}
"""What front matter must say, and no more."""


def markdown(body: str = "Some text.", **front: object) -> str:
    """Return a file of which `front` says more or something else; None takes a key away."""
    said = {key: value for key, value in (FRONT | front).items() if value is not None}
    return "\n".join(["---", *(f"{key}: {value}" for key, value in said.items()), "---", body])


class Folder:
    """An application's folder, with an entry for each job that is performed."""

    def __init__(self, root: Path, db: Engine | None, clock: ManualClock) -> None:
        self.root = root
        self.db = db
        self.clock = clock
        self.entry: dict[str, object] = {}
        self.application = "{}"
        self.content = root / "services/content"
        self.content.mkdir(parents=True)

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file, named relative to the content."""
        path = self.content / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def perform(self, job: Job | None = None, **params: str) -> RunState:
        """Perform a job once; ingestion, unless another one is given."""
        given = job or ContentIngestion()
        config = self.root / "services/config/config.yaml"
        config.parent.mkdir(exist_ok=True)
        extension = "core" if given.name == "publish_content" else "blog"
        entry = {"job": given.name, "extension": extension if job is None else "site", **self.entry}
        written = "".join(f"      {key}: {value}\n" for key, value in entry.items())
        config.write_text(f"application: {self.application}\nscheduler:\n  jobs:\n    -\n{written}")
        config.chmod(0o600)
        return asyncio.run(perform(given, params=params, db=self.db, config=config, clock=self.clock))

    def rows(self) -> list[Mapping[str, Any]]:
        """Return the rows of content, by slug and locale."""
        assert self.db is not None
        table = Table("markdown_content", MetaData(), autoload_with=self.db)
        with self.db.connect() as connection:
            asked = select(table).order_by(table.c.slug, table.c.locale)
            return [dict(row) for row in connection.execute(asked).mappings()]
