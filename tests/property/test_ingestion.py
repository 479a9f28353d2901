"""Ingestion step by step ends where ingestion from nothing does, whatever is done to the files in between."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from cronledger.migrations import application
from cronledger.testing import ManualClock
from tests.unit.extensions.conftest import NOON
from tests.unit.extensions.site.site_files import Folder, markdown

SETTINGS = "content_sources: {blog: {path: blog}, docs: {path: docs, category_id: help}}"
FILES = [f"{source}/{name}.md" for source in ("blog", "docs") for name in ("a", "b", "c/d")]

FILE = st.sampled_from(FILES)
WRITE = st.tuples(
    st.just("write"),
    FILE,
    st.sampled_from(["x", "y", "z"]),
    st.sampled_from(["en", "de"]),
    st.sampled_from(["First.", "Second."]),
)
EDIT = st.one_of(
    WRITE,
    st.tuples(st.just("remove"), FILE),
    st.tuples(st.just("rename"), FILE, FILE),
    st.tuples(st.just("ingest")),
)


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the tables of an application, to be copied."""
    path = tmp_path_factory.mktemp("application") / "empty.db"
    engine = create_engine(f"sqlite:///{path}")
    application.upgrade(engine)
    engine.dispose()
    return path


def edit(folder: Folder, step: tuple[str, ...]) -> None:
    match step:
        case ("write", name, slug, locale, body):
            folder.write(name, markdown(body, slug=slug, locale=locale))
        case ("remove", name):
            (folder.content / name).unlink(missing_ok=True)
        case ("rename", name, target) if (folder.content / name).exists():
            (folder.content / target).parent.mkdir(exist_ok=True)
            (folder.content / name).rename(folder.content / target)
        case ("ingest",):
            folder.ingest(delete_orphans=True)
        case _:
            pass


def result_of(folder: Folder) -> list[dict[str, Any]]:
    folder.ingest(delete_orphans=True)
    ours = {"id", "updated_at"}
    return [{key: value for key, value in row.items() if key not in ours} for row in folder.rows()]


@given(steps=st.lists(EDIT, max_size=12))
def test_the_way_does_not_matter(empty_database: Path, steps: list[tuple[str, ...]]) -> None:
    with TemporaryDirectory() as name:
        root = Path(name).resolve()
        databases = [create_engine(f"sqlite:///{shutil.copy(empty_database, root / each)}") for each in "12"]
        folder = Folder(root, databases[0], ManualClock(NOON))
        folder.write("config.yaml", SETTINGS)
        for source in ("blog", "docs"):
            folder.write(f"{source}/always.md", markdown(slug=f"always-{source}"))
        for step in steps:
            edit(folder, step)
        step_by_step = result_of(folder)
        folder.db = databases[1]

        assert result_of(folder) == step_by_step
        for database in databases:
            database.dispose()
