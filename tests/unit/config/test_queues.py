"""Limits of queues in files: they become part of the definitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from cronledger.errors import ConfigError
from tests.unit.config.test_calendars import resolved

QUEUES = "scheduler: {queues: {printer: {max_concurrent: 2}}, jobs: [{name: tidy, %s}]}"


@pytest.fixture(autouse=True)
def _in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_limit_of_its_queue_becomes_part_of_a_jobs_definition() -> None:
    (definition,) = resolved(QUEUES % "queue: printer").definitions

    assert ("printer", 2) == (definition.queue, definition.queue_limit)


def test_the_queue_of_all_jobs_that_name_none_may_be_limited_too() -> None:
    text = "scheduler: {queues: {default: {max_concurrent: 3}}, jobs: [{name: tidy}]}"
    resolution = resolved(text)
    (definition,) = resolution.definitions

    assert ("default", 3) == (definition.queue, definition.queue_limit)
    assert "c.yaml:1" == resolution.origins[definition.name]["queue_limit"]


@pytest.mark.parametrize(
    ("queue", "warnings"),
    [
        ("scanner", ()),
        ("printers", ("c.yaml:1: 'tidy': queue 'printers' has no limit: did you mean 'printer'?",)),
    ],
)
def test_a_queue_that_is_not_listed_has_no_limit_and_a_warning_if_it_is_close_to_one(
    queue: str, warnings: tuple[str, ...]
) -> None:
    resolution = resolved(QUEUES % f"queue: {queue}")

    assert warnings == resolution.warnings
    assert [None] == [definition.queue_limit for definition in resolution.definitions]


@pytest.mark.parametrize(
    ("queues", "problem"),
    [
        ("{printer: {}}", "1:22: error: queues.printer: max_concurrent is missing"),
        (
            "{printer: {max_concurrent: 0}}",
            "1:48: error: queues.printer: max_concurrent: must be from 1 to 10000, not 0",
        ),
        ("{printer: {max_concurent: 1}}", "1:32: error: queues.printer: unknown key 'max_concurent'"),
        ("[printer]", "1:21: error: queues: must be a mapping of names to rules, not a list"),
        ("{Printer: {max_concurrent: 1}}", "1:22: error: queues: 'Printer' is not a name: small letters"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_queue_is_named_with_its_place(queues: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        resolved(f"scheduler: {{queues: {queues}}}")

    assert refused.value.problems[0].startswith(f"c.yaml:{problem}")
