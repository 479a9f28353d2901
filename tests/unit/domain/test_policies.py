"""Catch-up, overlap, retry and leases: small policies, table by table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronledger.domain.catchup import CatchUp, Skipped, catch_up
from cronledger.domain.ids import RunId, job_of, keyed_run, manual_run, retry_run, run_of, run_stream
from cronledger.domain.leadership import Lease, is_vacant, opens_epoch, trusted_until
from cronledger.domain.overlap import Overlap, admit, may_start
from cronledger.domain.retry import Retry, pause, stable_fraction

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ago(*minutes: int) -> list[datetime]:
    return [NOW - timedelta(minutes=m) for m in minutes]


@pytest.mark.parametrize(
    ("policy", "grace", "due", "fire", "skipped"),
    [
        (CatchUp.LATEST, None, ago(0), ago(0), []),
        (CatchUp.LATEST, None, ago(3, 2, 1), ago(1), [(3, 2, 2, "misfire")]),
        (CatchUp.LATEST, 90, ago(3, 2, 1), ago(1), [(3, 2, 2, "misfire")]),
        (CatchUp.LATEST, 150, ago(3, 2, 1), ago(2, 1), [(3, 3, 1, "misfire")]),
        (CatchUp.NONE, None, ago(3, 2, 1), ago(1), [(3, 2, 2, "misfire")]),
        (CatchUp.NONE, 0, ago(3, 2, 1), [], [(3, 1, 3, "misfire")]),
        (CatchUp.ALL, None, ago(3, 2, 1), ago(3, 2, 1), []),
        (CatchUp.ALL, None, ago(*range(12, 0, -1)), ago(*range(10, 0, -1)), [(12, 11, 2, "catch_up_limit")]),
        (CatchUp.ALL, 60, ago(3, 1), ago(3, 1), []),
        (CatchUp.LATEST, None, [], [], []),
    ],
)
def test_misfires_follow_the_policy(policy, grace, due, fire, skipped) -> None:
    decided = catch_up(
        policy, due, now=NOW, grace=None if grace is None else timedelta(seconds=grace), limit=10
    )
    expected = [Skipped(*ago(first), *ago(last), count, reason) for first, last, count, reason in skipped]

    assert fire == decided.fire
    assert expected == decided.skipped


@given(
    st.sampled_from(CatchUp),
    st.lists(st.integers(0, 10_000), unique=True, max_size=40),
    st.none() | st.integers(0, 5_000),
    st.integers(1, 20),
)
def test_every_due_fire_time_is_fired_or_skipped_and_never_both(policy, seconds, grace, limit) -> None:
    due = [NOW - timedelta(seconds=s) for s in sorted(seconds, reverse=True)]
    decided = catch_up(
        policy, due, now=NOW, grace=None if grace is None else timedelta(seconds=grace), limit=limit
    )
    skipped = [t for t in due if any(s.first_at <= t <= s.last_at for s in decided.skipped)]

    assert sorted([*decided.fire, *skipped]) == due
    assert len(skipped) == sum(s.count for s in decided.skipped)


@pytest.mark.parametrize(
    ("policy", "due", "in_flight", "admitted"),
    [
        (Overlap.SKIP, 1, 0, [0]),
        (Overlap.SKIP, 3, 0, [0]),
        (Overlap.SKIP, 3, 1, []),
        (Overlap.QUEUE, 3, 0, [0, 1]),
        (Overlap.QUEUE, 3, 1, [0]),
        (Overlap.QUEUE, 3, 2, []),
        (Overlap.REPLACE, 3, 1, [2]),
        (Overlap.REPLACE, 1, 1, [0]),
        (Overlap.REPLACE, 0, 1, []),
        (Overlap.ALLOW, 3, 9, [0, 1, 2]),
    ],
)
def test_overlap_admits(policy, due, in_flight, admitted) -> None:
    assert admitted == list(admit(policy, due, in_flight=in_flight))


def test_only_allow_lets_runs_of_one_job_be_performed_together() -> None:
    assert [False] * 3 == [
        may_start(policy, running=1, max_concurrent=None)
        for policy in (Overlap.SKIP, Overlap.QUEUE, Overlap.REPLACE)
    ]
    assert may_start(Overlap.ALLOW, running=7, max_concurrent=None)
    assert not may_start(Overlap.ALLOW, running=2, max_concurrent=2)


def test_pauses_grow_to_their_limit_and_are_the_same_in_a_replay() -> None:
    policy = Retry(max_attempts=9, backoff_seconds=10, backoff_factor=3, backoff_max_seconds=60, jitter=False)

    assert [10, 30, 60, 60] == [pause(policy, "r", n).total_seconds() for n in (1, 2, 3, 4)]
    assert timedelta(hours=1) >= pause(Retry(), "r", 10_000)


def test_a_jittered_pause_is_a_fraction_that_only_the_attempt_decides() -> None:
    drawn = [pause(Retry(backoff_seconds=1000), "r", n).total_seconds() for n in (1, 2)]

    assert [round(1000 * stable_fraction("r#1"), 3), round(2000 * stable_fraction("r#2"), 3)] == drawn


def test_a_fraction_is_the_same_in_every_version() -> None:
    """The hash of "abc" is an example of FIPS 180."""
    assert 0xBA7816BF8F01CFEA >> 11 == stable_fraction("abc") * 2**53


def test_a_leader_trusts_its_lease_for_less_than_the_ledger_does() -> None:
    assert 109.0 == trusted_until(100.0, Lease())


@pytest.mark.parametrize(
    ("leader", "seconds", "expected"),
    [
        ("other", 5, False),
        ("other", 0, False),
        ("other", -1, True),
        ("other", None, True),
        (None, 5, True),
        (None, None, True),
    ],
)
def test_a_ledger_is_vacant_when_nobody_leads_or_the_lease_has_run_out(leader, seconds, expected) -> None:
    lease_until = None if seconds is None else NOW + timedelta(seconds=seconds)

    assert expected is is_vacant(leader=leader, lease_until=lease_until, clock=NOW)


def test_a_new_boot_begins_when_nobody_alive_remembers_the_last_one_or_the_build_is_new() -> None:
    old = frozenset({"1.0"})

    assert opens_epoch(epoch=0, living=frozenset(), known_builds=frozenset(), build="1.0")
    assert opens_epoch(epoch=3, living=frozenset(), known_builds=old, build="1.0")
    assert opens_epoch(epoch=3, living=frozenset({3}), known_builds=old, build="1.1")
    assert not opens_epoch(epoch=1, living=frozenset({1}), known_builds=old, build="1.0")


@pytest.mark.parametrize(
    "run_id", ["tidy@20260101T030000Z", "tidy!k-0011", "tidy@boot-3", "tidy@20260101T030000Z!retry-1"]
)
def test_a_runs_name_tells_its_job_and_its_stream_tells_the_run(run_id: str) -> None:
    assert "tidy" == job_of(RunId(run_id))
    assert run_id == run_of(run_stream(RunId(run_id)))


def test_manual_runs_are_named_by_something_unique_or_by_the_callers_key() -> None:
    assert "tidy!0190" == manual_run("tidy", "0190")
    assert keyed_run("tidy", "alice", "k") == keyed_run("tidy", "alice", "k")
    assert keyed_run("tidy", "alice", "k") != keyed_run("tidy", "bob", "k")
    assert "tidy@boot-1!retry-2" == retry_run(RunId("tidy@boot-1"), 2)
