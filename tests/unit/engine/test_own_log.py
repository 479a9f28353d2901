"""The instance's own warnings and errors, kept beside the ledger."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from cronledger.engine.own_log import LINES_A_MINUTE, kept
from tests.unit.engine.kept import NotingWorld

log = logging.getLogger("cronledger.engine")


def hide(value: Any) -> Any:
    return value.replace("s3cret", "***")


@pytest.fixture
def world() -> Iterator[NotingWorld]:
    world = NotingWorld()
    with kept(world, hide):  # type: ignore[arg-type] # as much of a world as notes need
        yield world


def test_warnings_and_errors_are_kept_and_are_about_no_job(world: NotingWorld) -> None:
    log.info("all is well")
    log.warning("the ledger at %s does not answer", "s3cret")
    log.error("gone", exc_info=OSError("s3cret"))

    assert [
        ("WARN", "cronledger.engine", "the ledger at *** does not answer", None),
        ("ERROR", "cronledger.engine", "gone: ***", None),
    ] == [(line.level, line.logger, line.message, line.job) for line in world.notes.lines]


def test_what_events_and_runs_say_is_not_said_twice(world: NotingWorld) -> None:
    log.error("tidy@x failed", extra={"job": "tidy", "run_id": "tidy@x"})
    logging.getLogger("cronledger.jobs.tidy").error("kept with its run")
    logging.getLogger("cronledger.notes").warning("would come back")
    logging.getLogger("another.program").error("not ours")

    assert [] == world.notes.lines


def test_a_flood_is_counted_and_not_kept(world: NotingWorld) -> None:
    for number in range(LINES_A_MINUTE + 40):
        log.warning("%s", number)
    world.clock.advance(60)
    log.warning("later")

    assert LINES_A_MINUTE + 2 == len(world.notes.lines)
    assert ["40 lines were left out: too many in one minute", "later"] == world.notes.messages[-2:]


def test_nothing_is_kept_once_the_block_is_left() -> None:
    world = NotingWorld()
    with kept(world, hide):  # type: ignore[arg-type] # as much of a world as notes need
        pass
    log.warning("after")

    assert [] == world.notes.lines


def test_where_nobody_listens_warnings_are_printed_as_before(
    world: NotingWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A handler of ours would have silenced an application that never configured its logging."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with kept(NotingWorld(), hide):  # type: ignore[arg-type] # as much of a world as notes need
        log.warning("look here")

    assert "look here\n" == capsys.readouterr().err
    assert ["look here"] == world.notes.messages
