"""`cron next`, `cron explain`, `cron lint`: documents, exit codes, what people see."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from cronledger.cli.cron import app
from cronledger.cli.render import Output
from cronledger.errors import CronledgerError, InvalidCron, InvalidSchedule, UnknownZone, UsageError

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)


def call(*args: str, output: Output = Output.JSON) -> tuple[int, str]:
    invocation = SimpleNamespace(output=output, clock=SimpleNamespace(now=lambda: NOON))
    result = CliRunner().invoke(app, args, obj=invocation)
    if isinstance(result.exception, CronledgerError):
        raise result.exception
    return result.exit_code, result.output


def document(*args: str) -> dict[str, Any]:
    code, output = call(*args)
    assert code == 0
    return json.loads(output)


def test_next_lists_fire_times_in_utc() -> None:
    assert {
        "expression": "0 30 2 * * *",
        "timezone": "America/New_York",
        "fire_times": ["2026-02-01T07:30:00Z", "2026-02-02T07:30:00Z"],
    } == document(
        "next", "0 30 2 * * *", "--tz", "America/New_York", "--from", "2026-02-01T00:00:00+00:00", "-n", "2"
    )


def test_next_starts_now_and_shows_five() -> None:
    found = document("next", "@hourly")["fire_times"]

    assert ["2026-02-01T13:00:00Z", "2026-02-01T17:00:00Z"] == [found[0], found[-1]]
    assert 5 == len(found)


def test_next_shows_people_the_local_time_as_well() -> None:
    _, output = call("next", "0 0 9 * * *", "--tz", "Europe/Berlin", "-n", "1", output=Output.TABLE)

    assert ["utc\tlocal", "2026-02-02T08:00:00Z\t2026-02-02T09:00:00+01:00"] == output.splitlines()


def test_next_ends_with_the_last_year() -> None:
    assert ["9999-01-01T00:00:00Z"] == document("next", "@yearly", "--from", "9998-06-01T00:00:00Z")[
        "fire_times"
    ]


def test_explain_says_when_and_what_to_watch_out_for() -> None:
    found = document("explain", "0 30 2 13 * 5", "--tz", "America/New_York")

    assert ["expression", "timezone", "description", "fire_times", "clock_changes", "notes"] == list(found)
    assert (
        "At 02:30, on day 13 of the month or on Friday (either is enough) (America/New_York)"
        == found["description"]
    )
    assert {"utc": "2026-02-06T07:30:00Z", "local": "2026-02-06T02:30:00-05:00"} == found["fire_times"][0]
    assert 10 == len(found["fire_times"])
    assert [] == found["clock_changes"]
    assert 1 == len(found["notes"])
    assert "write +5 to require both" in found["notes"][0]


def test_explain_names_the_jumps_of_the_clock_that_touch_the_schedule() -> None:
    found = document("explain", "0 30 2 * * *", "--tz", "Europe/Berlin")
    spring, autumn = found["clock_changes"]

    assert {
        "at": "2026-03-29T01:00:00Z",
        "offset_before": "+01:00",
        "offset_after": "+02:00",
        "note": "on 29 March 2026 the clock skips 02:30: fires at 03:00 +02:00",
    } == spring
    assert "shows 02:30 twice: fires the first time, at 02:30 +02:00" in autumn["note"]
    assert "end of the gap" in found["notes"][-1]


def test_fixed_intervals_and_single_moments_are_explained_too() -> None:
    _, page = call("explain", "at 2026-03-29T02:30:00", "--tz", "Europe/Berlin", output=Output.TABLE)

    assert "2026-03-29T01:00:00Z  Sun 2026-03-29 03:00:00 CEST" in page
    assert "on 29 March 2026 the clock skips 02:30: fires at 03:00 +02:00" in page
    assert ["2026-02-01T12:01:30Z"] == document("next", "every 90s", "-n", "1")["fire_times"]
    assert "no fire time lies ahead" in call("explain", "at 2020-01-01T00:00:00Z", output=Output.TABLE)[1]
    assert document("lint", "every 90s", "--compare")["results"][0]["ok"]


def test_the_rule_for_two_day_fields_can_be_given() -> None:
    both = ("--day-match", "and", "--from", "2026-01-01T00:00:00Z")

    assert ["2026-02-13T00:00:00Z"] == document("next", "0 0 0 13 * 5", *both, "-n", "1")["fire_times"]
    assert "both must match" in document("explain", "0 0 0 13 * 5", *both)["description"]
    assert [] == document("lint", "0 0 0 13 * 5", *both, "--compare")["results"][0]["warnings"]


def test_explain_reads_like_a_page() -> None:
    _, output = call("explain", "0 */7 * * * *", "-n", "2", output=Output.TABLE)

    assert [
        "Every 7 minutes",
        "",
        "2026-02-01T12:07:00Z",
        "2026-02-01T12:14:00Z",
        "",
        "note: minute: */7 starts again at 0 every hour: the last step is shorter",
    ] == output.splitlines()


def test_explain_tells_what_an_interval_does_where_the_clock_jumps() -> None:
    (note,) = document("explain", "@hourly", "--tz", "Europe/Berlin")["notes"]

    assert note.startswith("follows the clock")


def test_lint_accepts_with_remarks() -> None:
    assert {
        "results": [
            {"expression": "0 0 3 * * *", "ok": True, "error": None, "warnings": []},
            {
                "expression": "0 0 0 29 2 *",
                "ok": True,
                "error": None,
                "warnings": ["fires in leap years only"],
            },
        ]
    } == document("lint", "0 0 3 * * *", "0 0 0 29 2 *")


def test_lint_ends_with_5_if_one_is_invalid() -> None:
    code, output = call("lint", "0 0 3 * * *", "*/30 * * * *", "")
    (good, short, empty) = json.loads(output)["results"]

    assert 5 == code
    assert good["ok"]
    assert not short["ok"]
    assert 'did you mean "0 */30 * * * *"?' in short["error"]
    assert not empty["ok"]


def test_lint_compares_with_croniter_on_demand() -> None:
    (alone,) = document("lint", "0 5-5 * * * *")["results"]
    (compared,) = document("lint", "0 5-5 * * * *", "--compare")["results"]

    assert [] == alone["warnings"]
    assert compared["warnings"][0].startswith("croniter fires at 2026-02-01T12:01:00Z")


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["next", "0 * * * *"], InvalidCron),
        (["next", ""], InvalidSchedule),
        (["explain", "60 * * * * *"], InvalidCron),
        (["next", "@hourly", "--tz", "Europe/Berln"], UnknownZone),
        (["lint", "@hourly", "--tz", "Europe/Berln"], UnknownZone),
        (["next", "@hourly", "--from", "tomorrow"], UsageError),
        (["next", "@hourly", "--from", "2026-02-01T12:00:00"], UsageError),
    ],
)
def test_what_cannot_be_answered_is_refused(args: list[str], error: type[CronledgerError]) -> None:
    with pytest.raises(error):
        call(*args)
