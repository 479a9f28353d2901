"""What is left of a run's lines when its process is killed, and how a follower is told to end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from cronledger.domain.events import Actor, Event, JobPaused
from cronledger.domain.ids import JobName, job_stream
from cronledger.domain.line import Line
from cronledger.ledger import logs, progress
from cronledger.ledger.api import Write
from cronledger.ledger.logs import Wanted
from tests.conftest import opened
from tests.e2e.jobs.nursery import Nursery
from tests.events import HERE, NOON
from tests.waiting import eventually_within

CONFIG = """
scheduler:
  extensions: [counting]
  jobs:
    - {name: count, extension: counting, schedule: "* * * * * *"}
"""
COUNTING = """
import os, time
from pathlib import Path
from cronledger import job

@job(extension="counting")
def count(ctx):
    for number in range(100_000):
        ctx.log.info("%s", number)
        ctx.progress(number, 100_000)
        Path("said.new").write_text(str(number))
        os.replace("said.new", "said")  # whole at every moment at which the process may be killed
        time.sleep(0.01)
"""
LOST_AT_MOST = 400
"""Lines: those of two seconds at the fastest, and then some for a busy machine."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "counting.py").write_text(COUNTING)
    return tmp_path


def kept(url: str) -> int:
    store = opened(url)
    with store.reading() as connection:
        found = len(logs.numbered_after(connection, Wanted(), 0))
    store.close()
    return found


def say(url: str, message: str) -> None:
    store = opened(url)
    with store.writing() as connection:
        logs.write_lines(
            connection, [Line(at=NOON, level="INFO", logger="job", instance=HERE, message=message)]
        )
    store.close()


def said(project: Path) -> int:
    path = project / "said"
    return int(path.read_text() or 0) if path.exists() else 0


def test_a_killed_process_loses_its_last_lines_only(sql_url: str, project: Path, nursery: Nursery) -> None:
    process = nursery.start(project, sql_url, "up")
    assert eventually_within(60, lambda: said(project) > 300)
    process.signal(signal.SIGKILL)
    process.wait(10)
    written, last = kept(sql_url), said(project)
    store = opened(sql_url)
    with store.reading() as connection:
        far = progress.everything(connection)
    store.close()

    assert last + 1 - LOST_AT_MOST <= written <= last + 2
    assert 0 < written
    assert 1 == len(far)


def record(url: str, reason: str) -> None:
    store = opened(url)
    body = JobPaused(reason=reason)
    event = Event(body=body, actor=Actor.operator("ann"), job=JobName("count"))
    store.ledger.append(Write(job_stream(JobName("count")), (event,), expected=None))
    store.close()


@pytest.mark.parametrize(
    ("command", "say"),
    [(("logs", "view", "-f"), say), (("ledger", "tail", "-f"), record)],
    ids=["logs", "ledger"],
)
def test_a_follower_waits_for_a_ledger_that_is_away(
    sqlite_url: str,
    project: Path,
    nursery: Nursery,
    command: tuple[str, ...],
    say: Callable[[str, str], None],
) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    follower = nursery.start(project, sqlite_url, *command)
    say(sqlite_url, "before")
    assert eventually_within(60, lambda: follower.log.exists() and "before" in follower.log.read_text())
    path.rename(path.with_name("away"))
    assert eventually_within(20, lambda: "waiting: " in follower.log.read_text())
    path.with_name("away").rename(path)
    say(sqlite_url, "after")

    assert eventually_within(20, lambda: "after" in follower.log.read_text())
    assert 1 == follower.log.read_text().count("waiting: ")
    assert 1 == follower.log.read_text().count("before")
    assert follower.status is None


def test_a_follower_ends_when_it_is_interrupted(sql_url: str, project: Path, nursery: Nursery) -> None:
    nursery.start(project, sql_url, "up")
    follower = nursery.start(project, sql_url, "logs", "view", "-f", "--job", "count", "-o", "jsonl")
    assert eventually_within(
        60, lambda: follower.log.exists() and '"message":"20"' in follower.log.read_text()
    )
    follower.signal(signal.SIGINT)

    assert 130 == follower.wait(10)
    assert "Traceback" not in follower.log.read_text()
