"""The ledger in memory, where it has to say or do something of its own."""

from __future__ import annotations

import pytest

from cronledger.clock import SystemClock
from cronledger.entropy import SeededEntropy
from cronledger.errors import LedgerGap
from cronledger.ledger.api import Item, Stored
from cronledger.ledger.memory import MemoryLedger, MemoryLog, contiguous
from tests.events import HERE, kinds, plain, submit


def test_a_listener_is_called_once_a_batch_and_only_if_something_was_appended() -> None:
    ledger = MemoryLedger(HERE, SystemClock(), SeededEntropy())
    calls: list[int] = []
    ledger.log.listeners.append(lambda: calls.append(ledger.head().position))
    answers = [
        *submit(ledger, Item((plain("a", 2),)), Item((plain("b"),))),
        *submit(ledger, Item((plain("a"),)), Item((plain("a", 0, expected=2),))),
    ]

    assert ["Appended", "Appended", "Conflict", "Appended"] == kinds(answers)
    assert [3] == calls


def test_the_fresh_log_of_a_memory_ledger_has_nothing_and_is_called_memory() -> None:
    log = MemoryLog()

    assert ("memory", 0, 0, 0, []) == (
        log.head.lineage,
        log.head.position,
        log.head.term,
        log.head.epoch,
        log.events,
    )


def test_a_gap_says_which_position_is_missing_and_which_comes_next() -> None:
    stored = [event_at(4), event_at(5), event_at(8)]
    with pytest.raises(LedgerGap) as found:
        contiguous(stored, 3)

    assert (6, 8) == (found.value.expected, found.value.found)
    assert stored[:2] == contiguous(stored[:2], 3)


def event_at(position: int) -> Stored:
    return Stored(
        position=position, id=b"", stream="a", version=1, type="step.started", schema=1,
        must_understand=False, recorded_at=0, instance="x", term=None, actor="engine:planner", job=None,
        attempt=None, fire_at=None, cause=None, commitment=b"", salt=None, body=None,
    )  # fmt: skip
