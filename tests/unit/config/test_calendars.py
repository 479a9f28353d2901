"""Calendars in files: what they may say, what they become, and what is refused with its place."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cronledger.cli.config import checked
from cronledger.config.load import load
from cronledger.config.resolve import Resolution, resolve
from cronledger.domain.calendar import Blackout, Calendar
from cronledger.domain.ids import JobName
from cronledger.errors import ConfigError
from cronledger.jobs.api import Job, JobContext
from cronledger.jobs.registry import Registry

TIDY = JobName("tidy")
CALENDARS = """\
scheduler:
  timezone: Europe/Berlin
  calendars:
    business:
      extend: [holidays, nights]
      weekdays: [MON-WED, FRI, tue]
      exclude: ["*-05-01"]
    holidays:
      exclude: [2026-12-24, 2026-12-25 .. 2027-01-01]
    nights: {blackout: [{from: "22:00", to: "06:00", days: [SAT-SUN]}]}
  defaults: {calendar: holidays}
  jobs:
    - {name: tidy, schedule: "0 0 3 * * *", calendar: business}
    - {name: other, job: tidy, schedule: "0 0 3 * * *"}
    - {name: never, job: tidy, schedule: "0 0 3 * * *", calendar: null}
"""


class Tidy(Job):
    """A job."""

    name = "tidy"

    async def execute(self, ctx: JobContext) -> None:
        """Do nothing."""


@pytest.fixture(autouse=True)
def _in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def resolved(text: str, profile: str = "") -> Resolution:
    registry = Registry()
    registry.add(Tidy(), "core")
    Path("c.yaml").write_text(text)
    Path("profile.yaml").write_text(profile)
    return resolve(load(Path("c.yaml"), Path("profile.yaml") if profile else None), registry)


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        resolved(text)
    return [problem.splitlines()[0].removeprefix("c.yaml:") for problem in error.value.problems]


def of_jobs(text: str, profile: str = "") -> dict[str, Calendar | None]:
    return {definition.name: definition.calendar for definition in resolved(text, profile).definitions}


def calendars(*lines: str, job: str = '{name: tidy, schedule: "0 0 23 * * *"}') -> str:
    """A file whose calendars begin in line 3, column 5."""
    return "\n".join(
        ["scheduler:", "  calendars:", *(f"    {line}" for line in lines), "  jobs:", f"    - {job}"]
    )


# --- what they become ---


def test_a_definition_carries_the_whole_calendar_with_all_that_it_extends() -> None:
    holidays = ("2026-12-24", "2026-12-25..2027-01-01")

    assert {
        "tidy": Calendar(
            name="business",
            exclude=(*holidays, "*-05-01"),
            weekdays=("MON", "TUE", "WED", "FRI"),
            blackout=(Blackout("22:00", "06:00", ("SAT", "SUN")),),
        ),
        "other": Calendar(name="holidays", exclude=holidays),
        "never": None,
    } == of_jobs(CALENDARS)


def test_the_profile_may_choose_another_calendar() -> None:
    found = of_jobs(CALENDARS, "scheduler: {jobs: [{job: tidy, name: tidy, calendar: nights}]}")

    assert Calendar(name="nights", blackout=(Blackout("22:00", "06:00", ("SAT", "SUN")),)) == found["tidy"]


def test_each_rule_says_where_it_comes_from() -> None:
    origins = resolved(CALENDARS).origins[TIDY]

    assert {
        "calendar": "c.yaml:13",
        "calendar.exclude": "c.yaml:9, c.yaml:7",
        "calendar.weekdays": "c.yaml:6",
        "calendar.blackout": "c.yaml:10",
    } == {key: origin for key, origin in origins.items() if key.startswith("calendar")}


def test_a_definition_without_a_calendar_is_the_same_as_before_there_were_any() -> None:
    text = 'scheduler: {jobs: [{name: tidy, schedule: "0 0 3 * * *"}]}'

    assert (
        resolved(text).revision
        == resolved(calendars("unused: {}", job='{name: tidy, schedule: "0 0 3 * * *"}')).revision
    )


def test_what_a_calendar_says_is_part_of_the_revision() -> None:
    assert resolved(CALENDARS).revision != resolved(CALENDARS.replace("*-05-01", "*-05-02")).revision


# --- what is refused ---

BAD = {
    "no mapping": (
        calendars("a: 4"),
        "3:8: error: calendars.a: must be a mapping of keys to values, not '4'",
    ),
    "no mapping of names": (
        "scheduler: {calendars: [a]}",
        "1:24: error: calendars: must be a mapping of names to rules, not a list",
    ),
    "a name": (
        calendars("Bank Days: {}"),
        (
            "3:5: error: calendars: 'Bank Days' is not a name: small letters, digits, '_' and '-', "
            "beginning with a letter, at most 64"
        ),
    ),
    "a key": (
        calendars("a: {excludes: []}"),
        "3:9: error: calendars.a: unknown key 'excludes', did you mean 'exclude'?",
    ),
    "a number for a date": (
        calendars("a: {exclude: [20261224]}"),
        "3:19: error: calendars.a: exclude: each item must be a date or a range of dates, not '20261224'",
    ),
    "a date that does not exist": (
        calendars("a: {only: [2026-02-30]}"),
        (
            "3:16: error: calendars.a: only: each item must be a date or a range of dates: there is no "
            "2026-02-30"
        ),
    ),
    "a weekday": (
        calendars("a: {weekdays: [MO-FR]}"),
        (
            "3:20: error: calendars.a: weekdays: each item must be a weekday or a range of them: "
            "'MO-FR' is neither"
        ),
    ),
    "no list of blackouts": (
        calendars('a: {blackout: {from: "22:00"}}'),
        "3:19: error: calendars.a: blackout: must be a list, not a mapping",
    ),
    "a blackout": (
        calendars("a: {blackout: [night]}"),
        "3:20: error: calendars.a: blackout: each item must be a mapping of from, to and days, not 'night'",
    ),
    "a blackout without an end": (
        calendars('a: {blackout: [{from: "22:00"}]}'),
        "3:20: error: calendars.a: blackout: each item needs from and to",
    ),
    "a key of a blackout": (
        calendars('a: {blackout: [{from: "22:00", to: "23:00", day: SAT}]}'),
        "3:49: error: calendars.a: blackout: unknown key 'day' (known: from, to, days)",
    ),
    "a time that YAML reads otherwise": (
        calendars('a: {blackout: [{from: 22:00, to: "23:00"}]}'),
        (
            "3:27: error: calendars.a: blackout: from: must be text: quote 22:00, which YAML reads as "
            "something else"
        ),
    ),
    "a time of day": (
        calendars('a: {blackout: [{from: "22:00", to: "6 am"}]}'),
        "3:40: error: calendars.a: blackout: to: must be a time of day: '6 am' is none",
    ),
    "a blackout of no length": (
        calendars('a: {blackout: [{from: "00:00", to: "24:00"}]}'),
        "3:40: error: calendars.a: blackout: ends when it begins",
    ),
    "a day of a blackout": (
        calendars('a: {blackout: [{from: "22:00", to: "23:00", days: [WEEKEND]}]}'),
        (
            "3:56: error: calendars.a: blackout: days: each item must be a weekday or a range of them: "
            "'WEEKEND' is neither"
        ),
    ),
    "a calendar that extends an unknown one": (
        calendars("bank: {}", "a: {extend: bnak}"),
        "4:17: error: calendars.a: extend: unknown calendar 'bnak' (there are: bank, a)",
    ),
    "a circle": (
        calendars("a: {extend: b}", "b: {extend: [c]}", "c: {extend: a}"),
        "5:17: error: calendars.c: extend: calendars extend each other in a circle: a -> b -> c -> a",
    ),
    "a calendar that extends itself": (
        calendars("a: {extend: a}"),
        "3:17: error: calendars.a: extend: calendars extend each other in a circle: a -> a",
    ),
    "no day left": (
        calendars("a: {weekdays: [SUN], extend: b}", "b: {weekdays: [MON-SAT]}"),
        "3:34: error: calendars.a: extend: 'b', which it extends, leaves none of these weekdays",
    ),
    "an unknown calendar in the defaults": (
        "scheduler:\n  calendars: {night: {}}\n  defaults: {calendar: nigth}",
        "3:24: error: defaults: calendar: unknown calendar 'nigth' (there are: night)",
    ),
    "a calendar that leaves nothing": (
        calendars(
            'a: {blackout: [{from: "22:00", to: "06:00"}]}',
            job='{name: tidy, schedule: "0 0 23 * * *", calendar: a}',
        ),
        "5:56: error: jobs[0] 'tidy': calendar: 'a' takes away every fire time of '0 0 23 * * *'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named_with_its_place(case: str) -> None:
    text, expected = BAD[case]

    assert [expected] == refused(text)


def test_a_calendar_is_defined_once() -> None:
    Path("more.yaml").write_text("scheduler: {calendars: {a: {}}}")

    assert ["more.yaml:1:25: error: calendars.a: already defined at c.yaml:4"] == refused(
        f"includes: [more.yaml]\n{calendars('a: {}')}"
    )


@pytest.mark.parametrize("order", [1, -1])
def test_calendars_extend_one_another_fifty_deep_in_whatever_order_they_stand(order: int) -> None:
    """A thousand of them ended a running instance with a RecursionError."""
    links = [f"c{number}: {{extend: c{number + 1}}}" for number in range(49)]
    deep = [*links, "c49: {exclude: [2030-01-01]}"]
    deeper = [*links, "c49: {extend: c50}", "c50: {}"]
    (problem,) = refused(calendars(*deeper[::order]))

    assert resolved(calendars(*deep[::order]))
    assert "extend: more than 50 calendars extend one another in a row" in problem
    assert refused(
        calendars(*(f"c{number}: {{extend: c{number + 1}}}" for number in range(1000)), "c1000: {}")
    )


def test_what_is_extended_by_many_ways_is_one_place() -> None:
    """The places doubled from level to level: 34 levels of two took all memory."""
    levels = [
        f"{name}{level}: {{extend: [a{level + 1}, b{level + 1}]}}" for level in range(34) for name in "ab"
    ]
    base = ["a34: {exclude: [2030-01-01]}", "b34: {exclude: [2030-01-02]}"]
    job = '{name: tidy, schedule: "0 0 23 * * *", calendar: a0}'

    assert (
        "c.yaml:72, c.yaml:71"
        == (resolved(calendars(*levels, *base, job=job)).origins[TIDY]["calendar.exclude"])
    )


# --- what is worth a second look ---


def test_a_calendar_of_a_job_without_a_schedule_is_worth_a_second_look() -> None:
    text = calendars("a: {}", job='{name: tidy, schedule: "", calendar: a}')

    assert ("c.yaml:5: 'tidy': calendar has no effect without a schedule",) == resolved(text).warnings


def test_a_calendar_for_all_jobs_is_no_mistake_of_one_without_a_schedule() -> None:
    text = 'scheduler: {calendars: {a: {}}, defaults: {calendar: a}, jobs: [{name: tidy, schedule: ""}]}'

    assert () == resolved(text).warnings


def test_a_calendar_that_leaves_nothing_any_more_is_worth_a_second_look_and_no_error() -> None:
    text = calendars("a: {only: [2026-03-02]}", job='{name: tidy, schedule: "0 0 23 * * *", calendar: a}')
    resolution = resolved(text)
    document = checked(load(Path("c.yaml"), None), resolution, datetime(2026, 3, 3, tzinfo=UTC))

    assert ["'tidy': calendar 'a' leaves no fire time from now on"] == document["warnings"]


def test_a_moment_that_has_gone_by_is_no_mistake_of_its_calendar() -> None:
    text = calendars("a: {only: [2026-03-02]}", job="{name: tidy, at: 2025-12-24T18:00:00, calendar: a}")

    assert () == resolved(text).warnings
