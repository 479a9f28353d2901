"""Pausing on every database: what the commands say, and what a pause leaves in the ledger."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import Actor, Event, JobRegistered
from cronledger.domain.ids import JobName, job_stream
from cronledger.ledger.api import Write
from cronledger.ledger.database import Store
from tests.checker import problems
from tests.cli_runner import Cli
from tests.conftest import lines_of
from tests.waiting import eventually

QUICK = JobDefinition(name=JobName("forever"), extension="house", job="forever", schedule="* * * * * *")


@pytest.fixture
def registered(store: Store) -> Store:
    """Return a ledger with a job that is due every second, and no instance."""
    event = Event(body=JobRegistered(definition=QUICK), actor=Actor.engine("config"), job=QUICK.name)
    store.ledger.append(Write(job_stream(QUICK.name), (event,)))
    return store


def test_a_job_is_paused_and_resumed_with_one_skip_in_between(
    cli: Cli, registered: Store, ledger_url: str
) -> None:
    paused = cli("infra", "jobs", "pause", "forever", "--reason", "moving", "--json").json
    standing = cli("jobs", "status", "forever", "--json").json["jobs"][0]
    page = cli("jobs", "show", "forever", "--json").json
    until = registered.ledger.head().clock + timedelta(seconds=2.1)
    eventually(lambda: registered.ledger.head().clock > until)
    resumed = cli("infra", "jobs", "resume", "forever", "--reason", "moved", "--json").json
    lines = lines_of(ledger_url)
    skip, word = lines[-2:]

    assert ("forever", True, True, True, "Job 'forever' has been paused") == tuple(
        paused[field] for field in ("name", "enabled", "paused", "changed", "message")
    )
    assert ("moving", True) == (page["pause"]["reason"], page["pause"]["by"].startswith("operator:"))
    assert (True, None) == (standing["paused"], standing["next_fire_at"])
    assert ("job.fire_times_skipped", "paused") == (skip["type"], skip["body"]["reason"])
    assert (skip["body"]["count"], len(lines)) == (resumed["skipped"], resumed["position"])
    assert 2 <= resumed["skipped"] <= 60
    assert ("job.resumed", "operator", "moved") == (
        word["type"],
        word["actor"]["kind"],
        word["actor"]["reason"],
    )
    assert (False, True) == (resumed["paused"], resumed["changed"])
    # What came due before the pause waits for an instance, and there is none.
    from_pause_on = [lines[0] | {"recorded_at": lines[1]["recorded_at"]}, *lines[1:]]
    assert [] == problems(from_pause_on)


@pytest.mark.parametrize(
    ("verbs", "says"),
    [
        (["pause", "pause"], "Job 'forever' is already paused"),
        (["resume"], "Job 'forever' is not paused"),
    ],
)
def test_deciding_what_stands_already_changes_nothing_and_says_so(
    cli: Cli, registered: Store, verbs: list[str], says: str
) -> None:
    answers = [(cli("jobs", verb, "forever", "--json"), registered.ledger.head().position) for verb in verbs]
    result, position = answers[-1]

    assert (0, False, says) == (result.exit_code, result.json["changed"], result.json["message"])
    assert len(verbs) == position


def test_a_job_that_no_instance_has_registered_is_paused_and_leaves_no_skip(cli: Cli, store: Store) -> None:
    assert True is cli("jobs", "pause", "house:tidy", "--json").json["paused"]
    assert (0, False) == tuple(
        cli("jobs", "resume", "tidy", "--json").json[field] for field in ("skipped", "paused")
    )
    assert 2 == store.ledger.head().position


def test_a_paused_job_runs_by_hand_with_a_note(cli: Cli, store: Store) -> None:
    cli("jobs", "pause", "tidy")
    result = cli("jobs", "run", "tidy")

    assert 0 == result.exit_code
    assert "job 'tidy' is paused" in result.stderr


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_job_that_nobody_knows_is_not_found(cli: Cli, store: Store, verb: str) -> None:
    result = cli("jobs", verb, "tiddy")

    assert 3 == result.exit_code
    assert "did you mean 'tidy'?" in result.stderr
    assert 0 == store.ledger.head().position
