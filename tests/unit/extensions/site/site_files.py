"""A site's folder for the tests, and the jobs performed on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, MetaData, Table, select

from cronledger import Job, JobContext, JobResult
from cronledger.domain.run import RunState
from cronledger.errors import ConfigError
from cronledger.extensions.blog.content_ingestion import ContentIngestion
from cronledger.extensions.site.ingestion import Rules, ingest
from cronledger.extensions.site.load import load_site
from cronledger.extensions.site.settings import Site
from cronledger.extensions.tables import COLUMNS
from cronledger.testing import ManualClock, perform

FRONT = {"title": "Hello", "slug": "hello", "published_at": "2026-01-31", "kind": "blog"}
"""What front matter must say, and no more."""


def markdown(body: str = "Some text.", **front: str | None) -> str:
    """Return a file of which `front` says more or something else; None takes a key away."""
    said = {key: value for key, value in (FRONT | front).items() if value is not None}
    return "\n".join(["---", *(f"{key}: {value}" for key, value in said.items()), "---", body])


class Folder:
    """An application's folder, its database, and what its configuration says of it and of the job."""

    def __init__(self, root: Path, db: Engine | None, clock: ManualClock) -> None:
        self.root = root
        self.db = db
        self.clock = clock
        self.application: dict[str, Any] = {}
        self.entry: dict[str, str] = {}
        self.content = root / "services/content"

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file of content."""
        return self.write_elsewhere(f"services/content/{name}", text)

    def write_elsewhere(self, name: str, text: str | bytes) -> Path:
        """Write a file of the application."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def perform(self, job: Job | None = None, *, extension: str = "blog", **params: str) -> RunState:
        """Perform a job once; ingestion, unless another one is given."""
        given = job or ContentIngestion()
        entry = {"job": str(given.name), "extension": extension, **self.entry}
        lines = "".join(f"      {key}: {value}\n" for key, value in entry.items())
        config = self.write_elsewhere(
            "services/config/config.yaml",
            f"application: {json.dumps(self.application)}\nscheduler:\n  jobs:\n    -\n{lines}",
        )
        config.chmod(0o600)
        return asyncio.run(perform(given, params=params, db=self.db, config=config, clock=self.clock))

    def ingest(self, *, delete_orphans: bool | None = None, enforce: bool = True) -> JobResult:
        """Ingest once without a run, which takes longer than the work."""
        ctx = self.context(enforce=enforce)
        return ingest(ctx, load_site(ctx), Rules(delete_orphans=delete_orphans)).result()

    def context(
        self, is_cancelled: Callable[[], bool] = lambda: False, *, enforce: bool = True
    ) -> JobContext:
        """Return the context of a run that has no identity and no steps."""
        no_run: Any = None
        return JobContext(
            no_run,
            steps=no_run,
            idempotency_key="none",
            root=str(self.root),
            config=self.application,
            db=self.db,
            now=self.clock.now,
            enforce=enforce,
            is_cancelled=is_cancelled,
        )

    def load(self) -> tuple[Site | None, list[str]]:
        """Return the site, or what is wrong: each problem's line without what it quotes of the file."""
        try:
            return load_site(self.context()), []
        except ConfigError as error:
            return None, [problem.partition("\n")[0] for problem in error.problems]

    def site(self) -> Site:
        """Return the site, which must be there."""
        site, problems = self.load()
        assert site is not None, problems
        return site

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of content, by slug and locale, with the columns as jobs know them."""
        assert self.db is not None
        table = Table("markdown_content", MetaData(), autoload_with=self.db)
        asked = select(table).order_by(table.c.slug, table.c.locale)
        with self.db.connect() as connection:
            found = [dict(row) for row in connection.execute(asked).mappings()]
        assert all(row.keys() == COLUMNS["markdown_content"].keys() for row in found)
        return found

    def slugs(self) -> list[str]:
        """Return the slugs of all rows."""
        return [row["slug"] for row in self.rows()]
