"""Reports of real processes: one post for each fire time, whoever dies while it is made."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cronledger.ledger.application import application_engine, new_file
from cronledger.migrations import application
from tests.checker import problems
from tests.conftest import lines_of
from tests.discord import TOKEN, Discord, discord
from tests.e2e.jobs.nursery import Child, Nursery
from tests.waiting import eventually_within

CONFIG = """
application:
  database_url: sqlite:///app.db
  discord: {webhook_url: "${env:DISCORD_WEBHOOK_URL}", allow_loopback: true}
scheduler:
  drain_seconds: 5
  jobs:
    - {name: daily_traffic_report, extension: web, schedule: "*/3 * * * * *"}
"""
PATIENCE_SECONDS = 90.0


@pytest.fixture
def there() -> Iterator[Discord]:
    with discord() as server:
        yield server


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.clear()
    nursery.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    engine = application_engine(f"sqlite:///{tmp_path / 'app.db'}")
    new_file(engine)
    application.upgrade(engine)
    engine.dispose()
    return tmp_path


def instance(nursery: Nursery, folder: Path, url: str, there: Discord) -> Child:
    return nursery.start(folder, url, "up", environment={"DISCORD_WEBHOOK_URL": there.url})


def fire_times(messages: list[dict[str, Any]]) -> list[str]:
    """Return which fire time each message is about."""
    return [message["embeds"][0]["timestamp"] for message in messages]


def ended(url: str, outcome: str = "succeeded") -> dict[str, str]:
    """Return the messages of the runs that ended so."""
    lines = [line for line in lines_of(url) if line["type"] == f"run.{outcome}"]
    return {line["run_id"]: line["body"].get("message", "") for line in lines}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("moment", ["in the request", "in a wait"])
def test_a_killed_leader_costs_no_second_post_of_its_fire_time(
    nursery: Nursery, folder: Path, sql_url: str, there: Discord, moment: str
) -> None:
    """The request arrived and its sender died: nobody asks again. It was refused before: somebody does."""
    there.is_silent = moment == "in the request"
    there.answers = [(429, {"Retry-After": "60"})] if moment == "in a wait" else []
    first = instance(nursery, folder, sql_url, there)
    assert eventually_within(PATIENCE_SECONDS, lambda: there.messages)
    second = instance(nursery, folder, sql_url, there)
    assert eventually_within(PATIENCE_SECONDS, lambda: _are_up(sql_url, 2))
    first.signal(signal.SIGKILL)
    assert -signal.SIGKILL == first.wait(20)
    there.is_silent = False
    (interrupted, *_) = fire_times(there.messages)
    assert eventually_within(PATIENCE_SECONDS, lambda: len(ended(sql_url)) >= 4)
    second.signal(signal.SIGTERM)
    exit_code = second.wait(30)
    lines, messages = lines_of(sql_url), ended(sql_url)
    posts = Counter(fire_times(there.posted))

    assert 0 == exit_code, second.log.read_text()
    assert [] == problems(lines)
    assert {1} == set(posts.values())
    assert 1 == posts[interrupted]
    assert {_named(fire_time) for fire_time in posts} == messages.keys()
    assert (moment == "in the request") == any("not posted again" in text for text in messages.values())
    assert TOKEN not in str(lines) + first.log.read_text() + second.log.read_text()


def _are_up(url: str, count: int) -> bool:
    return count <= sum(line["type"] == "instance.started" for line in lines_of(url))


def _named(fire_time: str) -> str:
    digits = fire_time.partition("+")[0].replace("-", "").replace(":", "")
    return f"daily_traffic_report@{digits}Z"


@pytest.mark.timeout(120)
def test_a_discord_that_does_not_answer_keeps_no_other_job_waiting(
    nursery: Nursery, folder: Path, sqlite_url: str, there: Discord
) -> None:
    """The report waits its ten seconds; a job that is due every second goes on."""
    there.is_silent = True
    config = CONFIG + '    - {name: content_analytics_aggregation, extension: web, schedule: "* * * * * *"}\n'
    (folder / "config.yaml").write_text(config)
    child = instance(nursery, folder, sqlite_url, there)
    assert eventually_within(PATIENCE_SECONDS, lambda: ended(sqlite_url, "failed"))
    child.signal(signal.SIGTERM)
    child.wait(30)
    lines = lines_of(sqlite_url)
    (waited, *_) = [line for line in lines if line["type"] == "run.failed"]
    started = next(
        line for line in lines if line["run_id"] == waited["run_id"] and line["type"] == "run.started"
    )
    beside = [
        line
        for line in lines
        if line["type"] == "run.succeeded" and started["position"] < line["position"] < waited["position"]
    ]

    assert "it is not known whether the report arrived" in waited["body"]["error"]
    assert 7 <= len(beside)
    assert 10_000 <= waited["body"]["duration_ms"] < 20_000
    assert TOKEN not in str(lines) + child.log.read_text()
