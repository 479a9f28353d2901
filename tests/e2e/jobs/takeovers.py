"""Deaths and takeovers, many at a time: each in a folder and a ledger of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.jobs.nursery import Nursery

Cases = dict[str, tuple[Path, str]]
"""A folder and the address of a ledger for each place where a process is to die."""
Takeover = Callable[[Nursery, Path, str, str], list[str]]
"""What has a process die at a place and another one take over, and returns all that is wrong then."""


def on_sqlite(config: str, places: Iterable[str], path: Path, template: Path) -> Cases:
    """Make a folder with a configuration and a ledger for each place."""
    cases = {}
    for place in places:
        folder = _folder(config, place, path)
        shutil.copyfile(template, folder / "ledger.db")
        cases[place] = (folder, f"sqlite:///{folder / 'ledger.db'}")
    return cases


@contextmanager
def on_postgres(config: str, places: Iterable[str], path: Path, server: Any) -> Iterator[Cases]:
    """Make a folder with a configuration and a database for each place; the databases go at the end."""
    cases = {place: (_folder(config, place, path), server.make_database()) for place in places}
    try:
        yield cases
    finally:
        for _, url in cases.values():
            server.drop_database(url)


def all_wrong(
    nursery: Nursery, cases: Cases, takeover: Takeover, *, at_once: int = 4
) -> dict[str, list[str]]:
    """Go through cases, some at a time; return what is wrong, by place."""
    with ThreadPoolExecutor(at_once) as threads:
        found = {
            place: threads.submit(takeover, nursery, folder, url, place)
            for place, (folder, url) in cases.items()
        }
    return {place: wrong for place, future in found.items() if (wrong := future.result())}


def _folder(config: str, place: str, path: Path) -> Path:
    folder = path / place.replace(":", "-")
    folder.mkdir()
    (folder / "config.yaml").write_text(config)
    return folder
