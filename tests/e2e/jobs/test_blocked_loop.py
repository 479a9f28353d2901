"""A job that blocks the loop of the leader: others lead meanwhile, and the instance is not taken for dead."""

from __future__ import annotations

import threading
from pathlib import Path

from cronledger import Scheduler, job
from cronledger.clock import SystemClock
from cronledger.entropy import SystemEntropy
from cronledger.manual import Request, definition_of, trigger
from tests.checker import problems, triggered
from tests.conftest import lines_of, opened
from tests.waiting import eventually_within

CONFIG = """
scheduler:
  drain_seconds: 5
  jobs:
    - {name: quick, extension: tests, schedule: "* * * * * *"}
    - {name: blocker, extension: tests, schedule: ""}
"""
released = threading.Event()


@job(extension="tests")
async def quick() -> None:
    """Take no time."""


@job(extension="tests")
async def blocker() -> None:
    """Block the loop as `time.sleep(30)` does."""
    released.wait(60)


def test_a_blocked_leader_resigns_and_lives_on(sql_url: str, tmp_path: Path) -> None:
    """Fault 66."""

    def instance(label: str) -> Scheduler:
        return Scheduler(
            database_url=sql_url, config=tmp_path / "config.yaml", jobs=[quick, blocker], instance=label
        )

    def seen(kind: str) -> list[dict[str, object]]:
        return [line for line in lines_of(sql_url) if line["type"] == kind]

    def block(first: Scheduler) -> None:
        store = opened(sql_url)
        request = Request(definition_of(first.resolution, "blocker"), {}, "test", None, None)
        bound_to = str(seen("leader.elected")[0]["instance"])
        trigger(store, request, SystemClock(), SystemEntropy(), bound_to=bound_to)  # type: ignore[arg-type]
        store.close()

    (tmp_path / "config.yaml").write_text(CONFIG)
    released.clear()
    with instance("first").background() as first, instance("second").background():
        try:
            block(first)
            assert eventually_within(30, lambda: len(seen("leader.elected")) == 2)
            fired = len(triggered(lines_of(sql_url), "quick"))
            assert eventually_within(15, lambda: len(triggered(lines_of(sql_url), "quick")) > fired + 1)
            assert eventually_within(5, lambda: seen("engine.loop_blocked"))
        finally:
            released.set()
        assert eventually_within(
            10, lambda: [line for line in seen("run.succeeded") if line["job"] == "blocker"]
        )
    lines = lines_of(sql_url)
    first_leader, second_leader = [line["instance"] for line in lines if line["type"] == "leader.elected"][:2]
    (blocked,) = [line for line in lines if line["type"] == "engine.loop_blocked"]
    resigned = [line for line in lines if line["type"] == "leader.resigned"]

    assert [] == problems(lines, all_ended=False)
    assert first_leader != second_leader
    assert first_leader == blocked["instance"] == resigned[0]["instance"]
    assert "the event loop is blocked" == resigned[0]["body"]["reason"]  # type: ignore[index]
    assert "in blocker" in str(blocked["body"])
    assert [] == [line for line in lines if line["type"] in {"run.lost", "attempt.lost"}]
