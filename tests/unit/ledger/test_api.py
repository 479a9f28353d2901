"""Deciding anew where somebody else was faster."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cronledger.errors import Conflict, Fenced, Refusal
from cronledger.ledger.api import TRIES, despite_conflicts


def refused(*refusals: Refusal) -> Callable[[], int]:
    """Return a decision that is refused so often; it answers with how often it was asked."""
    left = list(refusals)

    def decide() -> int:
        if left:
            raise left.pop(0)
        return len(refusals) + 1

    return decide


def conflicts(number: int) -> list[Conflict]:
    return [Conflict("run-tidy!1", version, version + 1) for version in range(1, number + 1)]


def test_a_decision_that_nobody_disturbs_is_taken_once() -> None:
    assert 1 == despite_conflicts(refused())


def test_a_decision_is_taken_anew_until_nobody_was_faster() -> None:
    assert TRIES == despite_conflicts(refused(*conflicts(TRIES - 1)))


def test_the_last_of_many_conflicts_is_raised() -> None:
    with pytest.raises(Conflict) as refusal:
        despite_conflicts(refused(*conflicts(TRIES)))

    assert TRIES == refusal.value.expected


def test_another_refusal_is_final() -> None:
    with pytest.raises(Fenced):
        despite_conflicts(refused(Fenced(1, 2), *conflicts(1)))
