"""Which revision is current, and which have had their day."""

from __future__ import annotations

from functools import reduce

from cronledger.clock import SystemClock
from cronledger.domain.events import Actor, Body, ConfigApplied, ConfigLoaded, Event
from cronledger.domain.ids import CONFIG, InstanceId
from cronledger.domain.revisions import Revisions, evolve
from cronledger.entropy import SeededEntropy
from cronledger.ledger.api import Write
from cronledger.ledger.memory import MemoryLedger

ENGINE, ANN = Actor.engine("config"), Actor.operator("ann")


def folded(*said: tuple[Body, Actor]) -> Revisions:
    ledger = MemoryLedger(InstanceId("here.1.aa"), SystemClock(), SeededEntropy())
    for body, actor in said:
        ledger.append(Write(CONFIG, (Event(body=body, actor=actor),), expected=None))
    return reduce(evolve, ledger.read_stream(CONFIG), Revisions())


def applied(revision: str, actor: Actor = ENGINE) -> tuple[Body, Actor]:
    return ConfigApplied(revision=revision), actor


def loaded(revision: str) -> tuple[Body, Actor]:
    return ConfigLoaded(revision=revision), ENGINE


def test_what_follows_supersedes_what_was_before() -> None:
    revisions = folded(applied("r1"), applied("r2"))

    assert "r2" == revisions.current
    assert revisions.has_superseded("r1")
    assert not revisions.has_superseded("r2")


def test_what_nobody_applied_is_not_superseded_by_a_leader() -> None:
    revisions = folded(loaded("r3"), applied("r1"), applied("r2"))

    assert not revisions.has_superseded("r3")


def test_an_operator_supersedes_everything_that_was_loaded_by_then() -> None:
    revisions = folded(loaded("r3"), applied("r1"), applied("r2", ANN), loaded("r4"))

    assert revisions.by_operator
    assert ["r1", "r3"] == [each for each in ("r1", "r2", "r3", "r4") if revisions.has_superseded(each)]


def test_a_revision_that_returns_is_current_and_no_longer_an_operators() -> None:
    revisions = folded(applied("r1", ANN), applied("r2"), applied("r1"))

    assert ("r1", False) == (revisions.current, revisions.by_operator)
    assert not revisions.has_superseded("r1")


def test_an_erased_body_says_nothing() -> None:
    revisions = folded(applied("r1"), (ConfigApplied(), ENGINE), (ConfigLoaded(), ENGINE))

    assert Revisions("r1", frozenset(), frozenset({"r1"})) == revisions
