"""The tables of the guide to schedules are true, row by row."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from cronledger.domain.cron_fields import NICKNAMES
from cronledger.domain.definition import Dst, Gap
from cronledger.domain.schedule import Schedule, schedule_of
from cronledger.errors import InvalidSchedule

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "schedules.md"
START = datetime(2025, 1, 1, tzinfo=UTC)
JUST_BEFORE = START - timedelta(seconds=1)
END = datetime(2200, 1, 1, tzinfo=UTC)
CODE = re.compile(r"`([^`]*)`")
CLOCKS = (("UTC", "2025-01-01"), ("America/New_York", "2025-03-08"), ("America/New_York", "2025-11-01"))
COMPARED = 600
"""Fire times, so that also those every five minutes go beyond the jump of the clock."""

Rows = list[list[str]]


def tables() -> list[Rows]:
    """Return every table of the guide, its head first, without the line below that."""
    found: list[Rows] = []
    inside = False
    for line in GUIDE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not inside:
            found.append([cells])
            inside = True
        elif set(line) != {"|", "-"}:
            found[-1].append(cells)
    return found


def table(*head: str) -> Rows:
    (rows,) = [rows[1:] for rows in tables() if tuple(rows[0]) == head]
    return rows


def code(cell: str) -> str:
    found = CODE.search(cell)
    assert found, cell
    return found[1]


def read(text: str, zone: str = "UTC") -> Schedule:
    schedule = schedule_of(text, timezone=zone)
    assert schedule
    return schedule


def first(text: str, count: int) -> list[datetime]:
    return list(read(text).fire_times(JUST_BEFORE, END, count))


def shown(at: datetime) -> str:
    return f"{at:%a %Y-%m-%d %H:%M:%S}".removesuffix(":00")


EXAMPLES = [row[-2:] for rows in tables() if rows[0][-1] == "fire times" for row in rows[1:]]
REFUSED = table("text", "reason", "write")
CRONTAB = [row for row in table("crontab", "here", "remark") if code(row[0]) != "@reboot"]


@pytest.mark.parametrize(("text", "fire_times"), EXAMPLES)
def test_an_example_fires_when_the_guide_says(text: str, fire_times: str) -> None:
    assert fire_times == ", ".join(map(shown, first(code(text), 3)))


def test_the_nicknames_are_all_listed_with_their_meaning() -> None:
    listed = {
        name: code(meaning) for names, meaning in table("nickname", "is") for name in CODE.findall(names)
    }

    assert {name.lower(): fields for name, fields in NICKNAMES.items()} == listed
    assert [] == [name for name, fields in listed.items() if read(name).rule != read(fields).rule]


@pytest.mark.parametrize(("text", "reason", "instead"), REFUSED)
def test_what_is_refused_is_refused_for_that_reason(text: str, reason: str, instead: str) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        schedule_of(code(text))

    assert reason in refusal.value.reason


def test_what_is_to_be_written_instead_is_accepted() -> None:
    advised = [text for *_, instead in REFUSED for text in CODE.findall(instead) if " " in text]

    assert [] == [text for text in advised if not first(text, 1)]
    assert len(advised) >= len(REFUSED) // 2


@pytest.mark.parametrize(("zone", "date"), CLOCKS)
@pytest.mark.parametrize(("five", "six", "remark"), CRONTAB)
def test_a_line_of_a_crontab_fires_as_before(five: str, six: str, remark: str, zone: str, date: str) -> None:
    before = NICKNAMES.get(code(five).upper(), "")[2:] or code(five)
    start = datetime.fromisoformat(date).replace(tzinfo=ZoneInfo(zone))
    theirs = [at.astimezone(UTC) for at in islice(CronSim(before, start), COMPARED)]
    ours = read(code(six), zone).fire_times(start.astimezone(UTC), END, COMPARED)

    assert theirs == list(ours)


def test_a_moment_that_the_clock_skips_is_refused_under_skip() -> None:
    with pytest.raises(InvalidSchedule, match="never fires"):
        schedule_of("at 2024-03-10T02:30:00", timezone="America/New_York", dst=Dst(gap=Gap.SKIP))
