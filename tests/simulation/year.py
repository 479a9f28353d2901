"""A year of fifty jobs in four zones: what is configured, and what happens from January to December.

    January    fifty jobs begin
    March      six jobs are paused for a week, across the change of Berlin's clock
    June       two jobs are switched off for three weeks
    July       new files: five jobs move, one goes, one comes
    October    the whole cluster is down for a week, across the change of New York's clock

One instance lives at a time, and nothing goes wrong by chance: what is drawn elsewhere is written down here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import anyio
import msgspec

from cronledger.domain import events as e
from cronledger.domain import job as verbs
from cronledger.domain.catchup import CatchUp
from cronledger.domain.definition import Dst, Fold, Gap, JobDefinition
from cronledger.domain.ids import JobName, job_stream
from cronledger.domain.job import JobState
from cronledger.domain.leadership import Lease
from cronledger.domain.overlap import Overlap
from cronledger.domain.result import JobResult
from cronledger.domain.retry import Retry
from cronledger.engine.definitions import Configuration
from cronledger.engine.executor import Provision
from cronledger.engine.plan import Plan
from cronledger.jobs.api import JobContext
from cronledger.ledger.api import Write
from tests.simulation.cluster import Cluster, definition
from tests.simulation.jobs import Effects, Flaky, Probe
from tests.simulation.loop import elapsed, run

BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, 0, 0, 30, tzinfo=UTC)
PAUSED, RESUMED = datetime(2026, 3, 25, 12, 0, 30, tzinfo=UTC), datetime(2026, 4, 1, 12, 0, 30, tzinfo=UTC)
DISABLED, ENABLED = datetime(2026, 6, 1, 9, 0, 30, tzinfo=UTC), datetime(2026, 6, 22, 9, 0, 30, tzinfo=UTC)
CHANGED = datetime(2026, 7, 1, 10, 20, 30, tzinfo=UTC)
DOWN, UP = datetime(2026, 10, 29, 9, 40, 30, tzinfo=UTC), datetime(2026, 11, 5, 9, 40, 30, tzinfo=UTC)
BERLIN, NEW_YORK, TOKYO, LORD_HOWE = (
    "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe",
)  # fmt: skip
ANN = e.Actor.operator("ann")
PLAN = Plan(
    lease=Lease(seconds=6 * 3600.0, renew_seconds=2 * 3600.0, margin_seconds=60.0),
    look_seconds=3600.0,
    drain_seconds=5,
)
"""A lease of six hours and a look an hour instead of ten seconds and a look a second: in a year in which no
instance falls silent and no wake-up is lost, ten million renewals would show nothing that one does not."""
BEAT_SECONDS = 3600.0


class Lengthy(Probe):
    """Takes an hour and a half, so that the fire time an hour later finds it at work."""

    async def work(self, ctx: JobContext) -> JobResult:
        await anyio.sleep(90 * 60)
        return JobResult.success()


def jobs(effects: Effects) -> list[Probe]:
    return [Probe("quick", effects), Flaky("flaky", effects), Lengthy("lengthy", effects)]


def quick(name: str, schedule: str, timezone: str = "UTC", **fields: object) -> JobDefinition:
    """A job whose runs take no time and may be performed side by side, so that only time decides."""
    fields = {"job": "quick", "overlap": Overlap.ALLOW, **fields}
    return definition(name, schedule=schedule, timezone=timezone, **fields)


def january() -> list[JobDefinition]:
    """The fifty jobs that the year begins with."""
    daily = [
        quick(f"daily-{place.lower().partition('/')[2]}-{hour:02}", f"0 {minute} {hour} * * *", place)
        for place in (BERLIN, NEW_YORK, TOKYO, LORD_HOWE)
        for hour, minute in ((0, 0), (1, 30), (2, 15), (3, 0), (6, 45), (12, 0), (23, 59))
    ]
    edges = [
        quick("skips-gaps", "0 30 2 * * *", BERLIN, dst=Dst(gap=Gap.SKIP)),
        quick("in-both-folds", "0 30 2 * * *", BERLIN, dst=Dst(fold=Fold.BOTH)),
        quick("in-second-folds", "0 30 1 * * *", NEW_YORK, dst=Dst(fold=Fold.SECOND)),
        quick("half-hour-folds", "0 45 1 * * *", LORD_HOWE, dst=Dst(fold=Fold.BOTH)),
        quick("weekly", "0 0 7 * * MON", BERLIN),
        quick("first-monday", "0 0 9 * * MON#1", NEW_YORK),
        quick("last-day", "0 30 18 L * *", TOKYO),
        quick("quarterly", "0 0 4 1 1,4,7,10 *", LORD_HOWE),
        quick("office", "0 30 8-17 * * MON-FRI", NEW_YORK),
        quick("hourly", "0 5 * * * *", LORD_HOWE),
        quick("every-six-hours", "every 6h from 2026-01-01T05:30:00Z"),
        quick("every-day", "every 1d"),
        quick("once-in-may", "at 2026-05-04T18:00:00", BERLIN),
        quick("once-while-down", "at 2026-11-01T12:00:00Z"),
        quick("once-on-christmas-eve", "at 2026-12-24T18:00:00", BERLIN),
    ]
    policies = [
        quick("all", "0 10 */4 * * *", BERLIN, catch_up=CatchUp.ALL),
        quick("all-to-a-limit", "0 10 */6 * * *", TOKYO, catch_up=CatchUp.ALL, catch_up_limit=20),
        quick("none", "0 20 */6 * * *", NEW_YORK, catch_up=CatchUp.NONE),
        quick("late-by-two-days", "0 0 8 * * *", TOKYO, grace_seconds=2 * 86_400),
        quick("jittered", "0 0 5 * * *", BERLIN, jitter_seconds=1800),
        definition("flaky", schedule="0 15 4 * * *", timezone=TOKYO, retry=Retry(max_attempts=3)),
        definition("too-long", job="lengthy", schedule="0 0 10,11,12 * * *", timezone=BERLIN),
    ]
    return [*daily, *edges, *policies]


PAUSES = ("daily-berlin-02", "daily-berlin-03", "daily-tokyo-12", "skips-gaps", "hourly", "every-six-hours")
DISABLES = ("daily-new_york-06", "office")
RETIRED, NEW = "daily-tokyo-23", quick("new-in-july", "0 40 */4 * * *", BERLIN)
MOVED = {
    "daily-berlin-06": "0 50 7 * * *",
    "daily-lord_howe-12": "0 0 13 * * SUN",
    "every-six-hours": "every 8h",
    "hourly": "0 25 * * * *",
    "weekly": "0 0 7 * * TUE",
}
"""The schedules that July's files change."""


def july() -> list[JobDefinition]:
    replace = msgspec.structs.replace
    kept = [each for each in january() if each.name != RETIRED]
    return [*(replace(each, schedule=MOVED.get(each.name, each.schedule)) for each in kept), NEW]


def live() -> tuple[Cluster, Effects]:
    """Let the year pass, and end it as an instance is asked to end."""
    effects = Effects()
    cluster = Cluster(january(), jobs(effects), kind="file", start=BEGIN)
    cluster.latency, cluster.beat_seconds = 0.0, BEAT_SECONDS
    effects.cluster = cluster
    run(_story, cluster)
    return cluster, effects


async def _story(cluster: Cluster) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(cluster.instance, plan=PLAN))
        await _until(PAUSED)
        _decide(cluster, PAUSES, verbs.pause)
        await _until(RESUMED)
        _decide(cluster, PAUSES, partial(verbs.resume, now=cluster.clock.now()))
        await _until(DISABLED)
        _decide(cluster, DISABLES, verbs.disable)
        await _until(ENABLED)
        _decide(cluster, DISABLES, verbs.enable)
        await _until(CHANGED)
        _change_files(cluster)
        await _until(DOWN)
        cluster.stop(cluster.worlds[0])
        await _until(UP)
        tasks.start_soon(partial(cluster.instance, plan=PLAN))
        await _until(END)
        cluster.stop(cluster.worlds[1])


async def _until(instant: datetime) -> None:
    await anyio.sleep((instant - BEGIN).total_seconds() - elapsed())


def _decide(cluster: Cluster, names: tuple[str, ...], verb: Callable[..., list[e.Event]]) -> None:
    """Let an operator decide about jobs."""
    for name in map(JobName, names):
        state: JobState = cluster.folded().jobs[name]
        events = tuple(verb(state, ANN, "the year's plan"))
        cluster.worlds[0].ledger.append(Write(job_stream(name), events, expected=state.version))


def _change_files(cluster: Cluster) -> None:
    """Give the living instance other files, as a reload does; whoever starts later has them too."""
    cluster.definitions, cluster.revision = july(), "r2"
    world, engine = cluster.worlds[0], cluster.engines[0]
    provision = Provision(find=lambda _extension, name: cluster.jobs.get(name))
    configuration = Configuration(cluster.definitions, cluster.revision)
    names = tuple(each.name for each in cluster.definitions)
    world.process.deliver(lambda: engine.reconfigure(configuration, PLAN, provision, jobs=names))
