"""What every ledger keeps about terms, leases and time."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest
from sqlalchemy import text

from cronledger.domain.events import Cause
from cronledger.domain.ids import LEADER, Position, Term, run_stream
from cronledger.errors import Early, Fenced, Led
from cronledger.ledger.api import Appended, Item, Ledger, Write
from cronledger.ledger.database import Store
from cronledger.ledger.instants import to_micros
from cronledger.ledger.memory import MemoryLedger
from tests.events import (
    HERE,
    RUN,
    THERE,
    election,
    kinds,
    plain,
    positions,
    started,
    submit,
    trigger,
    triggered,
)

STREAM = run_stream(RUN)
HOUR = timedelta(hours=1)


# --- terms ---------------------------------------------------------------------------------------------


def test_the_first_takeover_begins_term_one(ledger: Ledger) -> None:
    (answer,) = submit(ledger, election(fence=0, expected=0))
    head = ledger.head()
    (elected,) = ledger.read_stream(LEADER)

    assert isinstance(answer, Appended)
    assert (1, HERE, 1) == (head.term, head.leader, head.epoch)
    assert head.lease_until is not None
    assert HOUR > head.lease_until - head.clock > HOUR - timedelta(minutes=5)
    assert 1 == elected.term


def test_a_takeover_that_records_nothing_begins_a_term_all_the_same(ledger: Ledger) -> None:
    ledger.append(plain("a"))
    before = ledger.head()
    takeover = election(fence=0, expected=0).takeover
    submit(ledger, Item((plain("a", 0, expected=1),), Term(0), takeover))
    after = ledger.head()

    assert (1, HERE, 1) == (after.term, after.leader, after.epoch)
    assert (before.position, before.recorded_at) == (after.position, after.recorded_at)


def test_a_running_lease_keeps_others_out(ledger: Ledger) -> None:
    submit(ledger, election(fence=0, expected=0))
    (answer,) = submit(ledger, election(fence=1, expected=1, leader=THERE))

    assert isinstance(answer, Led)
    assert (HERE, ledger.head().lease_until) == (answer.leader, answer.lease_until)
    assert (1, HERE) == (ledger.head().term, ledger.head().leader)


def test_who_holds_the_lock_takes_over_from_a_running_lease(ledger: Ledger) -> None:
    submit(ledger, election(fence=0, expected=0))
    (answer,) = submit(ledger, election(fence=1, expected=1, leader=THERE, force=True))

    assert isinstance(answer, Appended)
    assert (2, THERE) == (ledger.head().term, ledger.head().leader)


def test_a_lease_that_has_run_out_lets_others_in(ledger: Ledger) -> None:
    submit(ledger, election(fence=0, expected=0, lease=timedelta(microseconds=1)))
    (answer,) = submit(ledger, election(fence=1, expected=1, leader=THERE))

    assert isinstance(answer, Appended)


def test_only_one_of_two_candidates_begins_the_next_term(ledger: Ledger) -> None:
    answers = submit(
        ledger, election(fence=0, expected=0), election(fence=0, expected=0, leader=THERE, force=True)
    )

    assert ["Appended", "Fenced"] == kinds(answers)
    assert HERE == ledger.head().leader


def test_the_leaders_events_carry_its_term(ledger: Ledger) -> None:
    submit(ledger, election(fence=0, expected=0))
    ledger.append(trigger(), fence=Term(1))
    ledger.append(Write(STREAM, (started(),), 1))

    assert [1, 1, None] == [each.term for each in ledger.read_all(Position(0), 10)]


def test_an_old_term_is_fenced(ledger: Ledger) -> None:
    submit(ledger, election(fence=0, expected=0), election(fence=1, expected=1, force=True))
    with pytest.raises(Fenced) as refused:
        ledger.append(trigger(), fence=Term(1))

    assert (1, 2) == (refused.value.fence, refused.value.term)
    assert [] == ledger.read_stream(STREAM)


def test_a_term_that_has_not_begun_is_fenced(ledger: Ledger) -> None:
    with pytest.raises(Fenced):
        ledger.append(trigger(), fence=Term(1))


def test_items_after_a_takeover_in_a_batch_see_the_new_term(ledger: Ledger) -> None:
    answers = submit(
        ledger,
        Item((plain("a"),), Term(0)),
        election(fence=0, expected=0),
        Item((plain("b"),), Term(0)),
        Item((plain("c"),), Term(1)),
    )

    assert ["Appended", "Appended", "Fenced", "Appended"] == kinds(answers)


def test_the_fence_comes_before_everything_else(ledger: Ledger) -> None:
    item = ledger.prepare(Item((plain("a"),), Term(0)))
    ledger.submit([item])
    submit(ledger, election(fence=0, expected=0))
    early = Item((trigger(ledger.head().clock + HOUR), plain("a")), Term(0))

    assert ["Fenced", "Fenced"] == kinds([*ledger.submit([item]), *submit(ledger, early)])


def test_a_takeover_asked_for_again_is_the_same(ledger: Ledger) -> None:
    """A candidate that lost the reply found itself fenced by its own term, and waited out its own lease."""
    item = ledger.prepare(election(fence=0, expected=0))
    answers = [*ledger.submit([item]), *ledger.submit([item])]

    assert ["Appended", "Same"] == kinds(answers)
    assert 1 == ledger.head().term


def test_a_takeover_that_conflicts_changes_no_term(ledger: Ledger) -> None:
    assert ["Conflict"] == kinds(submit(ledger, election(fence=0, expected=5)))
    assert (0, None) == (ledger.head().term, ledger.head().leader)


def test_a_lease_is_renewed_from_now(ledger: Ledger) -> None:
    submit(ledger, election(fence=0, expected=0, lease=timedelta(seconds=1)))
    renewed = ledger.renew(Term(1), HOUR)

    assert renewed.lease_until is not None
    assert HOUR == renewed.lease_until - renewed.clock
    assert renewed.lease_until == ledger.head().lease_until


def test_a_lease_of_zero_ends_it(ledger: Ledger) -> None:
    submit(ledger, election(fence=0, expected=0))
    renewed = ledger.renew(Term(1), timedelta(0))
    (answer,) = submit(ledger, election(fence=1, expected=1, leader=THERE))

    assert renewed.lease_until is None
    assert isinstance(answer, Appended)


def test_the_lease_of_an_old_term_cannot_be_renewed(ledger: Ledger) -> None:
    submit(ledger, election(fence=0, expected=0), election(fence=1, expected=1, leader=THERE, force=True))
    before = ledger.head().lease_until
    with pytest.raises(Fenced) as refused:
        ledger.renew(Term(1), HOUR * 2)

    assert (1, 2) == (refused.value.fence, refused.value.term)
    assert before == ledger.head().lease_until


# --- time ----------------------------------------------------------------------------------------------


def test_no_scheduled_trigger_stands_before_its_fire_time(ledger: Ledger) -> None:
    fire_at = ledger.head().clock + HOUR
    with pytest.raises(Early) as refused:
        ledger.append(trigger(fire_at))

    assert fire_at == refused.value.fire_at
    assert fire_at > refused.value.clock >= fire_at - HOUR
    assert [] == positions(ledger)


def test_only_scheduled_triggers_can_be_early(ledger: Ledger) -> None:
    fire_at = ledger.head().clock + HOUR
    backfill = Write(STREAM, (triggered(fire_at, cause=Cause.BACKFILL),))

    assert ["Appended"] == kinds(submit(ledger, Item((backfill,))))


def test_versions_come_before_earliness(ledger: Ledger) -> None:
    fire_at = ledger.head().clock + HOUR
    item = Item((trigger(fire_at), plain("a", expected=7)))

    assert ["Conflict"] == kinds(submit(ledger, item))


def test_recorded_at_never_goes_back_even_if_the_clock_does(store: Store) -> None:
    ledger = store.ledger
    ledger.append(plain("a"))
    future = ledger.head().clock + HOUR
    put_head_at(store, future)
    answers = [ledger.append(plain("b")), ledger.append(plain("c"))]

    assert [future, future] == [answer.recorded_at for answer in answers]
    assert future == ledger.head().recorded_at


def test_a_clock_that_went_back_lets_nothing_fire_early(store: Store) -> None:
    ledger = store.ledger
    clock = ledger.head().clock
    put_head_at(store, clock + HOUR)

    assert ["Early"] == kinds(submit(ledger, Item((trigger(clock + HOUR / 2),))))


def put_head_at(store: Store, recorded_at: datetime) -> None:
    if isinstance(store.ledger, MemoryLedger):
        log = store.ledger.log
        log.head = msgspec.structs.replace(log.head, recorded_at=recorded_at)
        return
    with store.writing() as connection:
        connection.execute(text("UPDATE head SET recorded_at = :at"), {"at": to_micros(recorded_at)})
