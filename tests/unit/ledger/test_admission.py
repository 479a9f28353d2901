"""What a batch is answered under a given head, and what becomes of the head, value by value."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from cronledger.domain.ids import LEADER, Position, Term
from cronledger.entropy import SeededEntropy
from cronledger.ledger.admission import Admitted, Facts, Row, admit
from cronledger.ledger.api import Appended, Head, Item, Prepared, Same, Sealed
from cronledger.ledger.codec import actor_text, prepared
from cronledger.ledger.instants import to_micros
from tests.events import HERE, JOB, NOON, THERE, election, kinds, plain, trigger

MOMENT, HOUR = timedelta(microseconds=1), timedelta(hours=1)
HEAD = Head(
    position=Position(7),
    recorded_at=NOON,
    term=Term(3),
    leader=HERE,
    lease_until=NOON + HOUR,
    epoch=2,
    lineage="ours",
    min_writer=1,
    clock=NOON + MOMENT,
)
ENTROPY = SeededEntropy()


def asked(*items: Item) -> list[Prepared]:
    return [prepared(item, ENTROPY, NOON) for item in items]


def admitted(*batch: Prepared, head: Head = HEAD, versions: dict[str, int] | None = None) -> Admitted:
    return admit(head, Facts(versions or {}, {}, {}), batch, instance=THERE)


def row(one: Sealed, stream: str, version: int, position: int, *, term: int | None = None) -> Row:
    """Return an event about no job as it is to be stored, in the order of the columns."""
    body = one.event.body
    header = (body.type, 1, False, to_micros(HEAD.clock), THERE, term, actor_text(one.event.actor))
    about = (None, None, None, None)
    return (one.id, stream, version, *header, *about, one.commitment, one.salt, one.body, position)


def test_accepted_items_come_at_the_next_positions_and_versions() -> None:
    first, second = asked(Item((plain("a", 2, expected=4), plain("new"))), Item((plain("a", expected=6),)))
    ((one, two), (three,)), ((four,),) = first.sealed, second.sealed

    assert Admitted(
        [Appended(Position(8), Position(10), HEAD.clock), Appended(Position(11), Position(11), HEAD.clock)],
        [row(one, "a", 5, 8), row(two, "a", 6, 9), row(three, "new", 1, 10), row(four, "a", 7, 11)],
        msgspec.structs.replace(HEAD, position=Position(11), recorded_at=HEAD.clock),
    ) == admitted(first, second, versions={"a": 4})


def test_an_item_that_comes_twice_in_a_batch_is_found_where_it_has_just_been_put() -> None:
    (item,) = asked(Item((plain("b"), plain("a", 2, expected=4), plain("c"))))

    assert [
        Appended(Position(8), Position(11), HEAD.clock),
        Same(Position(8), Position(11), HEAD.clock),
    ] == admitted(item, item, versions={"a": 4}).answers


def test_what_appends_nothing_leaves_the_head_as_it_was() -> None:
    guard, conflict = asked(Item((plain("a", 0, expected=4),)), Item((plain("a"),)))
    found = admitted(guard, conflict, versions={"a": 4})

    assert Appended(Position(0), Position(0), HEAD.clock) == found.answers[0]
    assert ["Appended", "Conflict"] == kinds(found.answers)
    assert ([], HEAD) == (found.rows, found.head)


def test_a_takeover_begins_its_term_with_its_own_event() -> None:
    (item,) = asked(election(fence=3, expected=0, leader=THERE, force=True))
    ((elected,),) = item.sealed

    assert Admitted(
        [Appended(Position(8), Position(8), HEAD.clock)],
        [row(elected, LEADER, 1, 8, term=4)],
        msgspec.structs.replace(
            HEAD,
            position=Position(8),
            recorded_at=HEAD.clock,
            term=Term(4),
            leader=THERE,
            lease_until=HEAD.clock + HOUR,
            epoch=4,
        ),
    ) == admitted(item)


@pytest.mark.parametrize(
    ("ends_in", "answer"), [(MOMENT, "Led"), (timedelta(0), "Led"), (-MOMENT, "Appended")]
)
def test_a_lease_keeps_others_out_up_to_its_last_moment(ends_in: timedelta, answer: str) -> None:
    head = msgspec.structs.replace(HEAD, lease_until=HEAD.clock + ends_in)

    assert [answer] == kinds(admitted(*asked(election(fence=3, expected=0, leader=THERE)), head=head).answers)


@pytest.mark.parametrize(
    ("due_in", "answer"), [(-MOMENT, "Appended"), (timedelta(0), "Appended"), (MOMENT, "Early")]
)
def test_a_fire_time_is_early_up_to_the_last_moment_before_it(due_in: timedelta, answer: str) -> None:
    assert [answer] == kinds(admitted(*asked(Item((trigger(HEAD.clock + due_in),)))).answers)


@pytest.mark.parametrize(
    ("latest", "answer"), [({}, "Appended"), ({JOB: 7}, "Appended"), ({JOB: 8}, "Conflict")]
)
def test_a_job_is_quiet_if_nothing_is_known_of_it_or_nothing_later(
    latest: dict[str, int], answer: str
) -> None:
    since = 7 if latest else 0
    batch = asked(Item((trigger(since=since),)))

    assert [answer] == kinds(admit(HEAD, Facts({}, latest, {}), batch, instance=THERE).answers)
