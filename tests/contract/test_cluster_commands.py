"""`config apply`, `config diff`, `config schema`, `status` and `instances`, on every database."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from cronledger.clock import SystemClock
from cronledger.domain.events import (
    Actor,
    Body,
    ConfigApplied,
    ConfigLoaded,
    ConfigRejected,
    Event,
    RunStarted,
)
from cronledger.domain.ids import CONFIG, InstanceId, JobName, Position, instance_id, job_stream, run_stream
from cronledger.entropy import SystemEntropy
from cronledger.ledger import instances
from cronledger.ledger.api import Write
from cronledger.ledger.codec import exported
from cronledger.ledger.database import Store, open_store
from tests.cli_runner import APP, Result, run_cli
from tests.conftest import opened
from tests.events import election, submit
from tests.redefinitions import count

Cli = Callable[..., Result]
ENGINE = Actor.engine("config")
NIGHTLY = 'scheduler: {jobs: [{name: tidy, extension: house, schedule: "0 0 3 * * *"}]}'
HOURLY = 'scheduler: {jobs: [{name: tidy, extension: house, schedule: "0 0 * * * *"}]}'
NEITHER = "scheduler: {jobs: [{name: boom, extension: house, schedule: ''}]}"


@pytest.fixture
def store(ledger_url: str) -> Iterator[Store]:
    """Return the ledger, to look at from beside."""
    store = opened(ledger_url)
    yield store
    store.close()


@pytest.fixture
def cli(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Return the program in a folder with three configurations, of which `nightly.yaml` is in use."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name, text in (("nightly", NIGHTLY), ("hourly", HOURLY), ("neither", NEITHER)):
        (folder / f"{name}.yaml").write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    env = {
        "CRONLEDGER_DATABASE_URL": ledger_url,
        "CRONLEDGER_APP": APP,
        "CRONLEDGER_CONFIG": "nightly.yaml",
    }
    return lambda *args: run_cli(*args, env=env)


@pytest.fixture
def come(store: Store) -> Iterator[Callable[..., InstanceId]]:
    """Return what brings an instance up that carries a revision."""
    with ExitStack() as signs:

        def bring(name: str, revision: str, *jobs: str, kind: Any = "service") -> InstanceId:
            identity = instance_id(name, 1, "a" * 12)
            sign = store.instance_lock(identity)
            signs.callback(sign.release)
            now = store.ledger.head().clock
            row = instances.Instance(
                id=identity, name=name, kind=kind, host="h", pid=1, build="1.0", started_at=now, beat_at=now,
                config_revision=revision, jobs=tuple(JobName(each) for each in jobs), state="ready",
            )  # fmt: skip
            with store.writing() as connection:
                instances.register(connection, row)
            return identity

        yield bring


def lines_of(store: Store) -> list[dict[str, Any]]:
    return [msgspec.json.decode(exported(each)) for each in store.ledger.read_stored(Position(0), 10**6)]


def said(store: Store, body: ConfigApplied | ConfigLoaded | ConfigRejected) -> None:
    store.ledger.append(Write(CONFIG, (Event(body=body, actor=ENGINE),), expected=None))


def said_by(url: str, instance: InstanceId, *bodies: ConfigLoaded | ConfigRejected) -> None:
    store = open_store(url, instance=instance, clock=SystemClock(), entropy=SystemEntropy())
    for body in bodies:
        said(store, body)
    store.close()


def rejected(cli: Cli) -> list[str]:
    """Return the problems that `status` tells."""
    told = cli("status", "--json").json["config"]["rejected"]
    return [problem for each in told for problem in each["problems"]]


def revision_of(cli: Cli, name: str) -> str:
    return str(cli("--config", f"{name}.yaml", "config", "check", "--json").json["revision"])


# --- apply ----------------------------------------------------------------------------------------------


def test_applying_makes_the_definitions_events_of_the_operator(cli: Cli, store: Store) -> None:
    result = cli("config", "apply", "--reason", "holidays", "--json")
    lines = lines_of(store)

    assert 0 == result.exit_code
    assert {
        "revision": revision_of(cli, "nightly"), "previous": None, "changed": True, "dry_run": False,
        "registered": ["tidy", "boom", "forever"], "redefined": [], "retired": [], "position": 4,
    } == result.json  # fmt: skip
    assert ["job.registered"] * 3 + ["config.applied"] == [line["type"] for line in lines]
    assert {"operator"} == {line["actor"]["kind"] for line in lines}
    assert "holidays" == lines[-1]["actor"]["reason"]


def test_a_dry_run_says_the_same_and_writes_nothing(cli: Cli, store: Store) -> None:
    cli("config", "apply")
    before = store.ledger.head().position
    result = cli("config", "apply", "hourly.yaml", "--dry-run", "--json")

    assert (["tidy"], True, False) == tuple(result.json[key] for key in ("redefined", "dry_run", "changed"))
    assert before == store.ledger.head().position
    assert (
        "would become current; nothing was changed"
        in cli("config", "apply", "hourly.yaml", "--dry-run").stdout
    )


def test_applying_again_what_an_operator_applied_writes_nothing(cli: Cli, store: Store) -> None:
    cli("config", "apply")
    before = store.ledger.head().position
    result = cli("config", "apply")

    assert (0, before) == (result.exit_code, store.ledger.head().position)
    assert "is already current" in result.stdout


def test_taking_over_what_an_engine_applied_is_a_change_and_a_dry_run_says_so_too(
    cli: Cli, store: Store
) -> None:
    """The event was recorded, and the answer was that nothing had changed."""
    cli("config", "apply")
    revision = revision_of(cli, "nightly")
    said(store, ConfigApplied(revision=revision, previous=revision))
    dry = cli("config", "apply", "--dry-run")
    taken_over = cli("config", "apply", "--json")
    again = cli("config", "apply", "--json")

    assert f"configuration {revision} would become current; nothing was changed\n" == dry.stdout
    assert (True, "config.applied") == (taken_over.json["changed"], lines_of(store)[-1]["type"])
    assert (False, taken_over.json["position"]) == (again.json["changed"], again.json["position"])


def test_a_superseded_file_is_refused_while_a_living_instance_carries_the_current_one(
    cli: Cli, store: Store, come: Callable[..., InstanceId]
) -> None:
    cli("config", "apply")
    cli("config", "apply", "hourly.yaml")
    carrier = come("new", revision_of(cli, "hourly"))
    before = store.ledger.head().position
    refused = cli("config", "apply", "nightly.yaml", "--json")
    dry = cli("config", "apply", "nightly.yaml", "--dry-run")
    unchanged = store.ledger.head().position
    forced = cli("config", "apply", "nightly.yaml", "--force", "--json")

    assert (4, 4, 0) == (refused.exit_code, dry.exit_code, forced.exit_code)
    assert "superseded" == refused.error["code"]
    assert carrier in refused.error["message"]
    assert before == unchanged
    assert ["tidy"] == forced.json["redefined"]


def test_a_superseded_file_is_taken_when_only_a_manual_run_carries_the_current_one(
    cli: Cli, come: Callable[..., InstanceId]
) -> None:
    cli("config", "apply")
    cli("config", "apply", "hourly.yaml")
    come("cli", revision_of(cli, "hourly"), kind="oneshot")

    assert 0 == cli("config", "apply", "nightly.yaml").exit_code


def test_jobs_are_not_changed_for_want_of_a_configuration(
    cli: Cli, store: Store, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("config", "apply")
    before = store.ledger.head().position
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    env = {"CRONLEDGER_DATABASE_URL": ledger_url, "CRONLEDGER_APP": APP}
    refused = run_cli("config", "apply", "--json", env=env)
    dry = run_cli("config", "apply", "--dry-run", "--json", env=env)
    unchanged = store.ledger.head().position
    forced = run_cli("config", "apply", "--force", "--json", env=env)

    assert (4, 0, 0) == (refused.exit_code, dry.exit_code, forced.exit_code)
    assert "there is no configuration here" in refused.error["message"]
    assert "tidy" in refused.error["message"]
    assert before == unchanged
    assert ["tidy"] == dry.json["redefined"] == forced.json["redefined"]


def test_a_file_with_a_mistake_is_not_applied(cli: Cli, store: Store, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("scheduler: {job: []}")

    assert 5 == cli("config", "apply", str(bad)).exit_code
    assert 0 == store.ledger.head().position


def test_more_jobs_than_fit_into_one_item_are_applied_together(
    cli: Cli, store: Store, tmp_path: Path
) -> None:
    many = tmp_path / "many.yaml"
    jobs = [{"name": f"j{number}", "extension": "house", "job": "tidy"} for number in range(450)]
    many.write_bytes(msgspec.json.encode({"scheduler": {"jobs": jobs}}))
    result = cli("config", "apply", str(many), "--json")
    lines = lines_of(store)

    assert 452 == len(result.json["registered"]) == count(lines, "job.registered")
    assert (1, "config.applied") == (count(lines, "config.applied"), lines[-1]["type"])


# --- diff and schema ------------------------------------------------------------------------------------


def test_a_comparison_counts_what_comes_goes_and_moves(cli: Cli) -> None:
    result = cli("config", "diff", "hourly.yaml", "--days", "2", "--json")
    (change,) = result.json["jobs"]

    assert 0 == result.exit_code
    assert ("tidy", "changed", ["schedule"]) == (change["name"], change["change"], change["fields"])
    assert {"added": 46, "removed": 0, "moved": 0} == change["counts"]
    assert 46 == result.json["added"] == len(change["added"])
    assert all(each.endswith(":00:00Z") for each in change["added"])
    assert (revision_of(cli, "nightly"), revision_of(cli, "hourly")) == (
        result.json["from"],
        result.json["to"],
    )


def test_a_comparison_with_itself_finds_nothing(cli: Cli) -> None:
    assert ["name\tchange\tfire_at\tto"] == cli("config", "diff", "nightly.yaml").stdout.splitlines()
    assert [] == cli("config", "diff", "nightly.yaml", "--json").json["jobs"]


def test_a_comparison_that_ends_early_says_until_when(cli: Cli) -> None:
    """The table counted 9990 more fire times, as if that were all of them."""
    Path("often.yaml").write_text(
        "scheduler: {jobs: [{name: tidy, extension: house, schedule: '* * * * * *'}]}\n"
    )
    rows = cli("config", "diff", "often.yaml").stdout.splitlines()

    assert 1 == sum(row.startswith("tidy\tfires too often: compared only until 20") for row in rows)
    assert "compared only" not in cli("config", "diff", "hourly.yaml").stdout


def test_a_long_list_of_fire_times_is_cut_for_people(cli: Cli) -> None:
    rows = cli("config", "diff", "hourly.yaml").stdout.splitlines()

    assert 1 + 1 + 10 + 1 == len(rows)
    assert "added: 151 more" in rows[-1]


def test_a_comparison_over_too_many_days_is_misuse(cli: Cli) -> None:
    assert 2 == cli("config", "diff", "hourly.yaml", "--days", "367").exit_code


def test_the_schema_is_one_document(cli: Cli) -> None:
    assert "cronledger configuration" == msgspec.json.decode(cli("config", "schema").stdout)["title"]


# --- status and instances -------------------------------------------------------------------------------


def test_status_of_an_empty_ledger_says_why_nothing_fires(cli: Cli) -> None:
    result = cli("status", "--json")

    assert 0 == result.exit_code
    assert (None, 0, []) == tuple(result.json[key] for key in ("leader", "position", "instances"))
    assert [
        "no instance is up: start one with `cronledger up`",
        "the ledger knows no job: an instance registers what its configuration lists",
    ] == result.json["why"]


def test_status_names_who_leads_and_who_differs(
    cli: Cli, store: Store, come: Callable[..., InstanceId]
) -> None:
    cli("config", "apply")
    current = revision_of(cli, "nightly")
    same, other = come("same", current, "tidy"), come("other", "beef", "tidy")
    submit(store.ledger, election(fence=0, expected=0, leader=same))
    result = cli("status", "--json")
    found = result.json

    assert (same, 1, []) == (found["leader"], found["term"], found["why"])
    assert [{"instance": other, "revision": "beef"}] == found["config"]["differing"]
    assert {same: False, other: True} == {each["instance"]: each["differs"] for each in found["instances"]}
    assert (current, current) == (found["config"]["current"], found["config"]["here"])
    assert found["config"]["applied_by"].startswith("operator:")
    assert "tidy" == found["next"]["job"]
    assert {"waiting": 0, "running": 0} == found["runs"]
    assert {"job_status", "run_history"} <= found["views"].keys()
    assert "differs from the ledger's" in cli("status").stdout


def test_status_names_what_keeps_everything_from_firing(cli: Cli, come: Callable[..., InstanceId]) -> None:
    cli("config", "apply")
    cli("infra", "jobs", "disable", "tidy")
    come("one", revision_of(cli, "nightly"))
    why = cli("status", "--json").json["why"]

    assert "no instance leads yet: nothing is planned until one does" in why
    assert any(each.startswith("no instance takes runs") for each in why)
    assert "no job has fire times: 1 disabled, 0 paused, 2 manual only" in why


class Demanded(Body, frozen=True, kw_only=True):
    type: ClassVar[str] = "job.demanded"
    must_understand: ClassVar[bool] = True


def test_status_says_why_no_instance_of_this_version_may_be_started(cli: Cli, store: Store) -> None:
    """It said to start one, which then refused."""
    event = Event(body=Demanded(), actor=ENGINE)
    store.ledger.append(Write(job_stream(JobName("tidy")), (event,), expected=None))
    why = cli("status", "--json").json["why"]

    assert "no instance is up" == why[0]
    assert why[1].startswith("no instance of this version may lead: the event at position 1 is of type 'job.")


def test_status_names_runs_that_nobody_can_perform(
    cli: Cli, store: Store, come: Callable[..., InstanceId]
) -> None:
    cli("config", "apply")
    identity = come("one", revision_of(cli, "nightly"), "boom")
    cli("infra", "jobs", "run", "boom", "--no-wait")
    with store.writing() as connection:
        instances.update(connection, identity, jobs=("tidy",))
    found = cli("status", "--json").json

    assert {"waiting": 1, "running": 0} == found["runs"]
    assert "runs wait for an instance that has the code of boom" in found["why"]


def test_status_names_queues_in_which_runs_wait_for_their_turn(
    cli: Cli, store: Store, come: Callable[..., InstanceId]
) -> None:
    Path("nightly.yaml").write_text(
        "scheduler: {queues: {printer: {max_concurrent: 1}}, "
        "jobs: [{name: boom, extension: house, queue: printer, overlap: allow}]}"
    )
    cli("config", "apply")
    come("one", revision_of(cli, "nightly"), "boom")
    for _ in range(2):
        cli("infra", "jobs", "run", "boom", "--no-wait")
    waiting = cli("status", "--json").json["why"]
    run_id = store.ledger.read_all(Position(0), 100)[-1].run_id
    assert run_id
    begun = Event(body=RunStarted(), actor=ENGINE, job=JobName("boom"), run_id=run_id, attempt=1)
    store.ledger.append(Write(run_stream(run_id), (begun,), expected=1))
    why = cli("status", "--json").json["why"]

    assert {"queue printer is full: 1 of 1 running, 1 run waiting"} == {*why} - {*waiting}


def test_status_shows_what_an_instance_rejected_until_it_has_read_files_that_are_right(
    cli: Cli, ledger_url: str, come: Callable[..., InstanceId]
) -> None:
    """Any other instance that came up, and any `config apply`, used to end it."""
    one, two = come("one", "r1"), come("two", "r2")
    said_by(ledger_url, one, ConfigRejected(kept="r1", problems=("c.yaml:1:1: error: x",), count=1))
    said_by(ledger_url, two, ConfigLoaded(revision="r2"))
    cli("config", "apply")

    assert ["c.yaml:1:1: error: x"] == rejected(cli)
    assert ["c.yaml:1:1: error: x"] == [
        each["problems"][0]
        for each in cli("status", "--as-of", "position:1", "--json").json["config"]["rejected"]
    ]
    said_by(ledger_url, one, ConfigLoaded(revision="r1"))
    assert [] == rejected(cli)


def test_status_does_not_show_what_an_instance_rejected_that_is_gone(cli: Cli, store: Store) -> None:
    said(store, ConfigRejected(kept="r1", problems=("c.yaml:1:1: error: x",), count=1))

    assert [] == rejected(cli)


def test_status_of_an_earlier_moment_tells_what_the_ledger_does(cli: Cli) -> None:
    cli("config", "apply")
    cli("config", "apply", "hourly.yaml")
    then = cli("status", "--as-of", "position:4", "--json").json

    assert (4, revision_of(cli, "nightly")) == (then["position"], then["config"]["current"])
    assert None is then["instances"]


def test_instances_lists_those_that_are_up(cli: Cli, come: Callable[..., InstanceId]) -> None:
    identity = come("one", "r1", "tidy")
    result = cli("instances", "--json")

    assert 1 == result.json["total"]
    assert (identity, True, "service", "ready", "r1") == tuple(
        result.json["instances"][0][key] for key in ("instance", "alive", "kind", "state", "config_revision")
    )
