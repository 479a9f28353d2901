"""What every ledger keeps when it is read, and when somebody has tampered with it."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from cronledger.domain.events import Body, Cause, RunStarted, RunTriggered, StepStarted, Unrecognized
from cronledger.domain.ids import Position, Stream, run_stream
from cronledger.errors import LedgerDamaged, LedgerGap
from cronledger.ledger.api import Item, Ledger, Write
from cronledger.ledger.database import Store
from tests.conftest import opened
from tests.events import (
    RUN,
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


class Demanded(Body, frozen=True, kw_only=True):
    type: ClassVar[str] = "job.demanded"
    must_understand: ClassVar[bool] = True


class Insisted(Body, frozen=True, kw_only=True):
    type: ClassVar[str] = "job.insisted"
    must_understand: ClassVar[bool] = True


# --- reading -------------------------------------------------------------------------------------------


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


def test_the_first_event_of_each_type_that_must_be_understood_is_known(ledger: Ledger) -> None:
    for body in (
        StepStarted(name="x"),
        Demanded(),
        Insisted(),
        StepStarted(name="y"),
        Demanded(),
        Insisted(),
    ):
        event = msgspec.structs.replace(triggered(cause=Cause.MANUAL), body=body)
        ledger.append(Write(Stream("a"), (event,), None))

    assert [(2, "job.demanded", True), (3, "job.insisted", True)] == [
        (each.position, each.type, each.must_understand) for each in ledger.demanding()
    ]
    assert [] == [each for each in ledger.demanding() if not isinstance(each.body, Unrecognized)]


def test_where_nothing_must_be_understood_nothing_is_asked(ledger: Ledger) -> None:
    ledger.append(plain("a", 3))

    assert [] == ledger.demanding()


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


# --- damage --------------------------------------------------------------------------------------------


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
    with pytest.raises(LedgerDamaged, match="its events disagree; nothing was appended"):
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
