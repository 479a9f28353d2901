"""Every fire time of a year is accounted for, one by one, by somebody who never saw the engine.

What ought to fire is found by the slow oracle of `tests/property` (cron) and by counting (`every`, `at`);
what becomes of it follows from the story in `year.py`, written down here a second time, as a user would.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from cronledger.domain.catchup import CatchUp
from cronledger.domain.definition import JobDefinition
from tests.checker import Line, fire_times, triggered
from tests.simulation import year
from tests.simulation.cluster import Cluster
from tests.simulation.jobs import Effects
from tests.simulation.judge import judge
from tests.simulation.simulator import History, Scenario

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}
KNOWN = {
    "daily-new_york-02": ["2026-03-08T07:00:00Z"],  # 02:15 was skipped: the end of the gap
    "in-both-folds": ["2026-03-29T01:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"],
    "half-hour-folds": ["2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"],  # a fold of thirty minutes
    "once-in-may": ["2026-05-04T16:00:00Z"],
}
"""Fire times at changes of the clock that anybody can look up."""


def due_by(definition: JobDefinition, after: datetime, until: datetime) -> list[datetime]:
    """Return the fire times of a definition in (after, until], without asking the engine."""
    kind, _, rest = definition.schedule.partition(" ")
    if kind == "every":
        duration, _, anchor = rest.partition(" from ")
        period = int(duration[:-1]) * UNITS[duration[-1]]
        found = datetime.fromisoformat(anchor) if anchor else EPOCH
        found += -((found - after) // period) * period
        times = []
        while found <= until:
            times.append(found)
            found += period
        return [at for at in times if at > after]
    if kind == "at":
        moment = datetime.fromisoformat(rest)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(definition.timezone))
        return [at for at in [moment.astimezone(UTC)] if after < at <= until]
    return fire_times(msgspec.to_builtins(definition), after, until)


class Account:
    """What ought to become of the fire times of one job: those that run, and the number of each skip."""

    def __init__(self, name: str) -> None:
        self.runs: list[datetime] = []
        self.skips: Counter[str] = Counter()
        first = {each.name: each for each in year.january()}.get(name)
        later = {each.name: each for each in year.july()}.get(name)
        if first is not None:
            for after, until in self._on(name, year.BEGIN, year.CHANGED):
                self.decide(first, after, until)
        if later is not None:
            for after, until in self._on(name, year.CHANGED, year.DOWN):
                self.decide(later, after, until)
            self.catch_up(later)
            for after, until in self._on(name, year.UP, year.END):
                self.decide(later, after, until)

    @staticmethod
    def _on(name: str, after: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the parts of a time in which the job is switched on."""
        if name in year.DISABLES and after < year.DISABLED < until:
            yield after, year.DISABLED
            yield year.ENABLED, until
        else:
            yield after, until

    def decide(self, definition: JobDefinition, after: datetime, until: datetime) -> None:
        """Account for a time in which an instance was there."""
        for at in due_by(definition, after, until):
            if definition.name in year.PAUSES and year.PAUSED < at <= year.RESUMED:
                self.skips["paused"] += 1
            elif definition.name == "too-long" and self._is_at_work(at):
                self.skips["overlap"] += 1
            else:
                self.runs.append(at)

    def catch_up(self, definition: JobDefinition) -> None:
        """Account for the week in which nobody was there."""
        missed = due_by(definition, year.DOWN, year.UP)
        grace = timedelta(seconds=definition.grace_seconds or 0)
        match definition.catch_up:
            case CatchUp.ALL:
                chosen, why = missed[-definition.catch_up_limit :], "catch_up_limit"
            case CatchUp.NONE:
                chosen, why = [], "misfire"
            case CatchUp.LATEST:
                chosen = [at for at in missed if year.UP - at <= grace] or missed[-1:]
                why = "misfire"
        self.runs += chosen
        self.skips[why] += len(missed) - len(chosen)

    def _is_at_work(self, at: datetime) -> bool:
        """Whether the run before takes its hour and a half: from its fire time, or from the return."""
        if not self.runs:
            return False
        last = self.runs[-1]
        began = year.UP if year.DOWN < last <= year.UP else last
        return at < began + timedelta(minutes=90)


def history_of(cluster: Cluster, effects: Effects) -> History:
    unfinished = [each for each, state in cluster.folded().runs.items() if state.ended_at is None]
    lasted = (year.END - year.BEGIN).total_seconds()
    return History(
        scenario=Scenario(seed=0), cluster=cluster, effects=effects, exports=[], acknowledged=[],
        unfinished=unfinished, boards=[], calm_from=0.0, decided_until=year.END, lasted=lasted,
    )  # fmt: skip


def skips_of(lines: list[Line]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        if line["type"] == "job.fire_times_skipped":
            found[line["job"]][line["body"]["reason"]] += line["body"]["count"]
    return found


@pytest.mark.timeout(600)
def test_a_year_of_fifty_jobs_is_accounted_for(caplog: pytest.LogCaptureFixture) -> None:
    """About 30,000 runs; some 20 s of one core (the flaky job alone would fill the log)."""
    caplog.set_level(logging.CRITICAL, "cronledger")
    cluster, effects = year.live()
    lines = [msgspec.json.decode(line) for line in cluster.exported()]
    names = sorted({each.name for each in (*year.january(), *year.july())})
    accounts = {name: Account(name) for name in names}
    expected = {name: [f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in accounts[name].runs] for name in names}
    fired = {name: triggered(lines, name) for name in names}
    skipped = skips_of(lines)

    assert [] == judge(history_of(cluster, effects))
    assert 50 == len(year.january())
    assert expected == fired
    assert {name: +accounts[name].skips for name in names} == {name: skipped[name] for name in names}
    assert {name: times for name, times in KNOWN.items() if not set(times) <= set(fired[name])} == {}
    assert ["too-long@20261029T090000Z"] == [
        line["run_id"] for line in lines if line["type"] in {"run.cancelled", "run.failed", "run.lost"}
    ]
    assert len(fired["flaky"]) == sum(line["type"] == "attempt.failed" for line in lines)
    assert {"paused", "overlap", "misfire", "catch_up_limit"} == set().union(*skipped.values())
