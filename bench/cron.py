"""The cron engine beside croniter, cronsim and APScheduler in the same run: per call, and with many jobs.

    PYTHONPATH=. python bench/cron.py [--json] [--quick] [--rounds N] [--jobs N]

Per call: `next` walks from one fire time to the following one, `start` begins somewhere else at each call,
`previous` walks back, `parse` reads the text with the caches of a running program warm. Best of the rounds.
cronsim can only start anew by parsing again, so its `start` includes that; APScheduler's trigger cannot look
back, and requires both day fields where cron takes either.

Many jobs: each library, in a process of its own, reads the schedules of all jobs and finds each first fire
time. The memory is what the process has grown by while it holds them all.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from croniter import croniter
from cronsim import CronSim

sys.path.insert(0, str(Path(__file__).parents[1]))  # where it is called by its path

from bench.figures import Bar, Figure, Scale, Spread
from bench.places import Places
from cronledger.domain.cron import parse
from cronledger.domain.schedule import schedule_of
from cronledger.domain.zone import zone

EXPRESSIONS = (
    ("every second", "* * * * * *", "UTC"),
    ("every 15 minutes", "0 */15 * * * *", "UTC"),
    ("hourly", "0 0 * * * *", "UTC"),
    ("daily 03:00", "0 0 3 * * *", "UTC"),
    ("daily 02:30", "0 30 2 * * *", "America/New_York"),
    ("Monday 09:00", "0 0 9 * * 1", "Europe/Berlin"),
    ("office hours", "0 */5 9-17 * * 1-5", "Europe/Berlin"),
    ("monthly", "0 0 0 1 * *", "UTC"),
    ("yearly", "0 0 0 1 1 *", "UTC"),
    ("29 February", "0 0 0 29 2 *", "UTC"),
    ("1st or Monday", "0 0 0 1 * 1", "UTC"),
    ("last Friday", "0 0 17 * * 5L", "America/New_York"),
)
START = datetime(2026, 1, 1, tzinfo=UTC)
JOBS = 100_000
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Sydney")
OURS = "cronledger"
MEASURES = ("next", "start", "previous", "parse")
BATCH = ("parse_seconds", "next_seconds", "megabytes", "kept")

Work = Callable[[], object]
Figures = dict[str, dict[str, dict[str, float]]]
"""Measure -> expression -> library -> microseconds; what a library cannot do is missing."""


# --- the libraries --------------------------------------------------------------------------------------


def ours(expression: str, tz: str, starts: list[datetime]) -> dict[str, Work]:
    """Return our work for each measure."""
    cron, place = parse(expression), zone(tz)

    def walk(step: Callable[..., datetime | None]) -> None:
        at = START
        for _ in starts:
            at = step(at, place) or START

    return {
        "next": lambda: walk(cron.next_after),
        "start": lambda: [cron.next_after(start, place) for start in starts],
        "previous": lambda: walk(cron.previous_before),
        "parse": lambda: [parse(expression) for _ in starts],
    }


def croniters(expression: str, tz: str, starts: list[datetime]) -> dict[str, Work]:
    """Return croniter's work for each measure."""
    expression = expression.replace("5L", "L5")
    local = [start.astimezone(ZoneInfo(tz)) for start in starts]
    begin = START.astimezone(ZoneInfo(tz))

    def made() -> croniter:
        return croniter(expression, begin, second_at_beginning=True)

    def walk(name: str) -> None:
        step = getattr(made(), name)
        for _ in starts:
            step(datetime)

    once = made()
    return {
        "next": lambda: walk("get_next"),
        "start": lambda: [once.get_next(datetime, start_time=start) for start in local],
        "previous": lambda: walk("get_prev"),
        "parse": lambda: [made() for _ in starts],
    }


def cronsims(expression: str, tz: str, starts: list[datetime]) -> dict[str, Work]:
    """Return cronsim's work for each measure."""
    local = [start.astimezone(ZoneInfo(tz)) for start in starts]
    begin = START.astimezone(ZoneInfo(tz))

    def walk(*, reverse: bool) -> None:
        times = CronSim(expression, begin, reverse=reverse)
        for _ in starts:
            next(times)

    return {
        "next": lambda: walk(reverse=False),
        "start": lambda: [next(CronSim(expression, start)) for start in local],
        "previous": lambda: walk(reverse=True),
        "parse": lambda: [CronSim(expression, begin) for _ in starts],
    }


def triggers(expression: str, tz: str, starts: list[datetime]) -> dict[str, Work]:
    """Return APScheduler's work for each measure; none for what its trigger cannot express."""
    local = [start.astimezone(ZoneInfo(tz)) for start in starts]
    begin, place = START.astimezone(ZoneInfo(tz)), ZoneInfo(tz)
    fields = trigger_fields(expression)
    if fields is None:
        return {}
    once = CronTrigger(**fields, timezone=place)

    def walk() -> None:
        at = begin
        for _ in starts:
            at = once.get_next_fire_time(at, at) or begin

    return {
        "next": walk,
        "start": lambda: [once.get_next_fire_time(None, start) for start in local],
        "parse": lambda: [CronTrigger(**fields, timezone=place) for _ in starts],
    }


def trigger_fields(expression: str) -> dict[str, str] | None:
    """Return a schedule as APScheduler writes it: weekdays from Monday on, both day fields required."""
    second, minute, hour, day, month, weekday = expression.split()
    if "*" not in (day, weekday):
        return None
    if weekday.endswith("L"):
        day, weekday = "last fri", "*"
    weekday = "-".join(each if each == "*" else str((int(each) - 1) % 7) for each in weekday.split("-"))
    fields = {"second": second, "minute": minute, "hour": hour, "day": day, "month": month}
    return {**fields, "day_of_week": weekday}


LIBRARIES = {OURS: ours, "croniter": croniters, "cronsim": cronsims, "apscheduler": triggers}


# --- per call -------------------------------------------------------------------------------------------


def best(work: Work, rounds: int, calls: int) -> float:
    """Return the microseconds per call in the fastest round; the first round warms up."""
    work()
    fastest = math.inf
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        fastest = min(fastest, time.perf_counter() - begun)
    return fastest / calls * 1e6


def measure(rounds: int, calls: int) -> Figures:
    """Return the figures of every library for every expression."""
    draw = random.Random(1)
    starts = [START + timedelta(seconds=draw.randrange(3 * 365 * 86400)) for _ in range(calls)]
    found: Figures = {name: {} for name in MEASURES}
    for label, expression, tz in EXPRESSIONS:
        works = {library: made(expression, tz, starts) for library, made in LIBRARIES.items()}
        for name in MEASURES:
            found[name][label] = {
                library: best(work[name], rounds, calls) for library, work in works.items() if name in work
            }
    return found


def geometric_mean(values: list[float]) -> float:
    """Return the mean that ratios can be compared by."""
    return math.exp(sum(map(math.log, values)) / len(values))


def means(found: Figures) -> dict[str, dict[str, float]]:
    """Return measure -> library -> geometric mean over the expressions that it can do."""
    return {
        name: {
            library: geometric_mean(done)
            for library in LIBRARIES
            if (done := [row[library] for row in rows.values() if library in row])
        }
        for name, rows in found.items()
    }


def times_faster(found: Figures, name: str) -> float:
    """Return how many times faster we are than the fastest other, over the expressions that it can do."""
    return min(
        geometric_mean([row[other] / row[OURS] for row in found[name].values() if other in row])
        for other in means(found)[name]
        if other != OURS
    )


# --- many jobs ------------------------------------------------------------------------------------------


def jobs(count: int) -> Iterator[tuple[str, str]]:
    """Yield the schedules of many jobs, (expression, zone), as people mix them: the same in every run."""
    draw = random.Random(2)
    kinds: tuple[tuple[int, Callable[[], str]], ...] = (
        (19, lambda: f"{draw.randrange(60)} */{draw.choice((2, 5, 10, 15, 20, 30))} * * * *"),
        (15, lambda: f"{draw.randrange(60)} {draw.randrange(60)} * * * *"),
        (34, lambda: f"0 {draw.randrange(60)} {draw.randrange(24)} * * *"),
        (12, lambda: f"0 {draw.randrange(60)} {draw.randrange(24)} * * {draw.randrange(7)}"),
        (8, lambda: f"0 */5 {draw.randrange(6, 10)}-{draw.randrange(16, 20)} * * 1-5"),
        (9, lambda: f"0 {draw.randrange(60)} {draw.randrange(24)} {draw.randrange(1, 29)} * *"),
        (3, lambda: f"0 0 {draw.randrange(24)} {draw.randrange(1, 29)} {draw.randrange(1, 13)} *"),
    )
    weights = [weight for weight, _ in kinds]
    for _ in range(count):
        _, made = draw.choices(kinds, weights)[0]
        yield made(), draw.choice(ZONES)


def our_batch(mixed: list[tuple[str, str]]) -> tuple[list[Any], Callable[[Any], object]]:
    """Read the schedules of all jobs as the planner does; return them and the way to a first fire time."""
    return [schedule_of(text, timezone=tz) for text, tz in mixed], lambda each: each.next_after(START)


def croniter_batch(mixed: list[tuple[str, str]]) -> tuple[list[Any], Callable[[Any], object]]:
    """Do the same with croniter."""
    begins = {tz: START.astimezone(ZoneInfo(tz)) for tz in ZONES}
    read = [croniter(text, begins[tz], second_at_beginning=True) for text, tz in mixed]
    return read, lambda each: each.get_next(datetime)


def cronsim_batch(mixed: list[tuple[str, str]]) -> tuple[list[Any], Callable[[Any], object]]:
    """Do the same with cronsim."""
    begins = {tz: START.astimezone(ZoneInfo(tz)) for tz in ZONES}
    return [CronSim(text, begins[tz]) for text, tz in mixed], next


def trigger_batch(mixed: list[tuple[str, str]]) -> tuple[list[Any], Callable[[Any], object]]:
    """Do the same with APScheduler."""
    places = {tz: ZoneInfo(tz) for tz in ZONES}
    read = [CronTrigger(**trigger_fields(text) or {}, timezone=places[tz]) for text, tz in mixed]
    return read, lambda each: each.get_next_fire_time(None, START.astimezone(each.timezone))


BATCHES = {
    OURS: our_batch,
    "croniter": croniter_batch,
    "cronsim": cronsim_batch,
    "apscheduler": trigger_batch,
}


def batch(library: str, count: int) -> dict[str, float]:
    """Read the schedules of all jobs and find each first fire time, in this process."""
    mixed = list(jobs(count))
    gc.collect()
    before = megabytes()
    begun = time.perf_counter()
    schedules, first = BATCHES[library](mixed)
    read = time.perf_counter()
    planned = [first(schedule) for schedule in schedules]
    done = time.perf_counter()
    gc.collect()
    figures = (read - begun, done - read, megabytes() - before, sum(at is not None for at in planned))
    return dict(zip(BATCH, figures, strict=True))


def megabytes() -> float:
    """Return what this process holds in memory now; at most so far, where the system does not say."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    )


def batches(count: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return library -> figures of the fastest of a few processes."""
    found = {}
    for library in LIBRARIES:
        command = [sys.executable, __file__, "--batch", library, "--jobs", str(count)]
        runs = [
            json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(rounds)
        ]
        found[library] = min(runs, key=lambda run: run["parse_seconds"] + run["next_seconds"])
    return found


# --- lines of the table ---------------------------------------------------------------------------------


def figures(places: Places, scale: Scale) -> Iterator[Figure]:
    """Yield the lines of row 17: each beside the fastest other library of the same take."""
    del places
    takes = [measure(1, scale.of(5, 20, 60)) for _ in range(scale.pairs)]
    for name in MEASURES:
        pairs = [_with_fastest_other(means(found)[name]) for found in takes]
        yield _beside(pairs, measure=f"cron: {name}", unit="us a call")
    count = scale.of(200, 5_000, JOBS)
    batched = [batches(count, 1) for _ in range(scale.pairs)]
    totals = [
        {library: row["parse_seconds"] + row["next_seconds"] for library, row in found.items()}
        for found in batched
    ]
    yield _beside(
        [_with_fastest_other(each) for each in totals], measure="cron: many jobs", unit="s", n=count
    )
    held = [{library: row["megabytes"] for library, row in found.items()} for found in batched]
    yield Figure(
        row=17, measure="cron: many jobs", unit="MB", ours=Spread.of(each[OURS] for each in held), n=count,
        details={library: Spread.of(each[library] for each in held).median for library in LIBRARIES},
    )  # fmt: skip


def _with_fastest_other(figures: dict[str, float]) -> tuple[float, float]:
    return figures[OURS], min(each for library, each in figures.items() if library != OURS)


def _beside(pairs: list[tuple[float, float]], **fields: Any) -> Figure:
    return Figure(
        row=17,
        ours=Spread.of(mine for mine, _ in pairs),
        floor=Spread.of(other for _, other in pairs),
        ratio=Spread.of(mine / other for mine, other in pairs),
        bar=Bar(1.0, of_floor=True),
        **fields,
    )


# --- what is said ---------------------------------------------------------------------------------------


def targets(found: Figures, many: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Return what we want, what we got, and whether that is enough."""
    mean, mine = means(found), many[OURS]
    wanted = (
        ("next, geometric mean", "us", mean["next"][OURS], "at most", 2.5),
        ("previous, geometric mean", "us", mean["previous"][OURS], "at most", 3.0),
        ("next, against the fastest other", "times", times_faster(found, "next"), "at least", 10.0),
        ("previous, against the fastest other", "times", times_faster(found, "previous"), "at least", 10.0),
        ("many jobs, read and planned", "s", mine["parse_seconds"] + mine["next_seconds"], "at most", 2.0),
        ("many jobs, memory", "MB", mine["megabytes"], "at most", 60.0),
    )
    return [
        {"name": name, "unit": unit, "figure": figure, "bound": f"{side} {bound:g}", "met": met}
        for name, unit, figure, side, bound in wanted
        for met in [figure <= bound if side == "at most" else figure >= bound]
    ]


def report(rounds: int, calls: int, count: int) -> dict[str, Any]:
    """Measure everything."""
    found, many = measure(rounds, calls), batches(count, min(rounds, 3))
    return {
        "unit": "us",
        "python": sys.version.split()[0],
        "calls": found,
        "mean": means(found),
        "batch": {"jobs": count, "distinct": len({text for text, _ in jobs(count)}), "libraries": many},
        "targets": targets(found, many),
    }


def page(figures: dict[str, Any]) -> str:
    """Return the figures for people."""
    rows = [
        (label, {name: figures["calls"][name][label] for name in MEASURES}) for label, _, _ in EXPRESSIONS
    ]
    lines = [f"{'us per call':18}" + "".join(f"{name:>28}" for name in MEASURES)]
    lines[0] += f"   ({' / '.join(LIBRARIES)})"
    for label, row in [*rows, ("geometric mean", figures["mean"])]:
        cells = (" / ".join(_figure(row[name], library) for library in LIBRARIES) for name in MEASURES)
        lines.append(f"{label:18}" + "".join(f"{cell:>28}" for cell in cells))
    many = figures["batch"]
    lines += ["", f"{many['jobs']} jobs, {many['distinct']} distinct expressions, {len(ZONES)} zones"]
    for library, row in many["libraries"].items():
        parsing, finding, memory, _ = (row[name] for name in BATCH)
        lines.append(f"{library:18}parse {parsing:6.2f} s   next {finding:6.2f} s   memory {memory:6.1f} MB")
    lines += ["", "targets"]
    for row in figures["targets"]:
        verdict = "met" if row["met"] else "MISSED"
        lines.append(f"{row['name']:38}{row['figure']:8.2f} {row['unit']:6}{row['bound']:14}{verdict}")
    return "\n".join(lines)


def _figure(row: dict[str, float], library: str) -> str:
    return f"{row[library]:.1f}" if library in row else "-"


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--json", action="store_true", help="print the figures as JSON")
    options.add_argument("--quick", action="store_true", help="a few seconds; the figures mean nothing")
    options.add_argument("--rounds", type=int, default=5, help="how often each is measured (default 5)")
    options.add_argument("--jobs", type=int, default=JOBS, help=f"how many jobs (default {JOBS})")
    options.add_argument("--batch", choices=BATCHES, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.batch:
        print(json.dumps(batch(chosen.batch, chosen.jobs)))
        return
    figures = report(1, 5, min(chosen.jobs, 500)) if chosen.quick else report(chosen.rounds, 60, chosen.jobs)
    print(json.dumps(figures) if chosen.json else page(figures))


if __name__ == "__main__":
    main()
