"""What every ledger keeps, whatever it is stored in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.conftest import opened
from tests.events import (
    HERE,
    JOB,
    NOON,
    RUN,
    THERE,
    election,
    paused,
    plain,
    started,
    succeeded,
    trigger,
    triggered,
)

from cronledger.domain.events import Cause, RunStarted, RunTriggered, StepStarted
from cronledger.domain.ids import LEADER, Position, Stream, Term, run_stream
from cronledger.errors import Conflict, Early, Fenced, Led, LedgerDamaged, LedgerGap
from cronledger.ledger.api import Appended, Item, Ledger, Prepared, Quiet, Same, Write
from cronledger.ledger.database import Store
from cronledger.ledger.instants import to_micros
from cronledger.ledger.memory import MemoryLedger

STREAM = run_stream(RUN)
HOUR = timedelta(hours=1)


@pytest.fixture
def store(ledger_url: str) -> Iterator[Store]:
    store = opened(ledger_url)
    yield store
    store.close()


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return store.ledger


def submit(ledger: Ledger, *items: Item) -> list[object]:
    return list(ledger.submit([ledger.prepare(item) for item in items]))


def kinds(answers: list[object]) -> list[str]:
    return [type(answer).__name__ for answer in answers]


def positions(ledger: Ledger) -> list[int]:
    return [each.position for each in ledger.read_all(Position(0), 1000)]


# --- appending ------------------------------------------------------------------------------------------


def test_an_event_is_read_as_it_was_appended(ledger: Ledger) -> None:
    answer = ledger.append(Write(STREAM, (triggered(),)), fence=Term(0))
    (read,) = ledger.read_stream(STREAM)

    assert (1, 1, answer.recorded_at) == (answer.first, answer.last, read.recorded_at)
    assert (1, STREAM, 1, "run.triggered", 1, False) == (
        read.position, read.stream, read.version, read.type, read.schema, read.must_understand,
    )  # fmt: skip
    assert (ledger.instance, 0, JOB, RUN, None) == (
        read.instance,
        read.term,
        read.job,
        read.run_id,
        read.attempt,
    )
    assert (NOON, Cause.SCHEDULE, RunTriggered()) == (read.fire_at, read.cause, read.body)
    assert triggered().actor == read.actor


def test_positions_are_dense_from_one_and_versions_from_one_in_each_stream(ledger: Ledger) -> None:
    submit(ledger, Item((plain("a", 2),)), Item((plain("b"), plain("c", 2))), Item((plain("a", expected=2),)))
    read = ledger.read_all(Position(0), 100)

    assert [1, 2, 3, 4, 5, 6] == [each.position for each in read]
    assert [("a", 1), ("a", 2), ("b", 1), ("c", 1), ("c", 2), ("a", 3)] == [
        (e.stream, e.version) for e in read
    ]


def test_the_events_of_one_append_share_their_instant(ledger: Ledger) -> None:
    answer = ledger.append(plain("a", 3), plain("b", 2))

    assert {answer.recorded_at} == {each.recorded_at for each in ledger.read_all(Position(0), 10)}
    assert (1, 5) == (answer.first, answer.last)


def test_the_head_follows(ledger: Ledger) -> None:
    before = ledger.head()
    answer = ledger.append(plain("a", 3))
    after = ledger.head()

    assert (0, 0, None, None) == (before.position, before.term, before.leader, before.lease_until)
    assert (3, answer.recorded_at, before.lineage, 1) == (
        after.position, after.recorded_at, after.lineage, after.min_writer,
    )  # fmt: skip


def test_five_hundred_events_go_in_one_batch(ledger: Ledger) -> None:
    answers = submit(ledger, *[Item((plain(f"s{n}", 5),)) for n in range(100)])

    assert [(n * 5 + 1, n * 5 + 5) for n in range(100)] == [(each.first, each.last) for each in answers]
    assert list(range(1, 501)) == positions(ledger)


def test_an_empty_batch_has_no_answers(ledger: Ledger) -> None:
    assert [] == ledger.submit([])


# --- expected versions ----------------------------------------------------------------------------------


def test_a_stream_that_has_moved_on_is_a_conflict(ledger: Ledger) -> None:
    ledger.append(plain("a", 2))
    with pytest.raises(Conflict) as refused:
        ledger.append(plain("a", expected=1))

    assert ("a", 1, 2) == (refused.value.stream, refused.value.expected, refused.value.actual)
    assert [1, 2] == positions(ledger)


def test_a_stream_that_is_behind_is_a_conflict(ledger: Ledger) -> None:
    with pytest.raises(Conflict) as refused:
        ledger.append(plain("a", expected=3))

    assert ("a", 3, 0) == (refused.value.stream, refused.value.expected, refused.value.actual)


def test_whoever_expects_nothing_appends_at_whatever_version(ledger: Ledger) -> None:
    ledger.append(plain("a", 2))
    ledger.append(plain("a", 2, expected=None))

    assert [1, 2, 3, 4] == [each.version for each in ledger.read_stream(Stream("a"))]


def test_an_item_is_refused_as_a_whole(ledger: Ledger) -> None:
    ledger.append(plain("a"))
    with pytest.raises(Conflict):
        ledger.append(plain("b"), plain("a"))

    assert [] == ledger.read_stream(Stream("b"))


def test_a_refused_item_leaves_no_hole_and_hinders_no_other(ledger: Ledger) -> None:
    ledger.append(plain("a"))
    answers = submit(ledger, Item((plain("b"),)), Item((plain("a"),)), Item((plain("c"),)))

    assert ["Appended", "Conflict", "Appended"] == kinds(answers)
    assert [1, 2, 3] == positions(ledger)
    assert ["a", "b", "c"] == [each.stream for each in ledger.read_all(Position(0), 10)]


def test_a_guard_lets_pass_while_the_stream_stands(ledger: Ledger) -> None:
    ledger.append(plain("a"))
    answer = ledger.append(plain("a", 0, expected=1), plain("b"))

    assert (2, 2) == (answer.first, answer.last)


def test_a_guard_refuses_once_the_stream_has_moved(ledger: Ledger) -> None:
    ledger.append(plain("a", 2))
    with pytest.raises(Conflict) as refused:
        ledger.append(plain("b"), plain("a", 0, expected=1))

    assert ("a", 1, 2) == (refused.value.stream, refused.value.expected, refused.value.actual)


def test_an_item_of_guards_only_stands_at_no_position(ledger: Ledger) -> None:
    ledger.append(plain("a"))
    answer = ledger.append(plain("a", 0, expected=1))

    assert (0, 0) == (answer.first, answer.last)
    assert 1 == ledger.head().position


def test_two_writes_of_one_item_to_one_stream_follow_one_another(ledger: Ledger) -> None:
    ledger.append(plain("a"))
    ledger.append(plain("a", 2, expected=1), plain("a", expected=3), plain("a", 2, expected=None))

    assert [1, 2, 3, 4, 5, 6] == [each.version for each in ledger.read_stream(Stream("a"))]


def test_the_second_write_to_a_stream_can_conflict_with_the_first(ledger: Ledger) -> None:
    with pytest.raises(Conflict) as refused:
        ledger.append(plain("a", 2), plain("a", expected=1))

    assert ("a", 1, 2) == (refused.value.stream, refused.value.expected, refused.value.actual)


def test_items_of_a_batch_see_the_earlier_ones(ledger: Ledger) -> None:
    answers = submit(
        ledger,
        Item((plain("a"),)),
        Item((plain("a", expected=1),)),
        Item((plain("a", expected=1),)),
        Item((plain("a", 0, expected=2), plain("b", expected=None))),
        Item((plain("a", 0, expected=1), plain("b", expected=None))),
    )

    assert ["Appended", "Appended", "Conflict", "Appended", "Conflict"] == kinds(answers)
    assert [1, 2, 3] == positions(ledger)


# --- quiet ----------------------------------------------------------------------------------------------


def test_a_job_of_which_nothing_was_recorded_is_quiet(ledger: Ledger) -> None:
    answer = ledger.append(trigger(since=0))

    assert isinstance(answer, Appended)


def test_a_job_is_quiet_since_its_latest_event(ledger: Ledger) -> None:
    ledger.append(trigger())
    ledger.append(plain("other", 3))
    answer = ledger.append(trigger(NOON - HOUR, since=1))

    assert 5 == answer.last


def test_an_event_of_the_job_in_whatever_stream_breaks_its_quiet(ledger: Ledger) -> None:
    ledger.append(trigger())
    ledger.append(Write(Stream("job-tidy"), (paused(),)))
    with pytest.raises(Conflict) as refused:
        ledger.append(trigger(NOON - HOUR, since=1))

    assert (1, 2) == (refused.value.expected, refused.value.actual)


def test_an_earlier_item_of_the_batch_breaks_the_quiet(ledger: Ledger) -> None:
    answers = submit(ledger, Item((trigger(since=0),)), Item((trigger(NOON - HOUR, since=0),)))

    assert ["Appended", "Conflict"] == kinds(answers)


def test_an_item_does_not_break_its_own_quiet(ledger: Ledger) -> None:
    claim = Write(STREAM, (started(),), 1, Quiet(JOB, Position(0)))
    answer = ledger.append(trigger(since=0), claim)

    assert (1, 2) == (answer.first, answer.last)


def test_a_guard_may_ask_for_quiet_alone(ledger: Ledger) -> None:
    ledger.append(trigger())
    guard = Write(Stream("job-tidy"), (), None, Quiet(JOB, Position(0)))

    assert ["Conflict"] == kinds(submit(ledger, Item((guard,))))


# --- asking again ---------------------------------------------------------------------------------------


def test_the_same_item_again_is_the_same(ledger: Ledger) -> None:
    ledger.append(plain("z"))
    item = ledger.prepare(Item((plain("a", 2), plain("b"), plain("z", 0, expected=1))))
    (first,) = ledger.submit([item])
    ledger.append(plain("a", expected=2), plain("z", expected=1))
    (again,) = ledger.submit([item])

    assert isinstance(first, Appended)
    assert Same(first.first, first.last, first.recorded_at) == again
    assert [1, 2, 3, 4, 5, 6] == positions(ledger)


def test_the_same_item_without_expectation_is_the_same(ledger: Ledger) -> None:
    ledger.append(plain("a"))
    item = ledger.prepare(Item((plain("a", 2, expected=None),)))
    answers = ledger.submit([item]) + ledger.submit([item])

    assert [Appended, Same] == [type(answer) for answer in answers]
    assert 3 == ledger.head().position


def test_the_same_item_twice_in_a_batch_is_appended_once(ledger: Ledger) -> None:
    item = ledger.prepare(Item((plain("a"),)))

    assert ["Appended", "Same"] == kinds(list(ledger.submit([item, item])))
    assert [1] == positions(ledger)


def test_another_event_with_a_used_id_is_damage_and_nothing_is_appended(ledger: Ledger) -> None:
    item = ledger.prepare(Item((plain("a"),)))
    ledger.submit([item])
    other = moved(item, "b")
    fine = ledger.prepare(Item((plain("c"),)))
    with pytest.raises(LedgerDamaged):
        ledger.submit([fine, other])

    assert [1] == positions(ledger)


def test_another_body_with_a_used_id_is_damage(ledger: Ledger) -> None:
    item = ledger.prepare(Item((plain("a"),)))
    ledger.submit([item])
    ((sealed,),) = item.sealed
    event = msgspec.structs.replace(sealed.event, body=StepStarted(name="y"))
    other = msgspec.structs.replace(sealed, event=event, body='{"name":"y"}', commitment=bytes(32))
    with pytest.raises(LedgerDamaged):
        ledger.submit([Prepared(item.item, ((other,),))])

    assert [1] == positions(ledger)


def test_an_item_of_which_only_a_part_is_known_is_damage(ledger: Ledger) -> None:
    item = ledger.prepare(Item((plain("a"),)))
    ledger.submit([item])
    two = ledger.prepare(Item((plain("a"), plain("b"))))
    with pytest.raises(LedgerDamaged):
        ledger.submit([Prepared(two.item, (item.sealed[0], two.sealed[1]))])

    assert [1] == positions(ledger)


def test_one_id_for_two_events_of_an_item_is_damage(ledger: Ledger) -> None:
    item = ledger.prepare(Item((plain("a", 2),)))
    ((sealed, _),) = item.sealed
    with pytest.raises(LedgerDamaged):
        ledger.submit([Prepared(item.item, ((sealed, sealed),))])

    assert [] == positions(ledger)


def test_one_id_in_two_items_of_a_batch_is_damage_and_nothing_is_appended(ledger: Ledger) -> None:
    item = ledger.prepare(Item((plain("a"),)))
    with pytest.raises(LedgerDamaged):
        ledger.submit([item, moved(item, "b")])

    assert [] == positions(ledger)


def test_ids_come_before_versions(ledger: Ledger) -> None:
    """An item that is there is the same, even if its stream has moved and its job is not quiet."""
    item = ledger.prepare(Item((trigger(since=0),)))
    ledger.submit([item])
    ledger.append(Write(STREAM, (started(), succeeded()), 1))

    assert ["Same"] == kinds(list(ledger.submit([item])))


def moved(item: Prepared, stream: str) -> Prepared:
    write = msgspec.structs.replace(item.item.writes[0], stream=Stream(stream))
    return Prepared(Item((write,)), item.sealed)


# --- terms ----------------------------------------------------------------------------------------------


def test_the_first_takeover_begins_term_one(ledger: Ledger) -> None:
    (answer,) = submit(ledger, election(fence=0, expected=0))
    head = ledger.head()
    (elected,) = ledger.read_stream(LEADER)

    assert isinstance(answer, Appended)
    assert (1, HERE, 1) == (head.term, head.leader, head.epoch)
    assert head.lease_until is not None
    assert HOUR > head.lease_until - head.clock > HOUR - timedelta(minutes=5)
    assert 1 == elected.term


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


# --- time -----------------------------------------------------------------------------------------------


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


# --- reading --------------------------------------------------------------------------------------------


def test_reading_goes_on_after_a_position(ledger: Ledger) -> None:
    ledger.append(plain("a", 5))

    assert [3, 4] == [each.position for each in ledger.read_all(Position(2), 2)]
    assert [5] == [each.position for each in ledger.read_all(Position(4), 2)]
    assert [] == ledger.read_all(Position(5), 2)
    assert [] == ledger.read_all(Position(50), 2)


def test_a_stream_is_read_after_a_version(ledger: Ledger) -> None:
    ledger.append(plain("a", 3), plain("b"))

    assert [2, 3] == [each.version for each in ledger.read_stream(Stream("a"), 1)]
    assert [] == ledger.read_stream(Stream("a"), 3)
    assert [] == ledger.read_stream(Stream("c"))


def test_stored_events_are_what_was_sealed(ledger: Ledger) -> None:
    item = ledger.prepare(Item((plain("a"),)))
    ledger.submit([item])
    ((sealed,),) = item.sealed
    (stored,) = ledger.read_stored(Position(0), 10)

    assert (sealed.id, sealed.salt, sealed.body, sealed.commitment) == (
        stored.id, stored.salt, stored.body, stored.commitment,
    )  # fmt: skip
    assert ("engine:planner", '{"name":"x"}') == (stored.actor, stored.body)


def test_the_position_at_an_instant_is_that_of_the_last_event_until_then(ledger: Ledger) -> None:
    instants = [ledger.append(plain(f"s{n}", 3)).recorded_at for n in range(5)]
    last = {instant: (n + 1) * 3 for n, instant in enumerate(instants)}
    moment = timedelta(microseconds=1)

    assert [last[instant] for instant in instants] == [ledger.position_at(instant) for instant in instants]
    assert 0 == ledger.position_at(instants[0] - moment)
    assert last[instants[3]] == ledger.position_at(max(instants[4] - moment, instants[3]))
    assert 15 == ledger.position_at(instants[4] + HOUR)


def test_an_empty_ledger_stands_at_zero_at_every_instant(ledger: Ledger) -> None:
    assert 0 == ledger.position_at(ledger.head().clock)


def test_text_of_every_kind_comes_back(ledger: Ledger) -> None:
    names = ["", "\0", "\ud800", "é", "日本", "\u2028", '"\\', "%s %(x)s :x ?", "\x1b[0m", "a" * 3000]
    events = tuple(
        msgspec.structs.replace(triggered(cause=Cause.MANUAL), body=StepStarted(name=name)) for name in names
    )
    ledger.append(Write(STREAM, events))
    expected = [name.replace("\0", "\ufffd").replace("\ud800", "\ufffd") for name in names]

    assert expected == [each.body.name for each in ledger.read_all(Position(0), 100)]  # type: ignore[attr-defined]


def test_several_instances_share_one_ledger(ledger_url: str) -> None:
    one, other = opened(ledger_url), opened(ledger_url)
    one.ledger.append(trigger())
    answers = [
        *submit(one.ledger, Item((Write(STREAM, (started(),), 1),))),
        *submit(other.ledger, Item((Write(STREAM, (started(),), 1),))),
    ]

    assert ["Appended", "Conflict"] == kinds(answers)
    assert [RunTriggered(), RunStarted()] == [each.body for each in other.ledger.read_stream(STREAM)]
    one.close()
    other.close()


# --- damage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["event", "event_body"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET position = 5", "DELETE FROM {}", "TRUNCATE {}"])
def test_what_is_recorded_cannot_be_changed(sql_url: str, statement: str, table: str) -> None:
    store = opened(sql_url)
    store.ledger.append(plain("a"))
    if store.kind == "sqlite" and statement.startswith("TRUNCATE"):
        statement = "INSERT OR REPLACE INTO {0} SELECT * FROM {0}"
    with pytest.raises(DBAPIError, match="the ledger is immutable"), store.writing() as connection:
        connection.exec_driver_sql(statement.format(table))

    assert [1] == positions(store.ledger)
    store.close()


AS_REPLICA = "DO 'BEGIN SET LOCAL session_replication_role = replica; DELETE FROM event; END'"


def test_a_replica_role_cannot_change_what_is_recorded_either(postgres_url: str) -> None:
    store = opened(postgres_url)
    store.ledger.append(plain("a"))
    with pytest.raises(DBAPIError, match="the ledger is immutable"), store.writing() as connection:
        connection.exec_driver_sql(
            "DO 'BEGIN SET LOCAL session_replication_role = replica; DELETE FROM event; END'"
        )

    assert [1] == positions(store.ledger)
    store.close()


@pytest.mark.parametrize(("missing", "gap"), [(1, (1, 2)), (2, (2, 3)), (3, (3, 4))])
def test_a_missing_event_is_a_gap(sql_url: str, missing: int, gap: tuple[int, int]) -> None:
    store = opened(sql_url)
    store.ledger.append(plain("a", 3))
    remove(store, missing)
    with pytest.raises(LedgerGap) as found:
        store.ledger.read_all(Position(0), 10)

    assert gap == (found.value.expected, found.value.found)
    assert 2 == len(store.ledger.read_stored(Position(0), 10))
    store.close()


def test_a_head_that_has_fallen_behind_its_events_is_damage(sql_url: str) -> None:
    store = opened(sql_url)
    store.ledger.append(plain("a", 3))
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE head SET position = 1")
    with pytest.raises(LedgerDamaged):
        store.ledger.append(plain("b"))

    assert 3 == len(store.ledger.read_stored(Position(0), 10))
    store.close()


def remove(store: Store, position: int) -> None:
    with store.writing() as connection:
        if store.kind == "sqlite":
            connection.exec_driver_sql("DROP TRIGGER event_DELETE")
        else:
            connection.exec_driver_sql("ALTER TABLE event DISABLE TRIGGER immutable")
        connection.execute(text("DELETE FROM event WHERE position = :position"), {"position": position})
