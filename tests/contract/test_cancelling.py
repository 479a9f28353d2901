"""Stopping a run on every database, whoever looks after it."""

from __future__ import annotations

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from cronledger import Scheduler, cancelling
from cronledger.clock import SystemClock
from cronledger.domain import run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import Actor, AttemptFailed, Body, Cause, Event, JobRegistered, RunSucceeded
from cronledger.domain.ids import JobName, RunId, instance_id, job_stream, manual_run, run_stream
from cronledger.entropy import SystemEntropy
from cronledger.ledger import instances
from cronledger.ledger.api import Write
from cronledger.ledger.database import Store, open_store
from tests.checker import problems
from tests.cli_runner import Cli, forever
from tests.conftest import lines_of
from tests.waiting import eventually

FOREVER = JobDefinition(name=JobName("forever"), extension="house", job="forever", idempotent=True)
RUN = manual_run(FOREVER.name, "0001")


@pytest.fixture
def waiting(store: Store) -> RunId:
    """Return a run that waits for an instance; there is none."""
    registered = Event(body=JobRegistered(definition=FOREVER), actor=Actor.engine("config"), job=FOREVER.name)
    store.ledger.append(Write(job_stream(FOREVER.name), (registered,)))
    begun = run.trigger(FOREVER, RUN, Cause.MANUAL, Actor.operator("ann"), reason="to see")
    store.ledger.append(Write(run_stream(RUN), (begun,)))
    return RUN


def started(store: Store, *bodies: Body) -> None:
    """Let an instance that is gone have claimed the run, and have said this of it."""
    begun = run.trigger(FOREVER, RUN, Cause.MANUAL, Actor.operator("ann"))
    claimed = run.start_of(begun)
    said = [Event(body=body, actor=claimed.actor, job=FOREVER.name, run_id=RUN, attempt=1) for body in bodies]
    store.ledger.append(Write(run_stream(RUN), (claimed, *said), expected=1))


@pytest.fixture
def left_behind(store: Store, waiting: RunId, ledger_url: str) -> RunId:
    """Return a run whose process was killed: it performed the run by itself, and no instance is up."""
    gone = instance_id("here", 1, "d" * 12)
    beside = open_store(ledger_url, instance=gone, clock=SystemClock(), entropy=SystemEntropy())
    started(beside)
    beside.close()
    tells = "from cronledger import process_identity; print(process_identity.own())"
    process = subprocess.check_output([sys.executable, "-c", tells], text=True).strip()
    silent_since = store.ledger.head().clock - instances.LATE_AFTER * 2
    row = instances.Instance(
        id=gone, name="here", kind="oneshot", host=socket.gethostname(), pid=1, build="1", state="ready",
        started_at=silent_since, beat_at=silent_since, process=process,
    )  # fmt: skip
    with store.writing() as connection:
        instances.register(connection, row)
    return waiting


def types(url: str) -> list[str]:
    return [line["type"] for line in lines_of(url) if line["run_id"] == RUN]


def test_a_run_is_stopped_on_the_instance_that_performs_it(cli: Cli, ledger_url: str) -> None:
    with Scheduler(database_url=ledger_url, jobs=[forever]).background():
        (begun,) = cli("jobs", "run", "forever", "--no-wait", "--json").json["runs"]
        is_running = eventually(lambda: cli("runs", "list", "--status", "running", "--json").json["runs"])
        result = cli("infra", "jobs", "cancel", "forever!", "--reason", "enough", "--json")
    lines = lines_of(ledger_url)
    (asked,) = (line for line in lines if line["type"] == "run.cancel_requested")

    assert is_running
    assert 0 == result.exit_code
    assert {
        "run_id": begun["run_id"],
        "job": "forever",
        "outcome": "cancelled",
        "changed": True,
        "message": f"Run '{begun['run_id']}' has been cancelled",
    } == result.json
    assert ("operator", "enough") == (asked["actor"]["kind"], asked["actor"]["reason"])
    assert [] == problems(lines)


def test_a_run_is_stopped_while_its_instance_drains(cli: Cli, store: Store, ledger_url: str) -> None:
    def stop(run_id: RunId) -> None:
        assert eventually(lambda: "leader.resigned" in [line["type"] for line in lines_of(ledger_url)])
        cancelling.request(store, run_id, Actor.operator("ann"), "enough")

    with ThreadPoolExecutor(1) as threads:
        with Scheduler(database_url=ledger_url, jobs=[forever]).background():
            (begun,) = cli("jobs", "run", "forever", "--no-wait", "--json").json["runs"]
            is_running = eventually(lambda: cli("runs", "list", "--status", "running", "--json").json["runs"])
            stopped = threads.submit(stop, RunId(begun["run_id"]))
        stopped.result()
    at = {line["type"]: datetime.fromisoformat(str(line["recorded_at"])) for line in lines_of(ledger_url)}

    assert is_running
    assert at["run.cancelled"] - at["run.cancel_requested"] < timedelta(seconds=3)


def test_a_run_that_waits_for_its_next_attempt_is_ended_by_the_leader(
    cli: Cli, store: Store, waiting: RunId, ledger_url: str
) -> None:
    started(store, AttemptFailed(error="away", claim_from=store.ledger.head().clock + timedelta(hours=1)))
    with Scheduler(database_url=ledger_url, jobs=[forever]).background():
        result = cli("runs", "cancel", waiting, "--json")
    (ended,) = (line for line in lines_of(ledger_url) if line["type"] == "run.cancelled")

    assert (0, "cancelled") == (result.exit_code, result.json["outcome"])
    assert ("engine", "recovery") == (ended["actor"]["kind"], ended["actor"]["name"])


def test_a_waiting_run_ends_also_where_nobody_leads(
    cli: Cli, store: Store, waiting: RunId, ledger_url: str
) -> None:
    result = cli("runs", "cancel", waiting, "--reason", "enough")
    shown = cli("runs", "show", waiting, "--json").json["run"]

    assert 0 == result.exit_code
    assert "no instance leads" in result.stderr
    assert ["run.triggered", "run.cancel_requested", "run.cancelled"] == types(ledger_url)
    assert ("cancelled", "enough") == (shown["outcome"], shown["reason"])


def test_a_request_need_not_be_waited_for_and_is_made_once(
    cli: Cli, store: Store, waiting: RunId, ledger_url: str
) -> None:
    first, second = (cli("runs", "cancel", waiting, "--no-wait", "--json") for _ in range(2))

    assert [(0, True, None), (0, False, None)] == [
        (each.exit_code, each.json["changed"], each.json["outcome"]) for each in (first, second)
    ]
    assert "had already been asked to stop" in second.json["message"]
    assert ["run.triggered", "run.cancel_requested"] == types(ledger_url)


def test_a_run_that_does_not_stop_in_time_is_exit_code_124(
    cli: Cli, store: Store, waiting: RunId, ledger_url: str
) -> None:
    """Its instance is gone, and nobody is up who could say so."""
    started(store)
    result = cli("runs", "cancel", waiting, "--timeout", "0.3s")

    assert 124 == result.exit_code
    assert "has not stopped within 0.3s" in result.stderr
    assert ["run.triggered", "run.started", "run.cancel_requested"] == types(ledger_url)


def test_a_run_whose_process_was_killed_is_not_waited_for_where_nobody_leads(
    cli: Cli, left_behind: RunId, ledger_url: str
) -> None:
    """The command said that no instance leads, and waited for ever."""
    first, second = cli("runs", "cancel", left_behind, "--json"), cli("runs", "cancel", left_behind)
    bounded = cli("runs", "cancel", left_behind, "--timeout", "0.3s")

    assert [124] * 3 == [each.exit_code for each in (first, second, bounded)]
    assert {
        "code": "left_behind",
        "message": f"run '{left_behind}' has been asked to stop, and has not ended: its process is gone",
        "hint": "it ends once an instance is up: `cronledger up`",
    } == {key: first.error[key] for key in ("code", "message", "hint")}
    assert "its process is gone" in second.stderr
    assert "has not stopped within 0.3s" in bounded.stderr
    assert ["run.triggered", "run.started", "run.cancel_requested"] == types(ledger_url)

    with Scheduler(database_url=ledger_url, jobs=[forever]).background():
        assert eventually(lambda: types(ledger_url)[-1] == "run.lost"), types(ledger_url)


def test_a_run_whose_process_was_killed_stands_in_the_way_until_an_instance_is_up(
    cli: Cli, left_behind: RunId
) -> None:
    """Whoever asked was told to wait for its end, or to stop it, and neither helps."""
    again, repeated = cli("jobs", "run", "forever", "--json"), cli("runs", "retry", left_behind, "--json")

    assert [(4, "overlap"), (4, "refused")] == [
        (each.exit_code, each.error["code"]) for each in (again, repeated)
    ]
    assert [
        f"job 'forever' is already running as {left_behind}, whose process is gone",
        f"run '{left_behind}' has not ended: it is running, and its process is gone",
    ] == [each.error["message"] for each in (again, repeated)]
    assert ["it ends once an instance is up: `cronledger up`"] * 2 == [
        each.error["hint"] for each in (again, repeated)
    ]


def test_a_run_that_has_ended_is_refused_with_its_outcome(
    cli: Cli, store: Store, waiting: RunId, ledger_url: str
) -> None:
    started(store, RunSucceeded(message="done"))
    before = store.ledger.head().position
    result = cli("runs", "cancel", waiting)

    assert 4 == result.exit_code
    assert "has ended already: succeeded" in result.stderr
    assert before == store.ledger.head().position


@pytest.mark.parametrize(("args", "code"), [(["nothing"], 3), ([RUN, "--timeout", "soon"], 2)])
def test_bad_input_writes_nothing(cli: Cli, store: Store, waiting: RunId, args: list[str], code: int) -> None:
    before = store.ledger.head().position

    assert code == cli("runs", "cancel", *args).exit_code
    assert before == store.ledger.head().position
