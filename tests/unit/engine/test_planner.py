"""What the planner says of jobs that it cannot plan."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, Term
from cronledger.domain.job import JobState
from cronledger.engine.board import Board
from cronledger.engine.planner import Planner

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def state(name: str, schedule: str, timezone: str = "UTC", **more: Any) -> JobState:
    definition = JobDefinition(name=JobName(name), schedule=schedule, timezone=timezone, **more)
    return JobState(name=definition.name, definition=definition, planned_until=NOON)


def test_a_job_whose_schedule_cannot_be_read_is_told_once_for_each_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A leader that did not know a job's time zone planned nothing for it, and said nothing."""
    board = Board()
    states = [
        state("abroad", "0 0 9 * * *", "Mars/Olympus_Mons"),
        state("newer", "when the cows come home"),
        state("off", "0 0 9 * * *", "Mars/Olympus_Mons", enabled=False),
        state("manual", ""),
        state("over", "at 2020-01-01T00:00:00"),
        state("fine", "0 0 9 * * *"),
    ]
    board.jobs = {each.name: each for each in states}
    world: Any = SimpleNamespace(now=lambda: NOON)
    planner = Planner(world, board)

    async def look() -> None:
        board.changed = set(board.jobs)
        await planner.look_ahead(NOON, Term(1), may_claim=lambda *_: False)

    asyncio.run(look())
    planner.begin()
    asyncio.run(look())
    board.jobs[JobName("abroad")] = state("abroad", "0 0 9 * * *", "Mars/Hellas")
    asyncio.run(look())
    said = [record.getMessage() for record in caplog.records]

    assert [("abroad", "Olympus"), ("newer", "fields"), ("abroad", "Hellas")] == [
        (line.split()[1], next(word for word in ("Olympus", "fields", "Hellas") if word in line))
        for line in sorted(said, key=lambda line: "Hellas" in line)
    ]
