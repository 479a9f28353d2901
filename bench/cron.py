"""Microseconds per call of the cron engine, beside croniter and cronsim in the same run.

    python bench/cron.py [--json] [--rounds N]

`next` walks from one fire time to the following one, `start` begins somewhere else at each call, `previous`
walks back, `parse` reads the text with the caches of a running program warm. Best of the rounds. cronsim can
only start anew by parsing again, so its `start` includes that.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from cronledger.domain.cron import parse
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
CALLS = 60
LIBRARIES = ("cronledger", "croniter", "cronsim")
MEASURES = ("next", "start", "previous", "parse")

Work = Callable[[], object]


def ours(expression: str, tz: str, starts: list[datetime]) -> dict[str, Work]:
    """Return our work for each measure."""
    cron, place = parse(expression), zone(tz)

    def walk(step: Callable[..., datetime | None]) -> None:
        at = START
        for _ in range(CALLS):
            at = step(at, place) or START

    return {
        "next": lambda: walk(cron.next_after),
        "start": lambda: [cron.next_after(start, place) for start in starts],
        "previous": lambda: walk(cron.previous_before),
        "parse": lambda: [parse(expression) for _ in range(CALLS)],
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
        for _ in range(CALLS):
            step(datetime)

    once = made()
    return {
        "next": lambda: walk("get_next"),
        "start": lambda: [once.get_next(datetime, start_time=start) for start in local],
        "previous": lambda: walk("get_prev"),
        "parse": lambda: [made() for _ in range(CALLS)],
    }


def cronsims(expression: str, tz: str, starts: list[datetime]) -> dict[str, Work]:
    """Return cronsim's work for each measure."""
    local = [start.astimezone(ZoneInfo(tz)) for start in starts]
    begin = START.astimezone(ZoneInfo(tz))

    def walk(*, reverse: bool) -> None:
        times = CronSim(expression, begin, reverse=reverse)
        for _ in range(CALLS):
            next(times)

    return {
        "next": lambda: walk(reverse=False),
        "start": lambda: [next(CronSim(expression, start)) for start in local],
        "previous": lambda: walk(reverse=True),
        "parse": lambda: [CronSim(expression, begin) for _ in range(CALLS)],
    }


def best(work: Work, rounds: int) -> float:
    """Return the microseconds per call in the fastest round; the first round warms up."""
    work()
    fastest = math.inf
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        fastest = min(fastest, time.perf_counter() - begun)
    return fastest / CALLS * 1e6


def measure(rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return measure -> expression -> library -> microseconds."""
    draw = random.Random(1)
    starts = [START + timedelta(seconds=draw.randrange(3 * 365 * 86400)) for _ in range(CALLS)]
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in MEASURES}
    for label, expression, tz in EXPRESSIONS:
        works = [made(expression, tz, starts) for made in (ours, croniters, cronsims)]
        for name in MEASURES:
            found[name][label] = {
                library: best(work[name], rounds) for library, work in zip(LIBRARIES, works, strict=True)
            }
    return found


def geometric_mean(values: list[float]) -> float:
    """Return the mean that ratios can be compared by."""
    return math.exp(sum(map(math.log, values)) / len(values))


def means(found: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return measure -> library -> geometric mean over the expressions."""
    return {
        name: {library: geometric_mean([row[library] for row in rows.values()]) for library in LIBRARIES}
        for name, rows in found.items()
    }


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the figures for people."""
    lines = ["us per call: " + " / ".join(LIBRARIES)]
    lines.append(f"{'':18}" + "".join(f"{name:>24}" for name in MEASURES))
    rows = [(label, {name: found[name][label] for name in MEASURES}) for label, _, _ in EXPRESSIONS]
    rows.append(("geometric mean", means(found)))
    for label, row in rows:
        cells = (" / ".join(f"{row[name][library]:.1f}" for library in LIBRARIES) for name in MEASURES)
        lines.append(f"{label:18}" + "".join(f"{cell:>24}" for cell in cells))
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--json", action="store_true", help="print the figures as JSON")
    options.add_argument("--rounds", type=int, default=5, help="how often each is measured (default 5)")
    chosen = options.parse_args()
    found = measure(chosen.rounds)
    if chosen.json:
        json.dump(
            {"unit": "us", "python": sys.version.split()[0], "calls": found, "mean": means(found)}, sys.stdout
        )
        print()
    else:
        print(table(found))


if __name__ == "__main__":
    main()
