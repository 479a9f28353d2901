"""What `doctor` sees of a cluster, on both databases that several processes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cronledger import Scheduler, job, migrations, tz_database
from cronledger.cli.cluster_checks import CHECKS, HERE
from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import Actor, ConfigApplied, Event, InstanceStarted, JobRegistered
from cronledger.domain.ids import CONFIG, InstanceId, JobName, instance_id, instance_stream, job_stream
from cronledger.domain.requests import Requested
from cronledger.domain.zone import Transitions
from cronledger.domain.zone_rules import rules_for
from cronledger.ledger import inbox, instances
from cronledger.ledger.api import Item, Ledger, Write
from cronledger.ledger.database import Store
from cronledger.ledger.instants import to_micros
from cronledger.ledger.schema import INBOX
from tests.cli_runner import Result, run_cli
from tests.conftest import opened
from tests.events import election, submit
from tests.waiting import eventually_within

BERLIN = "Europe/Berlin"
REPORT = JobDefinition(name=JobName("report"), schedule="0 0 9 * * *", timezone=BERLIN)
HOURLY = JobDefinition(name=JobName("hourly"), schedule="0 0 * * * *", timezone=BERLIN)
ABROAD = JobDefinition(name=JobName("abroad"), schedule="0 0 9 * * *", timezone="Asia/Tokyo")
OLD, NEW = instance_id("old", 1, "aaaaaaaaaaaa"), instance_id("new", 2, "bbbbbbbbbbbb")
ENGINE = Actor.engine("test")

Cli = Callable[..., Result]


@pytest.fixture
def store(sql_url: str) -> Iterator[Store]:
    """Return an open store with three jobs."""
    store = opened(sql_url)
    for definition in (REPORT, HOURLY, ABROAD):
        body = JobRegistered(definition=definition, revision="r1")
        store.ledger.append(
            Write(job_stream(definition.name), (Event(body=body, actor=ENGINE, job=definition.name),))
        )
    yield store
    store.close()


@pytest.fixture
def cluster(store: Store) -> Iterator[Callable[..., None]]:
    """Return what brings an instance up, with the rules that it recorded."""
    with ExitStack() as signs:

        def come(name: InstanceId, *, revision: str = "r1", kind: Any = "service", **started: Any) -> None:
            sign = store.instance_lock(name)
            signs.callback(sign.release)
            now = store.ledger.head().clock
            row = instances.Instance(
                id=name, name=name.split(".")[0], kind=kind, host="h", pid=1, build="1.0",
                started_at=now, beat_at=now, config_revision=revision,
            )  # fmt: skip
            with store.writing() as connection:
                instances.register(connection, row)
            body = InstanceStarted(kind=kind, **started)
            store.ledger.append(Write(instance_stream(name), (Event(body=body, actor=ENGINE),)))

        yield come


@pytest.fixture
def doctor(sql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Result]:
    """Return the command on this ledger, in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return lambda: run_cli("--database-url", sql_url, "doctor", "--json")


def check(result: Result, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in result.json["checks"] if each["check"] == name)
    return found


def recorded(
    ledger: Ledger, *, shifted: timedelta = timedelta(0), version: str = "2025b (system)"
) -> dict[str, Any]:
    """Return what an instance records, with every change of the clock in Berlin moved."""
    rules = rules_for([REPORT, ABROAD], ledger.head().clock)
    (start, *changes) = rules.zones[BERLIN]
    seconds = int(shifted.total_seconds())
    moved: Transitions = (start, *((at + seconds, offset) for at, offset in changes))
    return {"tzdata": version, "zones": {**rules.zones, BERLIN: moved}, "zones_until": rules.until}


def next_change(ledger: Ledger) -> datetime:
    rules = rules_for([REPORT], ledger.head().clock)
    return datetime.fromtimestamp(rules.zones[BERLIN][1][0], UTC)


# --- fire times -----------------------------------------------------------------------------------------


def test_a_job_that_fires_otherwise_under_an_instances_time_zone_data_is_named(
    store: Store, cluster: Callable[..., None], doctor: Callable[[], Result]
) -> None:
    cluster(OLD, **recorded(store.ledger))
    cluster(NEW, **recorded(store.ledger, shifted=timedelta(days=7), version="2030a (package)"))
    result = doctor()
    found = check(result, "fire_times")
    (affected,) = found["jobs"]
    fires = {each["instance"]: each["fire_at"] for each in affected["fire_times"]}
    first = min(datetime.fromisoformat(at) for at in fires.values())

    assert 0 == result.exit_code
    assert "warn" == found["status"]
    assert ("report", BERLIN) == (affected["name"], affected["timezone"])
    assert {OLD: "2025b (system)", NEW: "2030a (package)", HERE: str(tz_database.in_use())} == found[
        "versions"
    ]
    assert fires.keys() == {OLD, NEW, HERE}
    assert fires[OLD] == fires[HERE] != fires[NEW]
    assert timedelta(0) < first - next_change(store.ledger) < timedelta(days=1)
    assert "restart the instances" in found["hint"]


def test_other_versions_with_the_same_fire_times_are_fine_and_told(
    store: Store, cluster: Callable[..., None], doctor: Callable[[], Result]
) -> None:
    cluster(OLD, **recorded(store.ledger, version="1999a (system)"))
    cluster(NEW, **recorded(store.ledger))
    found = check(doctor(), "fire_times")

    assert ("ok", []) == (found["status"], found["jobs"])
    assert "time-zone data differs (1999a (system)" in found["message"]
    assert "no job's fire times do before" in found["message"]


def test_an_instance_of_an_earlier_version_is_named_because_it_recorded_no_rules(
    cluster: Callable[..., None], doctor: Callable[[], Result]
) -> None:
    cluster(OLD, tzdata="2026.6")
    found = check(doctor(), "fire_times")

    assert ("warn", []) == (found["status"], found["jobs"])
    assert [{"instance": OLD, "timezones": ["Asia/Tokyo", BERLIN]}] == found["not_compared"]


def test_an_instance_that_has_gone_or_runs_by_hand_is_not_asked(
    store: Store, cluster: Callable[..., None], doctor: Callable[[], Result]
) -> None:
    other = recorded(store.ledger, shifted=timedelta(days=7))
    cluster(OLD, kind="oneshot", **other)
    cluster(NEW, **other)
    with store.writing() as connection:
        instances.beat(connection, NEW, store.ledger.head().clock - timedelta(minutes=1))
    result = doctor()

    assert "ok" == check(result, "fire_times")["status"]
    assert "warn" == check(result, "instances")["status"]
    assert [NEW] == [each["instance"] for each in check(result, "instances")["silent"]]
    assert [OLD] == [each["instance"] for each in check(result, "instances")["instances"]]


def test_a_job_whose_schedule_cannot_be_read_here_is_named(
    store: Store, doctor: Callable[[], Result]
) -> None:
    fine = check(doctor(), "schedules")
    for name, enabled in (("mars", True), ("venus", False)):
        definition = JobDefinition(
            name=JobName(name), schedule="0 0 9 * * *", timezone="Mars/Olympus_Mons", enabled=enabled
        )
        body = JobRegistered(definition=definition, revision="r2")
        event = Event(body=body, actor=ENGINE, job=definition.name)
        store.ledger.append(Write(job_stream(definition.name), (event,)))
    found = check(doctor(), "schedules")

    assert ("ok", []) == (fine["status"], fine["unreadable"])
    assert "warn" == found["status"]
    assert [{"name": "mars", "reason": "unknown time zone 'Mars/Olympus_Mons'"}] == found["unreadable"]


# --- the cluster ----------------------------------------------------------------------------------------


def test_a_ledger_that_nobody_uses_fails_nothing(store: Store, doctor: Callable[[], Result]) -> None:
    result = doctor()
    head = store.ledger.head()

    assert (0, True) == (result.exit_code, result.json["ok"])
    assert store.kind == check(result, "ledger")["kind"]
    assert migrations.HEAD == check(result, "schema")["current"]
    assert "warn" == check(result, "leader")["status"]
    assert "warn" == check(result, "instances")["status"]
    assert "ok" == check(result, "revisions")["status"]
    assert "ok" == check(result, "clock")["status"]
    assert head.position == store.ledger.head().position


def test_whoever_leads_is_told_with_term_and_lease(store: Store, doctor: Callable[[], Result]) -> None:
    submit(store.ledger, election(fence=0, expected=0, leader=OLD))
    found = check(doctor(), "leader")

    assert ("ok", OLD, 1) == (found["status"], found["leader"], found["term"])
    assert found["lease_until"].endswith("Z")
    assert OLD in found["message"]


def test_an_instance_with_another_configuration_than_the_current_one_is_named(
    store: Store, cluster: Callable[..., None], doctor: Callable[[], Result]
) -> None:
    for revision in ("r0", "r1"):
        event = Event(body=ConfigApplied(revision=revision), actor=ENGINE)
        store.ledger.submit([store.ledger.prepare(Item((Write(CONFIG, (event,), expected=None),)))])
    cluster(OLD, revision="r0")
    cluster(NEW, revision="r1")
    found = check(doctor(), "revisions")

    assert ("warn", "r1") == (found["status"], found["current"])
    assert [{"instance": OLD, "revision": "r0"}] == found["differing"]


def test_files_here_that_are_not_the_current_configuration_are_a_warning(
    store: Store, doctor: Callable[[], Result]
) -> None:
    store.ledger.append(Write(CONFIG, (Event(body=ConfigApplied(revision="r1"), actor=ENGINE),)))
    without_files = check(doctor(), "revisions")
    file = Path("services/config/config.yaml")
    file.parent.mkdir(parents=True)
    file.write_text("scheduler: {timezone: Europe/Berlin}\n")
    file.chmod(0o600)
    found = check(doctor(), "revisions")

    assert ("ok", None) == (without_files["status"], without_files["hint"])
    assert ("warn", "r1", []) == (found["status"], found["current"], found["differing"])
    assert f"the files here are another one, {found['here']}" in found["message"]
    assert "config apply --dry-run" in found["hint"]


def test_an_instance_does_not_differ_from_a_configuration_that_is_not_there_yet(
    cluster: Callable[..., None], doctor: Callable[[], Result]
) -> None:
    cluster(NEW, revision="r1")
    found = check(doctor(), "revisions")

    assert ("ok", None, []) == (found["status"], found["current"], found["differing"])
    assert "no configuration is current yet" == found["message"]


def test_a_database_without_the_schema_fails_with_its_exit_code(
    empty_sql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opened(empty_sql_url).close()
    result = run_cli("--database-url", empty_sql_url, "doctor", "--json")

    assert 6 == result.exit_code
    assert "ok" == check(result, "ledger")["status"]
    assert ("fail", None) == (check(result, "schema")["status"], check(result, "schema")["current"])
    assert "cronledger db upgrade" in check(result, "schema")["hint"]
    assert {"skipped"} == {check(result, name)["status"] for name in CHECKS}


# --- recording ------------------------------------------------------------------------------------------


@job(name="report", extension="tests")
async def report() -> None:
    """Report."""


def test_an_instance_records_its_time_zone_data_and_doctor_finds_it_well(
    sql_url: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    entry = f"name: report, extension: tests, schedule: '0 0 9 * * *', timezone: {BERLIN}"
    config.write_text(f"scheduler: {{jobs: [{{{entry}}}]}}\n")
    store = opened(sql_url)
    with Scheduler(database_url=sql_url, config=config, jobs=[report]).background():
        assert eventually_within(30, lambda: not store.ledger.head().is_vacant)
        result = run_cli("--database-url", sql_url, "--app", __name__, "doctor", "--json")
    started = store.ledger.read_all(0, 1)[0].body  # type: ignore[arg-type]
    store.close()

    assert isinstance(started, InstanceStarted)
    assert str(tz_database.in_use()) == started.tzdata
    assert [BERLIN] == list(started.zones)
    assert started.zones_until is not None
    assert 0 == result.exit_code
    # The server of the tests trades durability for speed, and `database` says so.
    found = [check(result, name) for name in CHECKS if name != "database"]
    assert [] == [each for each in found if each["status"] != "ok"]
    assert started.tzdata in check(result, "fire_times")["message"]


# --- the inbox ------------------------------------------------------------------------------------------


def test_requests_of_applications_that_wait_for_long_are_told(
    store: Store, doctor: Callable[[], Result]
) -> None:
    now = store.ledger.head().clock
    request = Requested(id="0" * 32, job=REPORT.name, actor="shop")
    with store.writing() as connection:
        connection.execute(INBOX.insert(), inbox.columns(request, now))
    fresh = check(doctor(), "inbox")
    with store.writing() as connection:
        connection.execute(INBOX.update().values(written_at=to_micros(now - timedelta(minutes=1))))
    old = check(doctor(), "inbox")

    assert ("ok", 1) == (fresh["status"], fresh["requests"])
    assert ("warn", 1) == (old["status"], old["requests"])
    assert "1 request in the inbox, the oldest since" in old["message"]
