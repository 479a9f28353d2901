"""The command line on every database: literal documents, exit codes, and nothing written on bad input."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from cronledger.clock import SystemClock
from cronledger.domain import run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import (
    Actor,
    Cause,
    ConfigApplied,
    Event,
    JobRegistered,
    JobRetired,
    RunFailed,
    RunTriggered,
    StepSucceeded,
)
from cronledger.domain.ids import CONFIG, JobName, Position, RunId, job_stream, manual_run, run_stream
from cronledger.domain.schedule import schedule_for
from cronledger.ledger.api import Write
from cronledger.ledger.codec import exported
from cronledger.ledger.database import Store
from cronledger.projections.moments import fire_time, moment
from tests.cli_runner import Cli, run_cli
from tests.conftest import opened
from tests.contract.test_rows import tamper
from tests.events import RUN, plain, started, step, succeeded, triggered

TIDY = JobDefinition(
    name=JobName("tidy"), extension="house", job="tidy", schedule="0 0 3 * * *", tags=("nightly",)
)
BOOM = JobDefinition(name=JobName("boom"), extension="house", job="boom")
BAD_RUN = manual_run(BOOM.name, "0001")
ENGINE = Actor.engine("config")


@pytest.fixture
def seeded(store: Store) -> Store:
    """Return a ledger with two jobs, one good run with a step, and one bad run."""
    for definition in (TIDY, BOOM):
        body = JobRegistered(definition=definition, revision="abc")
        event = Event(body=body, actor=ENGINE, job=definition.name)
        store.ledger.append(Write(job_stream(definition.name), (event,)))
    swept = msgspec.structs.replace(
        step("sweep"), body=StepSucceeded(name="sweep", duration_ms=7, items_processed=3, message="swept")
    )
    events = (triggered(), started(), step("sweep"), swept, succeeded())
    store.ledger.append(Write(run_stream(RUN), events))
    store.ledger.append(Write(run_stream(BAD_RUN), tuple(bad_run())))
    return store


def bad_run() -> list[Event]:
    begun = Event(
        body=RunTriggered(reason="to see"),
        actor=Actor.operator("ann"),
        job=BOOM.name,
        run_id=BAD_RUN,
        cause=Cause.MANUAL,
    )
    claimed = run.start_of(begun)
    return [
        begun,
        claimed,
        msgspec.structs.replace(claimed, body=RunFailed(error="ValueError: boom", duration_ms=2)),
    ]


def head(store: Store) -> int:
    return store.ledger.head().position


# --- jobs -----------------------------------------------------------------------------------------------


def of_the_house(document: Any) -> list[Any]:
    """Return the jobs of a list that do not come with the package."""
    return [job for job in document["jobs"] if job["extension"] == "house"]


def test_every_registered_job_is_listed_also_without_an_entry(cli: Cli) -> None:
    document = cli("infra", "jobs", "list", "--json").json

    assert ["boom", "forever", "tidy"] == sorted(job["name"] for job in of_the_house(document))
    assert len(document["jobs"]) == document["total"]
    assert {
        "name": "tidy",
        "extension": "house",
        "job": "tidy",
        "description": "Tidy up.",
        "schedule": "",
        "timezone": "UTC",
        "enabled": True,
        "scheduled": False,
        "run_on_startup": False,
        "tags": ["nightly"],
        "next_fire_at": None,
        "last_outcome": None,
        "last_ended_at": None,
        "running": 0,
    } == next(job for job in document["jobs"] if job["name"] == "tidy")


def test_a_job_that_only_the_ledger_knows_is_listed_too(cli: Cli, seeded: Store) -> None:
    listed = cli("jobs", "list", "--json", env={"CRONLEDGER_APP": ""}).json["jobs"]
    tidy = next(job for job in listed if job["name"] == "tidy")

    assert "0 0 3 * * *" == tidy["schedule"]
    assert "succeeded" == tidy["last_outcome"]
    assert tidy["next_fire_at"].endswith("T03:00:00Z")
    assert tidy["last_ended_at"].endswith("Z")


def test_an_entry_schedules_a_job_before_any_instance_is_up(cli: Cli) -> None:
    config = Path("config.yaml")
    config.write_text("scheduler: {jobs: [{name: tidy, extension: house, schedule: '0 0 4 * * *'}]}\n")
    config.chmod(0o600)
    shown = cli("jobs", "show", "tidy", "--json", env={"CRONLEDGER_CONFIG": "config.yaml"}).json

    assert shown["next_fire_at"].endswith("T04:00:00Z")
    assert "At 04:00" == shown["schedule_in_words"]
    assert shown["origin"]["schedule"].startswith("config.yaml:1")
    assert "0 0 4 * * *" == shown["definition"]["schedule"]


def test_a_job_that_has_only_run_by_hand_is_as_enabled_as_its_files_say(cli: Cli) -> None:
    before = cli("jobs", "status", "tidy", "--json").json["jobs"]
    cli("jobs", "run", "tidy", "--local")
    after = cli("jobs", "status", "tidy", "--json").json["jobs"]

    assert ([True], [True]) == tuple([job["enabled"] for job in jobs] for jobs in (before, after))
    assert [1] == [job["succeeded"] for job in after]


def test_a_job_that_the_ledger_did_not_know_then_is_unknown_as_of_then(cli: Cli, seeded: Store) -> None:
    words = ("--as-of", "position:0", "--json")

    assert [0, 3] == [cli("jobs", "status", *name, *words).exit_code for name in ((), ("boom",))]


def test_a_name_that_several_jobs_share_is_not_called_unknown(cli: Cli) -> None:
    entries = [f"{{name: {name}, extension: house, job: tidy}}" for name in ("attic", "cellar")]
    Path("config.yaml").write_text(f"scheduler: {{jobs: [{', '.join(entries)}]}}\n")
    Path("config.yaml").chmod(0o600)
    refused = cli("jobs", "show", "house:tidy", "--json", env={"CRONLEDGER_CONFIG": "config.yaml"})

    assert (2, "usage") == (refused.exit_code, refused.error["code"])
    assert "'house:tidy' may be 2 jobs: attic, cellar" == refused.error["message"]


def test_a_decision_about_a_job_is_called_by_the_name_of_the_job(cli: Cli, seeded: Store) -> None:
    told = [cli("jobs", verb, "tidy", "-o", "name").stdout for verb in ("pause", "resume", "disable")]

    assert ["tidy\n"] * 3 == told
    assert "1\n2\n" == cli("ledger", "tail", "-n", "99", "-o", "name").stdout[:4]


def test_what_comes_next_is_counted_from_then(
    cli: Cli, seeded: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was counted from the present instant, and `jobs next` could not be asked at all."""
    schedule = schedule_for(TIDY)
    (then,) = seeded.ledger.read_all(Position(1), 1)
    now = SystemClock().now() + timedelta(days=9)
    monkeypatch.setattr(SystemClock, "now", lambda _: now)
    words = ("--as-of", "position:2", "--json")
    (listed,) = (job for job in cli("jobs", "list", *words).json["jobs"] if job["name"] == "tidy")
    (status,) = cli("jobs", "status", "tidy", *words).json["jobs"]
    shown, coming = cli("jobs", "show", "tidy", *words).json, cli("jobs", "next", "tidy", *words).json

    assert schedule is not None
    assert [fire_time(schedule.next_after(then.recorded_at))] * 4 == [
        listed["next_fire_at"], status["next_fire_at"], shown["next_fire_at"], coming["fire_times"][0],
    ]  # fmt: skip


@pytest.fixture
def other_files(cli: Cli, seeded: Store) -> Cli:
    """Return the program beside a file that is not the configuration by which the cluster goes."""
    current = Event(body=ConfigApplied(revision="0cf229458abd"), actor=ENGINE)
    seeded.ledger.append(Write(CONFIG, (current,)))
    config = Path("config.yaml")
    config.write_text(
        "scheduler:\n  jobs:\n    - {name: tidy, extension: house, schedule: '0 0 4 * * *', enabled: false}\n"
    )
    config.chmod(0o600)
    return lambda *args, **more: cli("--config", "config.yaml", *args, **more)


def test_schedule_and_switch_are_the_clusters_where_the_files_here_say_something_else(
    other_files: Cli,
) -> None:
    """A job that fires was listed as disabled, and `jobs next` told times at which it did not."""
    (listed,) = (job for job in other_files("jobs", "list", "--json").json["jobs"] if job["name"] == "tidy")
    shown = other_files("jobs", "show", "tidy", "--json").json
    coming = other_files("jobs", "next", "tidy", "--json").json

    assert (True, "0 0 3 * * *") == (listed["enabled"], listed["schedule"])
    assert (True, "0 0 3 * * *") == (shown["enabled"], shown["definition"]["schedule"])
    assert {"ledger"} == set(shown["origin"].values())
    assert "0 0 3 * * *" == coming["schedule"]
    assert [coming["fire_times"][0]] * 2 == [listed["next_fire_at"], shown["next_fire_at"]]


@pytest.mark.parametrize(
    "command", [("list",), ("show", "tidy"), ("next", "tidy"), ("run", "tidy")], ids=lambda each: each[0]
)
def test_files_that_are_not_the_current_configuration_are_noted_once(
    other_files: Cli, command: tuple[str, ...]
) -> None:
    result = other_files("jobs", *command)
    here = other_files("config", "check", "--json").json["revision"]

    assert 0 == result.exit_code
    assert 1 == result.stderr.count(
        f"the files here ({here}) are not the current configuration (0cf229458abd)"
    )
    assert "disabled" not in result.stderr
    assert "" == other_files("jobs", *command, "--json").stderr


def test_the_files_here_name_the_origins_where_the_cluster_goes_by_them(other_files: Cli) -> None:
    other_files("config", "apply")
    shown = other_files("jobs", "show", "tidy")
    rows = shown.stdout.splitlines()

    assert "schedule\t0 0 4 * * *\tconfig.yaml:3" in rows
    assert "enabled\tfalse\tconfig.yaml:3" in rows
    assert "the files here" not in shown.stderr


def test_a_switch_is_the_ledgers_only_if_an_operator_has_thrown_it(cli: Cli) -> None:
    """The table said `ledger` of what a file says."""
    Path("config.yaml").write_text("scheduler: {jobs: [{name: tidy, extension: house, enabled: false}]}\n")
    Path("config.yaml").chmod(0o600)
    call = ("--config", "config.yaml", "jobs")
    before = cli(*call, "show", "tidy").stdout.splitlines()
    cli(*call, "enable", "tidy")
    after = cli(*call, "show", "tidy").stdout.splitlines()

    assert "enabled\tfalse\tconfig.yaml:1" in before
    assert "enabled\ttrue\tledger" in after


def test_a_job_that_was_retired_is_told_from_one_that_nobody_knows(cli: Cli, seeded: Store) -> None:
    event = Event(body=JobRetired(revision="r2"), actor=ENGINE, job=TIDY.name)
    seeded.ledger.append(Write(job_stream(TIDY.name), (event,), expected=1))
    retired = seeded.ledger.read_stream(job_stream(TIDY.name))[-1]
    elsewhere = {"CRONLEDGER_APP": ""}
    results = [
        cli("jobs", *call, env=elsewhere)
        for call in (("show", "tidy"), ("next", "house:tidy"), ("run", "tidy"))
    ]
    earlier = f"position:{retired.position - 1}"
    before = cli("jobs", "show", "tidy", "--as-of", earlier, "--json", env=elsewhere).json

    assert [3, 3, 3] == [result.exit_code for result in results]
    assert all(f"job 'tidy' was retired at {moment(retired.recorded_at)}" in each.stderr for each in results)
    assert all(f"--as-of {earlier}" in each.stderr for each in results)
    assert all("infra jobs history --job tidy" in each.stderr for each in results)
    assert "0 0 3 * * *" == before["definition"]["schedule"]


def test_a_jobs_page_points_to_its_live_state_and_back(cli: Cli, seeded: Store) -> None:
    assert "infra jobs status tidy" in cli("jobs", "show", "tidy").stderr
    assert "infra jobs show tidy" in cli("jobs", "status", "tidy").stderr


def test_live_state_is_the_document_of_the_contract(cli: Cli, seeded: Store) -> None:
    document = cli("infra", "jobs", "status", "--json").json
    boom, tidy = document["jobs"]

    assert head(seeded) == document["position"]
    assert ["position", "jobs"] == list(document)
    assert tidy.pop("next_fire_at").endswith("T03:00:00Z")
    assert {
        "name": "tidy",
        "enabled": True,
        "paused": False,
        "triggered": 1,
        "running": 0,
        "succeeded": 1,
        "partial": 0,
        "failed": 0,
        "timed_out": 0,
        "cancelled": 0,
        "lost": 0,
        "skipped": 0,
        "last_fire_at": "2026-01-01T12:00:00Z",
        "last_outcome": "succeeded",
    } == tidy
    assert (1, "failed", None) == (boom["failed"], boom["last_outcome"], boom["next_fire_at"])


def test_live_state_of_some_jobs_is_asked_for_by_name(cli: Cli, seeded: Store) -> None:
    assert ["tidy"] == [
        job["name"] for job in cli("jobs", "status", "house:tidy", "tidy", "--json").json["jobs"]
    ]
    assert ["forever"] == [job["name"] for job in cli("jobs", "status", "forever", "--json").json["jobs"]]


def test_history_is_newest_first_and_filters_before_the_limit(cli: Cli, seeded: Store) -> None:
    document = cli("infra", "jobs", "history", "--json").json
    limited = cli("jobs", "history", "--job", "tidy", "-n", "1", "--json").json

    assert [BAD_RUN, RUN] == [entry["run_id"] for entry in document["runs"]]
    assert 2 == document["total"]
    assert [
        "run_id", "job", "cause", "fire_at", "triggered_at", "started_at", "ended_at", "outcome", "attempt",
        "instance", "message", "error", "items_processed", "items_failed", "duration_ms",
    ] == list(document["runs"][0])  # fmt: skip
    assert ([RUN], 1) == ([entry["run_id"] for entry in limited["runs"]], limited["total"])


@pytest.mark.parametrize(
    ("args", "runs"),
    [
        (["--status", "failed"], [BAD_RUN]),
        (["--status", "success"], [RUN]),
        (["--status", "running"], []),
        (["--cause", "schedule"], [RUN]),
        (["--since", "1h"], [BAD_RUN, RUN]),
        (["--until", "yesterday"], []),
        (["--since", "position:8"], [BAD_RUN]),
        (["--until", "position:8"], [RUN]),
        (["--as-of", "position:3"], [RUN]),
        (["--as-of", "position:2"], []),
        (["--as-of", "1d"], []),
        (["--job", "house:boom"], [BAD_RUN]),
    ],
)
def test_history_is_narrowed(cli: Cli, seeded: Store, args: list[str], runs: list[RunId]) -> None:
    document = cli("jobs", "history", "--json", *args).json

    assert runs == [entry["run_id"] for entry in document["runs"]]
    assert len(runs) == document["total"]


def test_the_history_of_a_job_that_nobody_knows_is_empty_with_a_remark(cli: Cli, seeded: Store) -> None:
    result = cli("jobs", "history", "--job", "tiddy")

    assert 0 == result.exit_code
    assert "did you mean 'tidy'?" in result.stderr


def test_runs_list_is_the_same_history(cli: Cli, seeded: Store) -> None:
    assert cli("jobs", "history", "--json").stdout == cli("runs", "list", "--json").stdout
    assert f"{BAD_RUN}\n{RUN}\n" == cli("runs", "list", "-o", "name").stdout


def test_the_coming_fire_times_of_a_job(cli: Cli, seeded: Store) -> None:
    document = cli("jobs", "next", "tidy", "-n", "3", "--json", env={"CRONLEDGER_APP": ""}).json

    assert ["name", "schedule", "timezone", "fire_times"] == list(document)
    assert 3 == len(document["fire_times"])
    assert all(at.endswith("T03:00:00Z") for at in document["fire_times"])
    assert [] == cli("jobs", "next", "boom", "--json").json["fire_times"]


def test_what_the_calendar_of_a_job_takes_away_is_shown_when_asked_for(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "calendars.yaml"
    config.write_text(
        "scheduler:\n  calendars: {none: {exclude: ['*-01-01..*-12-30']}}\n"
        "  jobs: [{name: tidy, extension: house, calendar: none}]\n"
    )
    left = cli("--config", str(config), "jobs", "next", "tidy", "-n", "1", "--json").json
    every = cli("--config", str(config), "jobs", "next", "tidy", "-n", "400", "--all", "--json").json
    shown = cli("--config", str(config), "jobs", "show", "tidy", "--json").json

    assert ["12-31T03:00:00Z"] == [at[5:] for at in left["fire_times"]]
    assert "none" == every["calendar"]
    assert left["fire_times"] == every["fire_times"][:1]
    assert 400 == len(every["fire_times"]) + len(every["taken"])
    assert {"exclude *-01-01..*-12-30"} == {each["by"] for each in every["taken"]}
    assert left["fire_times"] == [shown["next_fire_at"]]
    assert {"name": "none", "exclude": ["*-01-01..*-12-30"]} == shown["definition"]["calendar"]
    assert f"{config}:2" == shown["origin"]["calendar.exclude"]
    assert "calendar.exclude" in cli("--config", str(config), "jobs", "show", "tidy").stdout


# --- deciding -------------------------------------------------------------------------------------------


def test_disabling_is_an_event_with_actor_and_reason(cli: Cli, seeded: Store) -> None:
    result = cli("infra", "jobs", "disable", "tidy", "--reason", "spring", "--json")
    event = cli("ledger", "show", str(head(seeded)), "--json").json

    assert ("tidy", False, True) == tuple(result.json[field] for field in ("name", "enabled", "changed"))
    assert "Job 'tidy' has been disabled" == result.json["message"]
    assert "job.disabled" == event["type"]
    assert ("operator", "spring") == (event["actor"]["kind"], event["actor"]["reason"])
    assert False is cli("jobs", "status", "tidy", "--json").json["jobs"][0]["enabled"]


def test_deciding_the_same_again_changes_nothing(cli: Cli, seeded: Store) -> None:
    cli("jobs", "disable", "tidy")
    before = head(seeded)
    result = cli("jobs", "disable", "tidy", "--json")

    assert (0, False) == (result.exit_code, result.json["changed"])
    assert before == head(seeded)


def test_a_decision_is_taken_back_by_a_reset(cli: Cli, seeded: Store) -> None:
    cli("jobs", "disable", "tidy")
    result = cli("jobs", "enable", "tidy", "--reset", "--json")

    assert (True, True) == (result.json["enabled"], result.json["changed"])
    assert None is cli("jobs", "show", "tidy", "--json").json["override"]


def test_a_job_is_disabled_before_any_instance_was_up(cli: Cli) -> None:
    assert False is cli("jobs", "disable", "house:boom", "--json").json["enabled"]
    listed = of_the_house(cli("jobs", "list", "--json").json)

    assert {"boom": False, "forever": True, "tidy": True} == {job["name"]: job["enabled"] for job in listed}


# --- running --------------------------------------------------------------------------------------------


def test_a_manual_run_is_performed_here_if_nobody_else_can(cli: Cli, seeded: Store) -> None:
    result = cli("infra", "jobs", "run", "tidy", "-p", "room=a=b", "--reason", "dust", "--json")
    (done,) = result.json["runs"]

    assert 0 == result.exit_code
    assert ["runs", "succeeded", "failed", "total"] == list(result.json)
    assert done.pop("run_id").startswith("tidy!")
    assert 0 <= done.pop("duration_ms") < 10_000
    assert {
        "job": "tidy",
        "outcome": "succeeded",
        "message": "tidied a=b",
        "items_processed": 42,
        "items_failed": 1,
        "error": None,
    } == done
    assert (1, 0, 1) == tuple(result.json[field] for field in ("succeeded", "failed", "total"))


def test_a_failed_run_is_exit_code_1(cli: Cli, seeded: Store) -> None:
    result = cli("jobs", "run", "tidy", "boom", "--json")

    assert 1 == result.exit_code
    assert (1, 1, 2) == tuple(result.json[field] for field in ("succeeded", "failed", "total"))


def test_a_disabled_job_runs_all_the_same_with_a_note(cli: Cli, seeded: Store) -> None:
    cli("jobs", "disable", "tidy")
    result = cli("jobs", "run", "tidy")

    assert 0 == result.exit_code
    assert "job 'tidy' is disabled" in result.stderr


def boom_under_way(store: Store) -> None:
    begun = msgspec.structs.replace(bad_run()[0], run_id=manual_run(BOOM.name, "0002"))
    store.ledger.append(Write(run_stream(manual_run(BOOM.name, "0002")), (begun,)))


def test_a_run_in_the_way_is_exit_code_4(cli: Cli, seeded: Store) -> None:
    boom_under_way(seeded)
    before = head(seeded)
    result = cli("jobs", "run", "boom", "--json")

    assert (4, "overlap") == (result.exit_code, result.error["code"])
    assert before == head(seeded)


def test_a_run_in_the_way_keeps_no_other_job_from_its_run(cli: Cli, seeded: Store) -> None:
    boom_under_way(seeded)
    result = cli("jobs", "run", "boom", "tidy", "--json")

    assert (4, "refused") == (result.exit_code, result.error["code"])
    assert "job 'boom' is already running as" in result.error["message"]
    assert [("tidy", "succeeded")] == [(run["job"], run["outcome"]) for run in result.json["runs"]]


def test_all_means_the_enabled_entries(cli: Cli, seeded: Store) -> None:
    config = Path("config.yaml")
    config.write_text(
        "scheduler:\n"
        "  jobs: [{name: tidy, extension: house}, {name: boom, extension: house, enabled: false}]\n"
    )
    config.chmod(0o600)
    result = cli("jobs", "run", "--all", "--json", env={"CRONLEDGER_CONFIG": "config.yaml"})

    assert ["tidy"] == [done["job"] for done in result.json["runs"]]
    assert ["tidy"] == [done["job"] for done in cli("jobs", "run", "--tag", "nightly", "--json").json["runs"]]


# --- bad input ------------------------------------------------------------------------------------------

BAD: list[tuple[list[str], int, str]] = [
    (["jobs", "run"], 2, "Specify job name(s), use --all, or use --tag <tag> to run jobs"),
    (["jobs", "run", "--tag", "T"], 3, "No jobs found with tag 'T'"),
    (["jobs", "run", "tiddy"], 3, "did you mean 'tidy'?"),
    (["jobs", "run", "tidy", "tiddy"], 3, "unknown job 'tiddy'"),
    (["jobs", "run", "attic:tidy"], 3, "unknown job"),
    (["jobs", "run", "tidy", "-p", "x"], 2, "Invalid parameter format 'x'. Use KEY=VALUE format."),
    (["jobs", "run", "tidy", "--timeout", "soon"], 2, "'soon' is not a duration"),
    (["up", "--for", "ever"], 2, "'ever' is not a duration"),
    (["jobs", "show", "tiddy"], 3, "did you mean 'tidy'?"),
    (["jobs", "status", "tiddy"], 3, "did you mean 'tidy'?"),
    (["jobs", "next", "tiddy"], 3, "did you mean 'tidy'?"),
    (["jobs", "enable", "tiddy"], 3, "did you mean 'tidy'?"),
    (["jobs", "disable", "tiddy"], 3, "did you mean 'tidy'?"),
    (["jobs", "run", "tidy", "--timeout", ""], 2, "'' is not a duration"),
    (["up", "--for", ""], 2, "'' is not a duration"),
    (["jobs", "list", "--as-of", "soon"], 2, "'soon' is not a time"),
    (["jobs", "next", "tidy", "--as-of", "soon"], 2, "'soon' is not a time"),
    (["jobs", "backfill", "tidy", "--from", "0001-01-01"], 2, "'0001-01-01' lies before 1970"),
    (["logs", "view", "--until", "0001-01-01"], 2, "'0001-01-01' lies before 1970"),
    (["logs", "search", "x", "--until", "0001-01-01"], 2, "'0001-01-01' lies before 1970"),
    (["logs", "export", "--since", "0001-01-01"], 2, "'0001-01-01' lies before 1970"),
    (["logs", "summary", "--since", "0001-01-01"], 2, "'0001-01-01' lies before 1970"),
    (["jobs", "list", "--as-of", "position:999"], 3, "there is no position 999 yet"),
    (["jobs", "history", "--since", "42"], 2, "'42' is not a time"),
    (["jobs", "history", "--cause", "whim"], 2, "whim"),
    (["runs", "show", "nothing"], 3, "no run is called 'nothing'"),
    (["runs", "show", ""], 3, "no run is called ''"),
    (["logs", "view", "--level", "loud"], 2, "loud"),
    (["ledger", "show", "999"], 3, "there is no position 999 yet"),
    (["ledger", "show", "0"], 3, "there is no event at position 0"),
    (["ledger", "show", "first"], 2, "'first' is not a position"),
    (["ledger", "export", "--after", "x"], 2, "'x' is not a time"),
    (["ledger", "export", "--after", ""], 2, "'' is not a time"),
    (["ledger", "export", "--until", ""], 2, "'' is not a time"),
    (["replay", "--to", ""], 2, "'' is not a time"),
    (["replay", "--to", "999"], 3, "there is no position 999 yet"),
    (["replay", "--job", "tiddy"], 3, "did you mean 'tidy'?"),
]


@pytest.mark.parametrize(("args", "code", "says"), BAD, ids=[" ".join(args) for args, _, _ in BAD])
def test_bad_input_has_its_exit_code_and_writes_nothing(
    cli: Cli, seeded: Store, args: list[str], code: int, says: str
) -> None:
    before = head(seeded)
    result = cli(*args)
    as_json = cli("-o", "json", *args)

    assert code == result.exit_code
    assert "" == result.stdout
    assert says in result.stderr
    assert (code, ["code", "message", "hint"]) == (as_json.exit_code, list(as_json.error))
    assert before == head(seeded)


# --- one run --------------------------------------------------------------------------------------------


def test_a_run_is_shown_with_its_attempts_and_steps(cli: Cli, seeded: Store) -> None:
    document = cli("runs", "show", RUN, "--json").json
    (attempt,) = document["attempts"]
    (swept,) = document["steps"]

    assert ["run", "attempts", "steps"] == list(document)
    assert (RUN, "succeeded", "2026-01-01T12:00:00Z") == tuple(
        document["run"][field] for field in ("run_id", "outcome", "fire_at")
    )
    assert (1, "succeeded") == (attempt["attempt"], attempt["outcome"])
    assert [
        "name", "outcome", "started_at", "ended_at", "duration_ms", "items_processed", "items_failed",
        "message", "error", "attempt",
    ] == list(swept)  # fmt: skip
    assert ("sweep", "succeeded", 7, 3, "swept") == tuple(
        swept[field] for field in ("name", "outcome", "duration_ms", "items_processed", "message")
    )


@pytest.mark.parametrize("prefix", ["t", "tidy@", "tidy@20260101"])
def test_the_beginning_of_a_runs_id_is_enough(cli: Cli, seeded: Store, prefix: str) -> None:
    assert RUN == cli("runs", "show", prefix, "--json").json["run"]["run_id"]


def test_a_beginning_that_several_runs_have_is_refused_with_their_names(cli: Cli, seeded: Store) -> None:
    second = msgspec.structs.replace(bad_run()[0], run_id=manual_run(BOOM.name, "0002"))
    seeded.ledger.append(Write(run_stream(manual_run(BOOM.name, "0002")), (second,)))
    result = cli("runs", "show", "boom!")

    assert 2 == result.exit_code
    assert "boom!0001" in result.stderr
    assert "boom!0002" in result.stderr


def test_a_run_is_shown_as_of_an_earlier_moment(cli: Cli, seeded: Store) -> None:
    document = cli("runs", "show", RUN, "--as-of", "position:4", "--json").json

    assert (None, "running") == (document["run"]["outcome"], document["run"]["phase"])
    assert [None] == [attempt["outcome"] for attempt in document["attempts"]]


# --- the ledger -----------------------------------------------------------------------------------------


def test_an_export_has_the_fields_of_the_contract_and_its_prefix_never_changes(
    cli: Cli, seeded: Store
) -> None:
    before = cli("ledger", "export").stdout
    cli("jobs", "disable", "tidy")
    after = cli("ledger", "export").stdout
    events = [msgspec.json.decode(line) for line in after.splitlines()]

    assert after.startswith(before)
    assert list(range(1, head(seeded) + 1)) == [event["position"] for event in events]
    assert [
        "position", "id", "stream", "version", "type", "schema", "must_understand", "recorded_at", "instance",
        "term", "actor", "job", "run_id", "attempt", "fire_at", "cause", "body", "salt", "commitment",
    ] == list(events[0])  # fmt: skip
    assert (
        "".join(after.splitlines(keepends=True)[2:5])
        == cli("ledger", "export", "--after", "2", "--until", "5").stdout
    )
    assert {f"run-{RUN}"} == {
        msgspec.json.decode(line)["stream"]
        for line in cli("ledger", "export", "--stream", f"run-{RUN}").stdout.splitlines()
    }


def test_an_export_to_a_terminal_cannot_move_its_cursor_and_one_to_a_file_has_the_bytes_of_the_ledger(
    cli: Cli, store: Store
) -> None:
    """C1 controls and marks of direction in what jobs had said reached the terminal."""
    said = "ü \x7f\x85\x9b\u2028\u202e\u200e"
    body = StepSucceeded(name="sweep", duration_ms=7, message=said)
    store.ledger.append(Write(run_stream(RUN), (msgspec.structs.replace(step("sweep"), body=body),)))
    shown, written = cli("ledger", "export", terminal=True).stdout, cli("ledger", "export").stdout
    (stored,) = store.ledger.read_stored(Position(0), 1)

    assert msgspec.json.decode(written) == msgspec.json.decode(shown)
    assert shown.rstrip("\n").isprintable()
    assert exported(stored) + b"\n" == written.encode()
    assert said in (stored.body or "") in written


def test_the_newest_events_are_shown_the_newest_last(cli: Cli, seeded: Store) -> None:
    events = cli("ledger", "tail", "-n", "2", "--json").json["events"]

    assert [head(seeded) - 1, head(seeded)] == [event["position"] for event in events]
    assert 3 == len(cli("ledger", "tail", "-n", "2").stdout.splitlines())


MANY = [
    (["jobs", "list"], "job"),
    (["jobs", "status"], "name"),
    (["runs", "list"], "run_id"),
    (["ledger", "tail"], "position"),
    (["logs", "view"], "message"),
    (["projections", "list"], "version"),
    (["replay"], "name"),
    (["cron", "lint", "0 0 3 * * *", "0 0 4 * * *"], "expression"),
]
ONE = [
    ["jobs", "show", "tidy"],
    ["jobs", "next", "tidy"],
    ["runs", "show", RUN],
    ["runs", "diff", RUN, RUN],
    ["ledger", "show", "1"],
    ["ledger", "stats"],
    ["ledger", "verify"],
    ["projections", "check"],
    ["logs", "summary"],
    ["status"],
    ["config", "check"],
    ["config", "show"],
    ["cron", "next", "0 0 3 * * *"],
    ["db", "roles", "--app-role", "app"],
]


@pytest.mark.parametrize(("args", "field"), MANY, ids=[" ".join(args) for args, _ in MANY])
def test_each_of_many_is_a_line_of_json(cli: Cli, seeded: Store, args: list[str], field: str) -> None:
    lines = [msgspec.json.decode(line) for line in cli(*args, "-o", "jsonl").stdout.splitlines()]

    assert len(lines) > 1
    assert all(field in line for line in lines)


@pytest.mark.parametrize("args", ONE, ids=" ".join)
def test_what_is_about_one_thing_is_one_line_of_json(cli: Cli, seeded: Store, args: list[str]) -> None:
    """Some printed nothing, or a part of themselves."""
    (line,) = cli(*args, "-o", "jsonl").stdout.splitlines()

    assert list(cli(*args, "--json").json) == list(msgspec.json.decode(line))


def test_a_sound_ledger_verifies(cli: Cli, seeded: Store) -> None:
    document = cli("ledger", "verify", "--json").json

    assert ["ok", "events", "sealed_through", "head", "problems"] == list(document)
    assert (True, head(seeded), []) == (document["ok"], document["events"], document["problems"])
    assert head(seeded) == document["head"]["position"]
    assert (
        f"ok: {head(seeded)} events, none missing, every body is the one that was committed to\n"
        == cli("ledger", "verify").stdout
    )


def test_a_ledger_without_its_bodies_does_not_verify(sql_url: str) -> None:
    """It was said that nothing was missing and nothing changed."""
    store = opened(sql_url)
    store.ledger.append(plain("a", 2))
    tamper(store, "DELETE FROM event_body")
    store.close()
    answer = run_cli("--database-url", sql_url, "ledger", "verify", "--json")

    assert 7 == answer.exit_code
    assert [{"position": at, "problem": "the body is missing"} for at in (1, 2)] == answer.json["problems"]


def test_a_body_without_an_event_does_not_verify(sql_url: str) -> None:
    store = opened(sql_url)
    store.ledger.append(plain("a"))
    tamper(store, "INSERT INTO event_body SELECT 9, salt, body FROM event_body")
    store.close()
    answer = run_cli("--database-url", sql_url, "ledger", "verify", "--json")

    assert 7 == answer.exit_code
    assert [9] == [each["position"] for each in answer.json["problems"]]


def test_the_ledger_is_counted(cli: Cli, seeded: Store) -> None:
    document = cli("ledger", "stats", "--json").json

    assert (head(seeded), 2, 2) == tuple(document[field] for field in ("events", "jobs", "runs"))
    assert 2 == document["types"]["run.triggered"]


def test_replay_is_live_state_without_what_comes_next(cli: Cli, seeded: Store) -> None:
    status = cli("jobs", "status", "--json").json
    for job in status["jobs"]:
        del job["next_fire_at"]

    assert status == cli("replay", "--json").json
    assert 1 == len(cli("replay", "--to", "1", "--json").json["jobs"])
    assert [] == cli("replay", "--to", "2020-01-01", "--json").json["jobs"]
    assert ["boom"] == [job["name"] for job in cli("replay", "--job", "boom", "--json").json["jobs"]]


def test_views_are_listed_checked_and_built_anew(cli: Cli, seeded: Store) -> None:
    cli("jobs", "status")
    listed = cli("projections", "list", "--json").json["projections"]

    assert {"job_status", "run_history", "step_history", "leadership"} <= {each["name"] for each in listed}
    assert {0} == {each["lag"] for each in listed}
    assert {"ok": True, "differences": [], "left_out": []} == cli("projections", "check", "--json").json
    with seeded.writing() as connection:
        connection.execute(text("UPDATE job_status SET failed = 99 WHERE name = 'boom'"))
    broken = cli("projections", "check", "--json")

    assert 7 == broken.exit_code
    assert [("job_status", ["boom"], "failed", 99, 1)] == [
        tuple(each[field] for field in ("projection", "key", "field", "row", "fold"))
        for each in broken.json["differences"]
    ]
    assert head(seeded) == cli("projections", "rebuild", "--json").json["position"]
    assert 0 == cli("projections", "check").exit_code


def test_a_check_of_the_views_names_those_that_it_did_not_compare(cli: Cli, seeded: Store) -> None:
    """It said that every row is what the events say, and had compared none."""
    cli("jobs", "status")
    with seeded.writing() as connection:
        connection.execute(text("UPDATE checkpoint SET version = 0 WHERE projection = 'run_history'"))
    told, document = cli("projections", "check"), cli("projections", "check", "--json").json
    with seeded.writing() as connection:
        connection.execute(text("UPDATE checkpoint SET version = 99 WHERE projection = 'run_history'"))
    newer = cli("projections", "check")

    assert "ok: every row of 4 views is what the events say\n" == told.stdout
    assert told.stderr.endswith("folded afresh when they are next asked: run_history\n")
    assert ["run_history"] == document["left_out"]
    assert 6 == newer.exit_code
    assert "folded by version 99" in newer.stderr


def test_the_log_shows_what_happened_at_its_level_and_above(cli: Cli, seeded: Store) -> None:
    document = cli("infra", "logs", "view", "--level", "error", "--json").json
    (line,) = document["logs"]

    assert 1 == document["total"]
    assert ("ERROR", "boom", BAD_RUN) == (line["level"], line["job"], line["run_id"])
    assert "ValueError: boom" in line["message"]
    assert 4 <= cli("logs", "view", "--job", "tidy", "--json").json["total"]
    assert 2 == len(cli("logs", "view", "-n", "2", "--json").json["logs"])


# --- running and schema ---------------------------------------------------------------------------------


def test_an_instance_runs_for_a_while_and_registers_its_jobs(cli: Cli, store: Store) -> None:
    names: list[str] = []
    for while_ in ("0.3s", "2s", "9s"):  # on a busy machine it takes a while until it leads
        result = cli("--log-format", "json", "up", "--for", while_)
        names = [job["name"] for job in cli("jobs", "status", "--json").json["jobs"]]
        if names:
            break

    assert 0 == result.exit_code
    assert all("event" in msgspec.json.decode(line) for line in result.stderr.splitlines())
    assert {"boom", "forever", "tidy"} <= set(names)


def test_the_schema_is_at_head(cli: Cli) -> None:
    current = cli("db", "current", "--json").json

    assert current["head"] == current["current"]
    assert (0, True) == (cli("db", "check").exit_code, cli("db", "check", "--json").json["ok"])
    assert current["current"] == cli("db", "upgrade", "--json").json["current"]


def test_a_postgres_without_a_schema_is_refused_until_it_is_upgraded(empty_postgres_url: str) -> None:
    env = {"CRONLEDGER_DATABASE_URL": empty_postgres_url}
    refused = [
        run_cli(*args, env=env) for args in (("up", "--for", "0.1s"), ("jobs", "status"), ("db", "check"))
    ]

    assert [6, 6, 6] == [result.exit_code for result in refused]
    assert all("run `cronledger db upgrade`" in result.stderr for result in refused)
    assert None is run_cli("db", "current", "--json", env=env).json["current"]
    assert None is run_cli("db", "upgrade", "--json", env=env).json["previous"]
    assert [0, 0] == [run_cli(*args, env=env).exit_code for args in (("jobs", "status"), ("db", "check"))]


def test_up_may_be_told_to_upgrade(empty_postgres_url: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)

    assert 0 == run_cli("--database-url", empty_postgres_url, "up", "--for", "0.2s", "--migrate").exit_code


def test_a_sqlite_file_is_made_when_it_is_first_needed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_cli("jobs", "status", "--json")

    assert {"position": 0, "jobs": []} == result.json
    assert (tmp_path / "cronledger.db").exists()
