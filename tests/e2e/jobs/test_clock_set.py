"""Wall clocks that are set while an instance is at work, and clocks that are not the ledger's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cronledger import Scheduler, job
from cronledger.clock import Clock, SystemClock
from cronledger.testing import ManualClock
from tests.checker import problems, triggered
from tests.conftest import lines_of
from tests.waiting import eventually_within

CONFIG = """
scheduler:
  jobs:
    - {name: quick, extension: tests, schedule: "0 */5 * * * *"}
    - {name: often, job: quick, extension: tests, schedule: "* * * * * *"}
"""


@job(extension="tests")
async def quick() -> None:
    """Take no time."""


class Skewed(SystemClock):
    """A machine whose wall clock is so many seconds ahead."""

    ahead = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead)


def instance(url: str, folder: Path, clock: Clock) -> Scheduler:
    (folder / "config.yaml").write_text(CONFIG)
    return Scheduler(database_url=url, config=folder / "config.yaml", jobs=[quick], clock=clock)


def stepped(url: str) -> list[tuple[float, str]]:
    bodies = [line["body"] for line in lines_of(url) if line["type"] == "clock.stepped"]
    return [(body["seconds"], body["against"]) for body in bodies]  # type: ignore[index]


def test_a_clock_that_is_set_fires_nothing_twice_and_loses_nothing(sqlite_url: str, tmp_path: Path) -> None:
    """Faults 50, 51, 53: on SQLite the machine's clock is the ledger's."""
    clock = ManualClock(datetime(2026, 1, 1, 12, 4, 59, tzinfo=UTC))

    def fired() -> list[str]:
        return triggered(lines_of(sqlite_url), "quick")

    with instance(sqlite_url, tmp_path, clock).background():
        clock.advance(2)
        assert eventually_within(10, lambda: ["2026-01-01T12:05:00Z"] == fired())
        clock.step(3600)
        assert eventually_within(10, lambda: len(fired()) == 2)
        assert eventually_within(10, lambda: stepped(sqlite_url))  # what was being planned may be first
        forward = stepped(sqlite_url)
        clock.step(-7200)
        assert eventually_within(10, lambda: len(stepped(sqlite_url)) == 2)
        clock.advance(1800)
        assert not eventually_within(2, lambda: len(fired()) > 2)
        clock.advance(5400 + 300)
        assert eventually_within(10, lambda: len(fired()) == 3)
        clock.advance(1)  # a run that is going ends before the clock stands still again
    lines = lines_of(sqlite_url)
    skipped = {
        str(line["body"]["reason"])  # type: ignore[index]
        for line in lines
        if line["type"] == "job.fire_times_skipped" and line["job"] == "quick"
    }

    assert [] == problems(lines, all_ended=False)
    assert [(3600.0, "uptime")] == forward
    assert [(3600.0, "uptime"), (-7200.0, "uptime")] == stepped(sqlite_url)
    assert ["2026-01-01T12:05:00Z", "2026-01-01T13:05:00Z"] == fired()[:2]
    assert {"misfire"} == skipped


def test_a_clock_that_is_not_the_ledgers_is_recorded_and_decides_nothing(
    postgres_url: str, tmp_path: Path
) -> None:
    """Faults 50, 51: on PostgreSQL the server's clock decides."""
    clock = Skewed()
    clock.ahead = 1800.0

    def about(seconds: float) -> bool:
        told = stepped(postgres_url)
        return bool(told) and abs(told[-1][0] - seconds) < 1 and told[-1][1] == "ledger"

    with instance(postgres_url, tmp_path, clock).background():
        assert eventually_within(10, lambda: about(1800))
        clock.ahead = -1800.0
        assert eventually_within(10, lambda: about(-1800))
        clock.ahead = 0.0
        assert eventually_within(10, lambda: about(0))
        assert eventually_within(10, lambda: len(triggered(lines_of(postgres_url), "often")) >= 3)
    lines = lines_of(postgres_url)

    assert [] == problems(lines)
    assert 3 == len(stepped(postgres_url))
    assert 1 == len([line for line in lines if line["type"] == "leader.elected"])
