"""What must be understood stops whoever does not know it, and nothing else does."""

from __future__ import annotations

import msgspec
import pytest

from cronledger.domain import events as e
from cronledger.domain.ids import Position
from cronledger.domain.understanding import understood
from cronledger.errors import NotUnderstood
from tests.unit.domain.history import recorded


def told(body: e.Body, *, must_understand: bool) -> e.Recorded:
    event = recorded(e.Event(body=body, actor=e.Actor.engine("test")))
    return msgspec.structs.replace(
        event, type="job.shelved", schema=2, must_understand=must_understand, position=Position(7)
    )


KNOWN = told(e.RunStarted(), must_understand=True)
SKIPPED = told(e.Unrecognized(), must_understand=False)
DEMANDED = told(e.Unrecognized(), must_understand=True)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], []),
        ([KNOWN, SKIPPED], [KNOWN, SKIPPED]),
        ([KNOWN, DEMANDED, KNOWN], [KNOWN]),
        ([SKIPPED, KNOWN, DEMANDED, DEMANDED], [SKIPPED, KNOWN]),
    ],
    ids=["nothing", "all of it", "up to the second", "up to the first of two"],
)
def test_events_are_read_up_to_the_first_that_must_be_understood_and_is_not(
    events: list[e.Recorded], expected: list[e.Recorded]
) -> None:
    assert expected == understood(events)


def test_nothing_is_read_where_the_first_must_be_understood_and_is_not() -> None:
    with pytest.raises(NotUnderstood) as caught:
        understood([DEMANDED, KNOWN])

    assert (7, "job.shelved") == (caught.value.position, caught.value.type)
    assert str(NotUnderstood(7, "job.shelved", 2)) == str(caught.value)
