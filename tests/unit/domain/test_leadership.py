"""Who leads, since when and until when: the history of leadership, reign by reign."""

from __future__ import annotations

import msgspec
import pytest

from cronledger.domain import events as e
from cronledger.domain import leadership
from cronledger.domain.ids import InstanceId, Term
from cronledger.domain.leadership import TermState
from tests.unit.domain.history import HERE, NOON, TERM, recorded

LEADER = e.Actor.engine("leader")
THERE = InstanceId("there.2.ba9876543210")
REIGN = TermState(term=Term(2), leader=THERE, elected_at=NOON, epoch=6, why="vacant", build="1.0")


def said(body: e.Body, **header: object) -> e.Recorded:
    return msgspec.structs.replace(recorded(e.Event(body=body, actor=LEADER), at=NOON), **header)


@pytest.mark.parametrize("current", [None, REIGN])
def test_an_election_begins_a_reign_of_whoever_says_so(current: TermState | None) -> None:
    elected = said(e.LeaderElected(epoch=7, why="lease ran out", previous=THERE, build="1.1", session=99))
    reign = TermState(
        term=TERM, leader=HERE, elected_at=NOON, epoch=7, why="lease ran out", build="1.1", session=99,
        previous=THERE,
    )  # fmt: skip

    assert reign == leadership.evolve(current, elected)


def test_a_resignation_ends_the_reign_and_keeps_what_is_known_of_it() -> None:
    resigned = said(e.LeaderResigned(reason="drain"))

    assert msgspec.structs.replace(REIGN, ended_at=NOON, ended_by="resigned") == leadership.evolve(
        REIGN, resigned
    )
    assert None is leadership.evolve(None, resigned)


@pytest.mark.parametrize(
    "other", [said(e.Unrecognized()), said(e.LeaderElected(epoch=7), term=None)], ids=["unknown", "termless"]
)
def test_what_begins_no_term_and_ends_none_changes_nothing(other: e.Recorded) -> None:
    assert REIGN is leadership.evolve(REIGN, other)
    assert None is leadership.evolve(None, other)
