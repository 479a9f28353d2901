"""What every ledger keeps when it appends, whatever it is stored in."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from cronledger.domain.events import Cause, RunTriggered, StepStarted
from cronledger.domain.ids import Position, Stream, Term, run_stream
from cronledger.errors import Conflict, LedgerDamaged
from cronledger.ledger.api import Appended, Item, Ledger, Prepared, Quiet, Same, Write
from cronledger.ledger.instants import EPOCH
from cronledger.ledger.sqlite_append import IDS_AT_A_TIME
from tests.conftest import HERE as OPENED_BY
from tests.events import (
    JOB,
    NOON,
    RUN,
    kinds,
    moved,
    paused,
    plain,
    positions,
    started,
    submit,
    succeeded,
    trigger,
    triggered,
)

STREAM = run_stream(RUN)
HOUR = timedelta(hours=1)


# --- appending -----------------------------------------------------------------------------------------


def test_an_event_is_read_as_it_was_appended(ledger: Ledger) -> None:
    answer = ledger.append(Write(STREAM, (triggered(),)), fence=Term(0))
    (read,) = ledger.read_stream(STREAM)

    assert (1, 1, answer.recorded_at) == (answer.first, answer.last, read.recorded_at)
    assert (1, STREAM, 1, "run.triggered", 1, False) == (
        read.position, read.stream, read.version, read.type, read.schema, read.must_understand,
    )  # fmt: skip
    assert (OPENED_BY, OPENED_BY, 0, JOB, RUN, None) == (
        ledger.instance, read.instance, read.term, read.job, read.run_id, read.attempt,
    )  # fmt: skip
    assert (NOON, Cause.SCHEDULE, RunTriggered()) == (read.fire_at, read.cause, read.body)
    assert triggered().actor == read.actor


def test_an_attempt_is_read_as_it_was_appended(ledger: Ledger) -> None:
    ledger.append(trigger(), Write(STREAM, (started(attempt=3),), 1))
    read = ledger.read_stream(STREAM)[1]

    assert (2, 3, started(attempt=3).actor, None, None, None) == (
        read.version, read.attempt, read.actor, read.term, read.fire_at, read.cause,
    )  # fmt: skip


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

    assert (0, EPOCH, 0, None, None, 0, 1) == (
        before.position, before.recorded_at, before.term, before.leader, before.lease_until, before.epoch,
        before.min_writer,
    )  # fmt: skip
    assert after == msgspec.structs.replace(
        before, position=Position(3), recorded_at=answer.recorded_at, clock=after.clock
    )


def test_five_hundred_events_go_in_one_batch(ledger: Ledger) -> None:
    answers = submit(ledger, *[Item((plain(f"s{n}", 5),)) for n in range(100)])

    assert [(n * 5 + 1, n * 5 + 5) for n in range(100)] == [(each.first, each.last) for each in answers]
    assert list(range(1, 501)) == positions(ledger)


def test_an_empty_batch_has_no_answers(ledger: Ledger) -> None:
    assert [] == ledger.submit([])


# --- expected versions ---------------------------------------------------------------------------------


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
    before = ledger.head()
    answer = ledger.append(plain("a", 0, expected=1))
    after = ledger.head()

    assert (0, 0) == (answer.first, answer.last)
    assert before.clock <= answer.recorded_at <= after.clock
    assert before == msgspec.structs.replace(after, clock=before.clock)


def test_two_writes_of_one_item_to_one_stream_follow_one_another(ledger: Ledger) -> None:
    ledger.append(plain("a"))
    ledger.append(plain("a", 2, expected=1), plain("a", expected=3), plain("a", expected=4))
    ledger.append(plain("a", expected=None), plain("a", expected=6))

    assert [1, 2, 3, 4, 5, 6, 7] == [each.version for each in ledger.read_stream(Stream("a"))]


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


# --- quiet ---------------------------------------------------------------------------------------------


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

    assert ("the latest event of job 'tidy'", 1, 2) == (
        refused.value.stream,
        refused.value.expected,
        refused.value.actual,
    )


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


# --- asking again --------------------------------------------------------------------------------------


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
    ledger.append(plain("a"))
    item = ledger.prepare(Item((plain("a", 2, expected=1), plain("b"))))
    appended, same = ledger.submit([item, item])

    assert isinstance(appended, Appended)
    assert (2, 4) == (appended.first, appended.last)
    assert Same(appended.first, appended.last, appended.recorded_at) == same
    assert [1, 2, 3, 4] == positions(ledger)


def test_an_item_of_very_many_events_is_the_same_again(ledger: Ledger) -> None:
    item = ledger.prepare(Item((plain("a", 2 * IDS_AT_A_TIME + 1),)))
    appended, same = [*ledger.submit([item]), *ledger.submit([item])]

    assert isinstance(appended, Appended)
    assert (1, 1001) == (appended.first, appended.last)
    assert Same(appended.first, appended.last, appended.recorded_at) == same


def test_another_event_with_a_used_id_is_damage_and_nothing_is_appended(ledger: Ledger) -> None:
    item = ledger.prepare(Item((plain("a"),)))
    ledger.submit([item])
    other = moved(item, "b")
    fine = ledger.prepare(Item((plain("c"),)))
    with pytest.raises(LedgerDamaged, match=item.sealed[0][0].id.hex()):
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


@pytest.mark.parametrize("expected", [1, None])
def test_the_same_events_in_another_order_are_damage(ledger: Ledger, expected: int | None) -> None:
    ledger.append(plain("a"))
    item = ledger.prepare(Item((plain("a", 2, expected=expected),)))
    ledger.submit([item])
    ((first, second),) = item.sealed
    with pytest.raises(LedgerDamaged):
        ledger.submit([Prepared(item.item, ((second, first),))])

    assert [1, 2, 3] == positions(ledger)


def test_the_same_events_after_another_version_are_damage(ledger: Ledger) -> None:
    item = ledger.prepare(Item((plain("a", 2),)))
    ledger.submit([item])
    with pytest.raises(LedgerDamaged):
        ledger.submit([Prepared(Item((plain("a", 2, expected=2),)), item.sealed)])

    assert [1, 2] == positions(ledger)


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
