"""The publish pipeline, killed with SIGKILL while it writes; a reader looks at the site all the time."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from pathlib import Path
from threading import Event, Thread
from typing import Self

import pytest

from cronledger.ledger.application import application_engine
from cronledger.migrations import application
from cronledger.testing import ManualClock
from tests.checker import ENDS
from tests.conftest import lines_of
from tests.e2e.jobs.nursery import Nursery
from tests.unit.extensions.conftest import NOON
from tests.unit.extensions.web.published_sites import EXAMPLE, PublishedSite, files
from tests.waiting import eventually_within

CONFIG = """
application: {base_url: https://alderandrye.example}
scheduler:
  drain_seconds: 5
  jobs: [{name: publish_pipeline, extension: web, schedule: ""}]
"""
NAMES = [
    "content_ingestion", "asset_copy", "content_prerender", "page_prerender", "sitemap", "llms_txt",
    "robots_txt", "rss_feed", "asset_organization",
]  # fmt: skip
PAGES = 60
WITHIN_PAGES = PAGES // 2


class Reader:
    """Reads every file again and again, as visitors do, and notes what should not be seen."""

    def __init__(self, folder: Path, before: dict[str, bytes], after: dict[str, bytes]) -> None:
        self.wrong: list[str] = []
        self.rounds = 0
        self._folder = folder
        self._may_be = {name: {before.get(name), after.get(name)} for name in before.keys() | after.keys()}
        for name in ("bakery.css", "site.css", "print.js"):  # on their way
            final = f"{name.rpartition('.')[2]}/{name}"
            self._may_be[name] = {None, *self._may_be[final]}
        self._end = Event()
        self._thread = Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._end.is_set():
            self.rounds += 1
            for name, allowed in self._may_be.items():
                try:
                    data = (self._folder / name).read_bytes()
                except FileNotFoundError:
                    data = None
                if data not in allowed:
                    self.wrong.append(f"{name}: {'not there' if data is None else data[-80:]!r}")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return the folder of a site with some more pages."""
    folder = tmp_path / "site"
    shutil.copytree(EXAMPLE / "services", folder / "services")
    (folder / "services/config/config.yaml").unlink()
    (folder / "config.yaml").write_text(CONFIG)
    for number in range(PAGES):
        (folder / f"services/content/journal/p{number}.md").write_text(
            f"---\ntitle: Page {number}\nslug: p{number}\npublished_at: 2026-01-02\nkind: blog\n---\n{number}"
        )
    return folder


def change(site: Path) -> None:
    """Give every page and a style sheet other bytes."""
    for name, more in (
        ("templates/base.html", "{# #}\n<!-- new -->"),
        ("assets/bakery.css", "b { color: red }"),
    ):
        path = site / "services/web" / name
        path.write_text(path.read_text() + more)
    base = site / "services/web/templates/base.html"
    base.write_text(base.read_text().replace("Open Wednesday to Saturday", "Now open Wednesday to Saturday"))


def published_elsewhere(site: Path, folder: Path) -> dict[str, bytes]:
    """Return what the site's output is to be, published from a copy into a fresh database."""
    shutil.copytree(site / "services", folder / "services")
    shutil.copyfile(site / "config.yaml", folder / "config.yaml")
    engine = application_engine(f"sqlite:///{folder / 'app.db'}")
    application.upgrade(engine)
    copy = PublishedSite(folder, engine, ManualClock(NOON))
    copy.config = folder / "config.yaml"
    copy.publish()
    engine.dispose()
    return files(copy.output)


@pytest.mark.parametrize("place", ["write:2", "rename:2", f"write:{WITHIN_PAGES}", f"rename:{WITHIN_PAGES}"])
def test_no_reader_sees_half_a_file_and_no_finished_step_is_repeated(
    nursery: Nursery, site: Path, tmp_path: Path, sqlite_url: str, place: str
) -> None:
    once = nursery.start(site, sqlite_url, "infra", "jobs", "run", "publish_pipeline")
    assert 0 == once.wait(60), once.log.read_text()
    before = files(site / "web/dist")
    change(site)
    after = published_elsewhere(site, tmp_path / "copy")
    with Reader(site / "web/dist", before, after) as reader:
        killed_and_taken_over(nursery, site, sqlite_url, place)
    lines = lines_of(sqlite_url)
    run = next(line["run_id"] for line in lines if line["type"] == "attempt.lost")
    mine = [line for line in lines if line["run_id"] == run]
    done = Counter(line["body"]["name"] for line in mine if line["type"] == "step.succeeded")
    begun = Counter(line["body"]["name"] for line in mine if line["type"] == "step.started")

    assert [] == reader.wrong[:3]
    assert reader.rounds > 1
    assert before.keys() == after.keys()
    assert sum(before[name] != after[name] for name in after) > PAGES
    assert after == files(site / "web/dist")
    assert ["lock", "manifest.jsonl"] == sorted(
        path.name for path in (site / "web/dist/.cronledger").iterdir()
    )
    assert dict.fromkeys(NAMES, 1) == done
    assert 10 == begun.total()
    assert {"run.succeeded"} == {line["type"] for line in lines if line["type"] in ENDS}


def killed_and_taken_over(nursery: Nursery, site: Path, url: str, place: str) -> None:
    """Have one process killed while it publishes, and another one take over."""
    words = ("--app", "tests.e2e.jobs.publishing", "up")
    first = nursery.start(site, url, *words, environment={"KILL_AT": place})
    assert -signal.SIGKILL == first.wait(60), first.log.read_text()
    second = nursery.start(site, url, *words)
    assert eventually_within(60, lambda: is_over(url), pause_seconds=0.2), second.log.read_text()
    second.signal(signal.SIGTERM)
    assert 0 == second.wait(20), second.log.read_text()


def is_over(url: str) -> bool:
    """Whether three runs have ended: by hand, the one cut off, and the next process's own at start."""
    lines = lines_of(url)
    triggered = {line["run_id"] for line in lines if line["type"] == "run.triggered"}
    ended = {line["run_id"] for line in lines if line["type"] in ENDS}
    return len(triggered) == 3 and triggered == ended
