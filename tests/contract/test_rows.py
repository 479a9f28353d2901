"""The rows around the ledger, its export, and its verification."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import pytest
from sqlalchemy import Connection

from cronledger.domain.events import Body, Event
from cronledger.domain.ids import InstanceId, JobName, Position, RunId, Stream
from cronledger.domain.line import Line
from cronledger.errors import UsageError
from cronledger.ledger import instances, logs
from cronledger.ledger.api import Write
from cronledger.ledger.database import Store
from cronledger.ledger.export import export
from cronledger.ledger.instances import Instance
from cronledger.ledger.logs import Wanted
from cronledger.ledger.schema import INSTANCE
from cronledger.ledger.verify import Problem, stray_bodies, verify
from tests.conftest import opened
from tests.contract.test_ledger_reading import remove
from tests.events import HERE, JOB, NOON, PLANNER, RUN, THERE, plain, trigger

SECOND = timedelta(seconds=1)


# --- instances and log lines ----------------------------------------------------------------------------


def instance(name: InstanceId, **changes: object) -> Instance:
    fields = {
        "id": name, "name": name.split(".")[0], "kind": "service", "host": "h", "pid": 7, "build": "1.0",
        "started_at": NOON, "beat_at": NOON,
    }  # fmt: skip
    return Instance(**fields | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("names", ["{", "5", "", '["a", 5]'])
def test_an_instance_whose_names_cannot_be_read_has_none(store: Store, names: str) -> None:
    """One edited row kept every instance from coming up."""
    with store.writing() as connection:
        instances.register(connection, instance(HERE, jobs=(JOB,), features=("x",)))
        connection.execute(INSTANCE.update().values(jobs=names, features=names))
    with store.reading() as connection:
        (found,) = instances.known(connection)

    assert ((), ()) == (found.jobs, found.features)


def test_instances_live_while_they_beat(store: Store) -> None:
    with store.writing() as connection:
        instances.register(connection, instance(HERE, jobs=(JOB,), features=("x",), process="p"))
        instances.register(connection, instance(THERE))
        beaten = instances.beat(connection, HERE, NOON + 20 * SECOND)
    with store.reading() as connection:
        known, living = instances.known(connection), instances.living(connection, NOON + 20 * SECOND)

    assert beaten
    assert [HERE, THERE] == [each.id for each in known]
    assert ["p", None] == [each.process for each in known]
    assert [instance(HERE, jobs=(JOB,), features=("x",), process="p", beat_at=NOON + 20 * SECOND)] == living


def test_an_instance_changes_and_goes(store: Store) -> None:
    with store.writing() as connection:
        instances.register(connection, instance(HERE))
        instances.register(connection, instance(HERE, pid=8))
        changed = instances.update(
            connection, HERE, state="draining", epoch=3, jobs=(JOB,), config_revision="r"
        )
        (found,) = instances.known(connection)
        instances.retire(connection, HERE)
        gone = (instances.beat(connection, HERE, NOON), instances.update(connection, HERE, epoch=4))

    assert changed
    assert instance(HERE, pid=8, state="draining", epoch=3, jobs=(JOB,), config_revision="r") == found
    assert (False, False) == gone


def line(seconds: int, **changes: object) -> Line:
    fields = {
        "at": NOON + seconds * SECOND,
        "level": "INFO",
        "logger": "job",
        "instance": HERE,
        "message": "m",
    }
    return Line(**fields | changes)  # type: ignore[arg-type]


def newest_lines(connection: Connection, *, limit: int = 20, **wanted: Any) -> list[Line]:
    found = logs.page(connection, Wanted(**wanted), limit=limit, newest_first=True)
    return [each.line for each in reversed(found)]


def test_log_lines_are_found_by_what_they_are_about(store: Store) -> None:
    written = [
        line(0, level="warning", job=JOB, run_id=RUN, step="build"),
        line(1, level="DEBUG", job=JobName("other"), run_id=RunId("other@x")),
        line(2, level="ERROR", message="x\0" + "y" * 10_000),
        line(3, job=JOB),
    ]
    with store.writing() as connection:
        logs.write_lines(connection, written)
        logs.write_lines(connection, [])
    with store.reading() as connection:
        everything = newest_lines(connection)
        of_job = newest_lines(connection, job=JOB)
        of_run = newest_lines(connection, run_id=RUN)
        serious = newest_lines(connection, level="warn")
        between = newest_lines(connection, since=NOON + SECOND, until=NOON + 3 * SECOND)
        newest = newest_lines(connection, limit=1)

    assert [0, 1, 2, 3] == [(each.at - NOON).seconds for each in everything]
    assert line(0, level="WARN", job=JOB, run_id=RUN, step="build") == everything[0]
    assert everything[2].message.startswith("x\ufffdyyy")
    assert len(everything[2].message.encode()) <= 4096
    assert [everything[0], everything[3]] == of_job
    assert [everything[0]] == of_run
    assert [everything[0], everything[2]] == serious
    assert [everything[1], everything[2]] == between
    assert [everything[3]] == newest


def test_a_word_that_is_no_level_is_a_usage_error(store: Store) -> None:
    with pytest.raises(UsageError, match="unknown log level"), store.reading() as connection:
        newest_lines(connection, level="loud")


# --- export and verify ----------------------------------------------------------------------------------


def test_the_export_of_a_prefix_never_changes(store: Store) -> None:
    store.ledger.append(trigger(), plain("a", 1200))
    before = list(export(store.ledger))
    store.ledger.append(plain("b", 3))

    assert 1201 == len(before)
    assert before == list(export(store.ledger))[:1201]
    assert before[:5] == list(export(store.ledger, 0, 5))
    assert before[5:1100] == list(export(store.ledger, 5, 1100))
    assert 3 == len(list(export(store.ledger, 0, None, "b")))


def test_a_ledger_as_it_was_written_is_verified(store: Store) -> None:
    store.ledger.append(trigger(), plain("a", 1200, expected=None))
    store.ledger.append(plain("a", expected=1200))
    report = verify(store.ledger)

    assert (True, 1202, 0, (), 1202) == (
        report.ok, report.events, report.sealed_through, report.problems, report.head.position,
    )  # fmt: skip
    assert store.ledger.read_stored(Position(1201), 1)[0].id.hex() == report.head.id


def test_an_empty_ledger_is_verified(store: Store) -> None:
    report = verify(store.ledger)

    assert (True, 0, 0, None) == (report.ok, report.events, report.head.position, report.head.id)


TAMPERINGS = [
    (
        'UPDATE event_body SET body = \'{"name":"y"}\' WHERE position = 2',
        2,
        "not the one that was committed to",
    ),
    (
        "UPDATE event SET commitment = event_body.salt FROM event_body WHERE event.position = 2",
        2,
        "committed to",
    ),
    ("UPDATE event SET version = 7 WHERE position = 2", 2, "version 7 of a where 2 should be"),
    ("UPDATE event SET recorded_at = 1 WHERE position = 2", 2, "recorded before"),
    ("UPDATE head SET position = 2", 3, "beyond the head"),
    ("UPDATE head SET position = 4", 4, "the head is at 4"),
    ("DELETE FROM event_body WHERE position = 2", 2, "the body is missing"),
    ("UPDATE event SET cause = 'moon' WHERE position = 2", 2, "cannot be read"),
    ("UPDATE event SET actor = 'nobody' WHERE position = 2", 2, "cannot be read"),
    (f"UPDATE event SET fire_at = {2**63 - 1} WHERE position = 2", 2, "cannot be read"),
    (f"UPDATE event SET recorded_at = {2**63 - 1} WHERE position = 3", 3, "cannot be read"),
    ("UPDATE event SET id = commitment WHERE position = 2", 2, "has not 16 bytes"),
    ("UPDATE event SET position = 0 WHERE position = 1", 0, "in front of the first position"),
    (
        f"UPDATE event SET position = {-(2**62)} WHERE position = 3",
        -(2**62),
        "in front of the first position",
    ),
]


@pytest.mark.parametrize(("statement", "position", "problem"), TAMPERINGS)
def test_tampering_is_found(sql_url: str, statement: str, position: int, problem: str) -> None:
    store = opened(sql_url)
    store.ledger.append(plain("a", 3))
    tamper(store, statement)
    report = verify(store.ledger)

    assert not report.ok
    assert any(position == each.position and problem in each.problem for each in report.problems)
    store.close()


def test_a_missing_event_is_found(sql_url: str) -> None:
    store = opened(sql_url)
    store.ledger.append(plain("a"), plain("b"), plain("c"))
    remove(store, 2)
    report = verify(store.ledger)

    assert (Problem(2, "missing; the next event has position 3"),) == report.problems
    store.close()


@pytest.mark.parametrize("position", [-7, 4, 5000])
def test_a_body_without_an_event_is_found(sql_url: str, position: int) -> None:
    store = opened(sql_url)
    store.ledger.append(plain("a", 3))
    before = verify(store.ledger, stray=stray_bodies(store.reading))
    tamper(store, f"INSERT INTO event_body SELECT {position}, salt, body FROM event_body WHERE position = 1")
    after = verify(store.ledger, stray=stray_bodies(store.reading))

    assert before.ok
    assert (Problem(position, "a body stands here without an event"),) == after.problems
    store.close()


def test_bodies_are_compared_with_events_page_by_page(sql_url: str) -> None:
    store = opened(sql_url)
    store.ledger.append(plain("a", 2500))
    tamper(store, "DELETE FROM event WHERE position IN (1000, 1001, 2500)")

    assert [1000, 1001, 2500] == list(stray_bodies(store.reading))
    store.close()


def tamper(store: Store, statement: str) -> None:
    """Change what is recorded, as who may write the file, or owns the database, can."""
    with store.writing() as connection:
        for table in ("event", "event_body"):
            if store.kind == "sqlite":
                for verb in ("UPDATE", "DELETE"):
                    connection.exec_driver_sql(f"DROP TRIGGER {table}_{verb}")
            else:
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER immutable")
        connection.exec_driver_sql(statement)


class Erased(Body, frozen=True, kw_only=True):
    type: ClassVar[str] = "body.erased"
    position: int = 0


def test_an_erased_body_is_no_problem(sql_url: str) -> None:
    store = opened(sql_url)
    store.ledger.append(plain("a", 3))
    tamper(store, "DELETE FROM event_body WHERE position = 2")
    lines = list(export(store.ledger))
    missing = verify(store.ledger)
    store.ledger.append(Write(Stream("ledger"), (Event(body=Erased(position=2), actor=PLANNER),)))
    erased = verify(store.ledger)

    assert (Problem(2, "the body is missing"),) == missing.problems
    assert () == erased.problems
    assert b'"body":null,"salt":null,' in lines[1]
    assert ["x", "", "x"] == [each.body.name for each in store.ledger.read_all(Position(0), 3)]  # type: ignore[attr-defined]
    store.close()


def test_an_erasure_that_names_nothing_is_a_problem(sql_url: str) -> None:
    store = opened(sql_url)
    store.ledger.append(plain("a", 3))
    body = '\'{"position":"2"}\''
    tamper(store, f"UPDATE event_body SET body = {body} WHERE position = 3")
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE event SET type = 'body.erased' WHERE position = 3")

    assert any("Expected `int`" in each.problem for each in verify(store.ledger).problems)
    store.close()
