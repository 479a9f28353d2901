"""Names live as long as the ledger: the same thing has the same name in every version and everywhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from cronledger.domain import ids
from cronledger.domain.ids import InstanceId, JobName, RunId

TIDY = JobName("tidy")
PARENT = RunId("tidy@boot-1")


@pytest.fixture
def machine_in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("tidy", True),
        ("t", True),
        ("clean-up_2", True),
        ("t" * 64, True),
        ("t" * 65, False),
        ("", False),
        ("2tidy", False),
        ("Tidy", False),
        ("tidy up", False),
        ("tidy\n", False),
        ("tidy@boot-1", False),
    ],
)
def test_a_name_is_short_lower_case_and_begins_with_a_letter(text: str, is_one: bool) -> None:
    assert is_one is ids.is_name(text)


@pytest.mark.usefixtures("machine_in_tokyo")
def test_a_fire_time_is_named_in_utc_wherever_the_machine_stands() -> None:
    fire_at = datetime(2026, 1, 1, 4, tzinfo=timezone(timedelta(hours=1)))

    assert "tidy@20260101T030000Z" == ids.scheduled_run(TIDY, fire_at)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (ids.startup_run(TIDY, 3), "tidy@boot-3"),
        (ids.startup_run(TIDY, InstanceId("web.1.aa")), "tidy@boot-web.1.aa"),
        (ids.keyed_run(TIDY, "alice", "k"), "tidy!k-62fd70da5de5a0e8"),
        (ids.keyed_run(TIDY, "a\x1fb", "\x1ek"), "tidy!k-7df2212c4ee800a7"),
        (ids.child_run(TIDY, PARENT, "build"), "tidy!p-0be06cc297ec1a8b"),
        (ids.instance_stream(InstanceId("web.1.aa")), "instance-web.1.aa"),
    ],
)
def test_a_name_is_the_one_that_earlier_versions_gave(name: str, expected: str) -> None:
    assert expected == name


def test_callers_keys_are_told_apart_whatever_is_in_them() -> None:
    pairs = [
        ("a", "b"), ("b", "a"), ("a", "c"), ("ab", ""), ("", "ab"), ("a\x1fb", ""), ("a", "\x1fb"),
        ("a\x1f", "b"), ("a\x1e1", "b"), ("a\x1e", "b"), ("a\x1e0", "b"), ("a", "\udc80"), ("a", "\udc81"),
    ]  # fmt: skip

    assert len(pairs) == len({ids.keyed_run(TIDY, *pair) for pair in pairs})


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("web-1_B", "web-1_B.7.aa"),
        ("web.example.org", "web-example-org.7.aa"),
        ("büro 2", "b-ro-2.7.aa"),
        ("w" * 41, "w" * 40 + ".7.aa"),
        ("", "instance.7.aa"),
    ],
)
def test_a_process_is_named_in_letters_digits_and_dashes_after_its_machine(label: str, expected: str) -> None:
    assert expected == ids.instance_id(label, 7, "aa")
