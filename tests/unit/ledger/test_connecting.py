"""How long a call to PostgreSQL is waited for."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from psycopg.waiting import Ready, Wait

from cronledger.ledger.connecting import _bounded, _NoAnswerError


def call() -> Generator[Wait, Ready, str]:
    """Wait for the server once, as the driver does; return what it was told."""
    while True:
        ready = yield Wait.R
        if ready:
            return ready.name


def test_a_call_waits_no_longer_than_its_limit() -> None:
    steps = _bounded(call(), lambda: True)
    next(steps)

    with pytest.raises(_NoAnswerError):
        steps.send(Ready.NONE)


def test_an_answer_that_is_there_counts_however_late_it_is_looked_at() -> None:
    """A process that was stopped during a call threw the answer away, and the outcome was unknown."""
    steps = _bounded(call(), lambda: True)
    next(steps)
    with pytest.raises(StopIteration) as ended:
        steps.send(Ready.R)

    assert "R" == ended.value.value
