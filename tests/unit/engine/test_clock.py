"""Clocks that are set, that differ, and machines that sleep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cronledger.clock import OffsetWatch, StepWatch
from cronledger.testing import ManualClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Stopped(ManualClock):
    """A clock of a process that is stopped for a while between two readings."""

    stop_seconds = 0.0

    def now(self) -> datetime:
        self.advance(self.stop_seconds)
        return super().now()


@pytest.mark.parametrize("seconds", [3600.0, -3600.0, 5.5, -5.5])
def test_a_clock_that_was_set_is_noticed_once(seconds: float) -> None:
    clock = ManualClock(NOON)
    watch = StepWatch(clock)
    watch.look()
    clock.step(seconds)
    clock.advance(1)

    assert [seconds, None] == [watch.look(), watch.look()]


@pytest.mark.parametrize("seconds", [0.2, -4.5])
def test_what_a_time_server_corrects_is_no_step(seconds: float) -> None:
    clock = ManualClock(NOON)
    watch = StepWatch(clock)
    watch.look()
    looks = []
    for _ in range(10):
        clock.step(seconds)
        looks.append(watch.look())

    assert [None] * 10 == looks


def test_a_machine_that_slept_has_not_set_its_clock() -> None:
    """Fault 10: the wall clock and the boot clock go on while a machine sleeps."""
    clock = ManualClock(NOON)
    watch = StepWatch(clock)
    watch.look()
    clock.advance(8 * 3600)

    assert None is watch.look()


def test_a_process_that_was_stopped_between_two_readings_has_not_set_its_clock() -> None:
    clock = Stopped(NOON)
    watch = StepWatch(clock)
    watch.look()
    clock.stop_seconds = 20.0
    while_stopped = watch.look()
    clock.stop_seconds = 0.0

    assert [None, None] == [while_stopped, watch.look()]


def test_a_clock_beside_the_ledgers_is_noticed_once_per_change() -> None:
    watch = OffsetWatch()
    offsets = [0.0, 0.4, 30.0, 30.6, 30.2, 0.1, 0.0]
    ledgers = [NOON - timedelta(seconds=offset) for offset in offsets]

    assert [None, None, 30.0, None, None, 0.1, None] == [watch.look(NOON, each, NOON) for each in ledgers]


def test_a_slow_answer_does_not_look_like_a_clock_that_is_off() -> None:
    watch = OffsetWatch()

    assert None is watch.look(NOON, NOON + timedelta(seconds=5), NOON + timedelta(seconds=5))
    assert None is watch.look(NOON, NOON, NOON + timedelta(seconds=5))
