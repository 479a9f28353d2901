"""`infra jobs backfill` on every database: what it proposes, performs, refuses and leaves alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cronledger import Scheduler, backfill, manual
from cronledger.backfill import Range
from cronledger.clock import SystemClock
from cronledger.domain import run
from cronledger.domain.backfill import Only, Proposed
from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import (
    Actor,
    Cause,
    Event,
    FireTimesSkipped,
    JobDisabled,
    JobRegistered,
    RunFailed,
    RunSucceeded,
)
from cronledger.domain.ids import JobName, RunId, job_stream, run_stream, scheduled_run
from cronledger.entropy import SystemEntropy
from cronledger.errors import ConfigError, Overlap, UsageError
from cronledger.ledger.api import Write
from cronledger.ledger.database import Store
from tests.cli_runner import APP, Cli, run_cli
from tests.conftest import lines_of

TIDY = JobDefinition(name=JobName("tidy"), extension="house", job="tidy", schedule="0 0 * * * *")
ENGINE = Actor.engine("test")
DAY = datetime(2026, 1, 1, tzinfo=UTC)
SKIPPED = "skipped: misfire"
RANGE = ("--from", "2026-01-01", "--to", "2026-01-01T06:00:00Z")
"""Six fire times: at 0 nothing was decided, 1 and 2 were skipped, 3 went well, 4 failed, 5 nothing."""


def at(hour: int) -> datetime:
    return DAY + timedelta(hours=hour)


@pytest.fixture
def seeded(store: Store) -> Store:
    """Return a ledger in which a job has been through something, and is disabled since."""
    registered = JobRegistered(definition=TIDY, revision="abc")
    skipped = FireTimesSkipped(first_at=at(1), last_at=at(2), count=2, reason="misfire")
    for version, body in enumerate((registered, skipped, JobDisabled())):
        event = Event(body=body, actor=ENGINE, job=TIDY.name)
        store.ledger.append(Write(job_stream(TIDY.name), (event,), version))
    for hour, end in ((3, RunSucceeded()), (4, RunFailed(error="boom"))):
        triggered = run.trigger(
            TIDY, scheduled_run(TIDY.name, at(hour)), Cause.SCHEDULE, ENGINE, fire_at=at(hour)
        )
        begun = run.start_of(triggered)
        events = (triggered, begun, msgspec.structs.replace(begun, body=end))
        store.ledger.append(Write(run_stream(scheduled_run(TIDY.name, at(hour))), events))
    return store


def name(hour: int, number: int = 1) -> str:
    return f"tidy@20260101T{hour:02}0000Z!backfill-{number}"


def asked(cli: Cli, *args: str) -> Any:
    result = cli("infra", "jobs", "backfill", "tidy", *RANGE, "--json", *args)
    assert 0 == result.exit_code, result.stderr
    return result.json


def test_a_dry_run_shows_what_was_missed_and_appends_nothing(cli: Cli, seeded: Store) -> None:
    before = seeded.ledger.head().position
    document = asked(cli, "--dry-run")

    assert {
        "job": "tidy",
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-01-01T06:00:00Z",
        "only": "missed",
        "dry_run": True,
        "runs": [
            {"fire_at": f"2026-01-01T{hour:02}:00:00Z", "why": why, "run_id": name(hour), "of": None,
             "outcome": None}
            for hour, why in enumerate(["never decided", SKIPPED, SKIPPED, "", "", "never decided"])
            if why
        ],
        "total": 4,
    } == document  # fmt: skip
    assert before == seeded.ledger.head().position


def test_each_choice_means_its_fire_times(cli: Cli, seeded: Store) -> None:
    chosen = {only: asked(cli, "--dry-run", "--only", only)["runs"] for only in ("missed", "failed", "all")}
    good = scheduled_run(TIDY.name, at(3))
    bad = scheduled_run(TIDY.name, at(4))

    assert [0, 1, 2, 5] == [int(each["fire_at"][11:13]) for each in chosen["missed"]]
    assert [("failed", bad)] == [(each["why"], each["of"]) for each in chosen["failed"]]
    assert [None, None, None, good, bad, None] == [each["of"] for each in chosen["all"]]


def test_the_runs_are_performed_in_order_and_a_second_call_does_nothing(
    cli: Cli, seeded: Store, ledger_url: str
) -> None:
    first = asked(cli, "--only", "all", "-p", "room=attic", "--reason", "after the flood")
    again = [asked(cli, "--only", only)["total"] for only in ("missed", "failed", "all")]
    lines = [line for line in lines_of(ledger_url) if line["cause"] == "backfill"]
    triggers = [line for line in lines if line["type"] == "run.triggered"]
    began = [line["run_id"] for line in lines if line["type"] == "run.started"]

    assert ["succeeded"] * 6 == [each["outcome"] for each in first["runs"]]
    assert [0, 0, 0] == again
    assert [name(hour) for hour in range(6)] == began
    assert {("attic", "after the flood")} == {
        (line["body"]["parameters"]["room"], line["actor"]["reason"]) for line in triggers
    }
    assert [line["body"].get("of") for line in triggers] == [
        None, None, None, "tidy@20260101T030000Z", "tidy@20260101T040000Z", None,
    ]  # fmt: skip
    assert [f"2026-01-01T{hour:02}:00:00Z" for hour in range(6)] == [line["fire_at"] for line in triggers]


def test_two_calls_at_the_same_time_make_one_run_each(seeded: Store) -> None:
    proposed = backfill.plan(seeded, Range(TIDY, at(0), at(6)))
    begun = [
        backfill.trigger(seeded, TIDY, proposed.runs, actor=actor, parameters={}) for actor in ("ann", "bob")
    ]

    assert [name(0), name(1), name(2), name(5)] == begun[0]
    assert [] == begun[1]


def test_runs_that_somebody_else_has_triggered_a_moment_before_are_waited_for_too(
    cli: Cli, seeded: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were listed as one's own, without an outcome, and the exit code said that all was well."""
    planned = backfill.plan

    def overtaken(store: Store, asked: Range) -> Proposed:
        proposed = planned(store, asked)
        backfill.trigger(seeded, TIDY, proposed.runs, actor="ann", parameters={})
        return proposed

    monkeypatch.setattr(backfill, "plan", overtaken)
    call = ("--from", "2026-01-01", "--to", "2026-01-01T06:00:00Z", "--timeout", "1s")

    assert 124 == cli("jobs", "backfill", "tidy", *call).exit_code


def defined(store: Store, label: str) -> None:
    """Give a job of the house a schedule."""
    definition = msgspec.structs.replace(TIDY, name=JobName(label), job=label)
    event = Event(body=JobRegistered(definition=definition), actor=ENGINE, job=definition.name)
    store.ledger.append(Write(job_stream(definition.name), (event,)))


def test_a_run_that_fails_is_told_in_the_exit_code_and_repeated_only_if_asked(
    cli: Cli, seeded: Store
) -> None:
    defined(seeded, "boom")
    call = ("jobs", "backfill", "boom", "--from", "2026-01-01", "--to", "2026-01-01T01:00:00Z", "--json")
    first, again, third = cli(*call), cli(*call), cli(*call, "--only", "failed")
    (failed,) = third.json["runs"]

    assert (1, 0, 1) == (first.exit_code, again.exit_code, third.exit_code)
    assert 0 == again.json["total"]
    assert ("boom@20260101T000000Z!backfill-2", "boom@20260101T000000Z!backfill-1", "failed") == (
        failed["run_id"], failed["of"], failed["outcome"],
    )  # fmt: skip


def test_a_job_without_a_schedule_has_nothing_to_make_up_for(cli: Cli, seeded: Store) -> None:
    del seeded
    refused = cli("jobs", "backfill", "boom", "--from", "2026-01-01", "--to", "2026-01-02")

    assert 2 == refused.exit_code
    assert "has no schedule" in refused.stderr


def test_a_schedule_that_cannot_be_read_is_not_called_none(store: Store) -> None:
    abroad = msgspec.structs.replace(TIDY, timezone="Mars/Olympus_Mons")

    with pytest.raises(ConfigError, match="schedule of job 'tidy' cannot be read here: unknown time zone"):
        backfill.plan(store, Range(abroad, at(0), at(6)))


def test_one_fire_time_that_is_left_alone_is_told_as_one(cli: Cli, seeded: Store) -> None:
    proposed = backfill.plan(seeded, Range(TIDY, at(0), at(1)))
    backfill.trigger(seeded, TIDY, proposed.runs, actor="ann", parameters={})
    said = cli("jobs", "backfill", "tidy", "--from", "2026-01-01", "--to", "2026-01-01T01:00:00Z").stderr

    assert "left alone: 1 fire time with a run that has not ended" in said


def test_an_operator_is_not_refused_because_backfill_waits(seeded: Store) -> None:
    proposed = backfill.plan(seeded, Range(TIDY, at(0), at(6)))
    backfill.trigger(seeded, TIDY, proposed.runs, actor="ann", parameters={})
    by_hand = manual.trigger(seeded, manual.Request(TIDY, {}, "bob"), SystemClock(), SystemEntropy())
    with pytest.raises(Overlap) as refused:
        manual.trigger(seeded, manual.Request(TIDY, {}, "bob"), SystemClock(), SystemEntropy())

    assert by_hand == refused.value.in_the_way


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("tidyy", "--from", "1d"), 3, "unknown job 'tidyy'"),
        (("tidy", "--from", "2020-01-01", "--to", "2026-01-01"), 2, "more than 10000 fire times"),
        (("tidy", "--from", "2026-01-02", "--to", "2026-01-01"), 2, "the range is empty"),
        (("tidy", "--from", "the flood"), 2, "is not a time"),
        (("tidy", "--from", "2026-01-01", "-p", "room"), 2, "Use KEY=VALUE format"),
        (("tidy", "--from", "2026-01-01", "--only", "some"), 2, "some"),
        (("tidy",), 2, "--from"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(
    cli: Cli, seeded: Store, args: tuple[str, ...], code: int, message: str
) -> None:
    before = seeded.ledger.head().position
    refused = cli("infra", "jobs", "backfill", *args)

    assert code == refused.exit_code
    assert message in refused.stderr
    assert before == seeded.ledger.head().position


def test_ten_thousand_fire_times_are_the_most(seeded: Store) -> None:
    every_second = msgspec.structs.replace(TIDY, schedule="* * * * * *")
    most = Range(every_second, DAY, DAY + timedelta(seconds=10_000), Only.MISSED)

    assert 10_000 == len(backfill.plan(seeded, most).runs)
    with pytest.raises(UsageError, match="more than 10000"):
        backfill.plan(seeded, msgspec.structs.replace(most, until=most.until + timedelta(seconds=1)))


def test_nothing_lies_in_the_future(seeded: Store) -> None:
    now = seeded.ledger.head().clock
    proposed = backfill.plan(seeded, Range(TIDY, now - timedelta(hours=3), now + timedelta(days=9)))
    later = seeded.ledger.head().clock

    assert 3 >= sum(each.fire_at <= now for each in proposed.runs) >= 2
    assert all(each.fire_at <= later for each in proposed.runs)


def test_runs_that_were_cut_short_do_not_keep_the_next_call_from_them(cli: Cli, seeded: Store) -> None:
    """They were bound to a process that was gone, and waited for it for an hour."""
    defined(seeded, "forever")
    begun = cli("jobs", "backfill", "forever", *RANGE, "--timeout", "2s")
    ended: dict[RunId, list[str]] = {}
    for each in seeded.ledger.read_all(0, 1000):  # type: ignore[arg-type] # a Position
        if each.cause is Cause.BACKFILL and each.run_id:
            ended.setdefault(each.run_id, []).append(each.type)

    assert 124 == begun.exit_code
    assert {"run.cancelled"} == {types[-1] for types in ended.values()}
    assert 6 == len(ended)


def test_a_living_instance_that_provides_the_job_performs_the_runs(ledger_url: str, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("scheduler: {jobs: [{name: tidy, extension: house, schedule: '0 0 * * * *'}]}")
    options = ("--database-url", ledger_url, "--config", str(config), "--app", APP)
    with Scheduler(database_url=ledger_url, config=config, app=[APP]).background():
        made_up = run_cli(*options, "jobs", "backfill", "tidy", *RANGE, "--json").json["runs"]
        quickly = run_cli(
            *options, "jobs", "backfill", "tidy", *RANGE, "--json", "--only", "all", "--no-wait"
        )
    lines = lines_of(ledger_url)
    performers = {line["instance"] for line in lines if line["type"] == "run.started"}
    services = {line["instance"] for line in lines if line["type"] == "leader.elected"}

    assert ["succeeded"] * 6 == [each["outcome"] for each in made_up]
    assert 0 == quickly.json["total"]
    assert performers == services
