"""An instance meets what only a newer version knows: it folds past it, or steps aside and says why."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from sqlalchemy import text

from cronledger import Scheduler
from cronledger.domain import events as e
from cronledger.domain.ids import Position
from cronledger.engine.plan import Plan
from cronledger.errors import NotUnderstood, WriterOutdated
from cronledger.ledger import instances
from cronledger.ledger.api import MIN_WRITER, WRITER
from cronledger.ledger.database import Store
from tests.checker import problems
from tests.cli_runner import APP, Result, run_cli
from tests.conftest import lines_of, opened
from tests.contract.test_scheduler import quick, scheduler
from tests.e2e.upgrade.living import Living
from tests.events import plain
from tests.unit.projections.streams import define, say

LIMIT_SECONDS = 20.0
FEATURE = "calendars"


class Dreamed(e.Body, frozen=True, kw_only=True):
    type: ClassVar[str] = "job.dreamed"


class Demanded(e.Body, frozen=True, kw_only=True):
    type: ClassVar[str] = "job.demanded"
    must_understand: ClassVar[bool] = True


class Newer(Scheduler):
    """A version that knows one more way of writing."""

    def _service_plan(self) -> Plan:
        return msgspec.structs.replace(super()._service_plan(), features=frozenset({FEATURE}))


@pytest.fixture
def store(sql_url: str) -> Iterator[Store]:
    store = opened(sql_url)
    yield store
    store.close()


@pytest.fixture
def cli(sql_url: str) -> Callable[..., Result]:
    return lambda *words: run_cli("--database-url", sql_url, "--app", APP, *words)


async def until(holds: Callable[[], object]) -> bool:
    """Wait until something holds, within a limit."""
    for _ in range(int(LIMIT_SECONDS / 0.1)):
        if await asyncio.to_thread(holds):
            return True
        await asyncio.sleep(0.1)
    return False


def only_newer_may_write(store: Store) -> None:
    """Do what a later migration does once no old instance is left."""
    with store.writing() as connection:
        connection.execute(text("UPDATE head SET min_writer = :needed"), {"needed": WRITER + 1})


def states(store: Store) -> list[str]:
    with store.reading() as connection:
        return [each.state for each in instances.known(connection)]


def is_led(store: Store) -> bool:
    head = store.ledger.head()
    return head.lease_until is not None and head.lease_until > head.clock


# --- types that are not known ---------------------------------------------------------------------------


def test_an_event_of_an_unknown_type_stops_nobody_and_is_named(
    store: Store,
    sql_url: str,
    tmp_path: Path,
    cli: Callable[..., Result],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fault 60."""

    async def program() -> bool:
        async with scheduler(sql_url, tmp_path).running():
            for _ in range(3):
                say(store.ledger, Dreamed(), stream="config")
            after = store.ledger.head().position
            return await until(lambda: store.ledger.head().position > after + 4)

    went_on = asyncio.run(program())
    cli("infra", "jobs", "status")
    listed = cli("projections", "list")
    (found,) = [each for each in cli("doctor", "--json").json["checks"] if each["check"] == "events"]
    warnings = [record for record in caplog.records if "job.dreamed" in record.getMessage()]

    assert went_on
    assert 1 == len(warnings)
    assert "3 events of 1 unknown type were folded past: job.dreamed" in listed.stderr
    assert ("warn", 3) == (found["status"], found["unknown_types"][0]["events"])


def test_an_instance_steps_aside_at_an_event_that_it_must_understand(
    store: Store, sql_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 60."""

    async def program() -> tuple[bool, Position, Position]:
        async with scheduler(sql_url, tmp_path).running():
            say(store.ledger, Demanded(), stream="config")
            gone = await until(lambda: not is_led(store) and states(store) == ["draining"])
            gone &= await until(lambda: [] == problems(lines_of(sql_url)))  # until every run has ended
            before = store.ledger.head().position
            await asyncio.sleep(2.5)
            return gone, before, store.ledger.head().position

    gone, before, after = asyncio.run(program())
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]

    assert gone
    assert before == after
    assert any("neither leads nor claims any more" in each and "job.demanded" in each for each in said)
    assert {"leader.resigned", "instance.stopped"} <= {line["type"] for line in lines_of(sql_url)}


def test_who_does_not_understand_the_ledger_reads_on_and_changes_nothing(
    store: Store, sql_url: str, cli: Callable[..., Result]
) -> None:
    """Fault 60: the commands of an old version."""
    define(store.ledger, schedule="0 0 3 * * *")
    say(store.ledger, Demanded(), stream="config")
    define(store.ledger, schedule="0 0 4 * * *")
    status = cli("infra", "jobs", "status", "--json")
    refused = [
        cli(*words)
        for words in (
            ("up", "--for", "1s"),
            ("infra", "jobs", "run", "tidy"),
            ("infra", "jobs", "disable", "tidy"),
            ("doctor",),
        )
    ]
    reading = [
        cli(*words).exit_code
        for words in (
            ("infra", "jobs", "list"),
            ("runs", "list"),
            ("ledger", "tail"),
            ("ledger", "verify"),
            ("replay", "--to", "1"),
            ("infra", "jobs", "show", "tidy", "--as-of", "position:1"),
        )
    ]

    assert (0, 1) == (status.exit_code, status.json["position"])
    assert "as of position 1" in status.stderr
    assert [6, 6, 6, 6] == [each.exit_code for each in refused]
    assert all("job.demanded" in each.stderr + each.stdout for each in refused)
    assert all("Traceback" not in each.stderr for each in refused)
    assert {0} == set(reading)
    assert 3 == store.ledger.head().position


def test_what_must_be_understood_is_found_though_a_newer_version_has_folded_past_it(store: Store) -> None:
    """Fault 60: the views are at the head already."""
    say(store.ledger, Dreamed(), stream="config")
    say(store.ledger, Demanded(), stream="config")
    say(store.ledger, Demanded(), stream="config")

    assert [2] == [each.position for each in store.ledger.demanding()]


# --- ways of writing ------------------------------------------------------------------------------------


def test_an_older_way_of_writing_is_refused_under_the_head(store: Store) -> None:
    store.ledger.append(plain("a"))
    only_newer_may_write(store)
    with pytest.raises(WriterOutdated) as refused:
        store.ledger.append(plain("b"))

    assert (WRITER + 1, WRITER, 6) == (refused.value.needed, refused.value.own, refused.value.exit_code)
    assert WRITER >= MIN_WRITER
    assert 1 == store.ledger.head().position
    assert 1 == len(store.ledger.read_all(Position(0), 10))


def test_an_older_writer_in_memory_is_refused_as_well(memory_url: str) -> None:
    store: Any = opened(memory_url)
    store.ledger.log.head = msgspec.structs.replace(store.ledger.log.head, min_writer=WRITER + 1)
    with pytest.raises(WriterOutdated):
        store.ledger.append(plain("b"))
    store.close()


def test_an_instance_steps_aside_once_only_newer_ones_may_write(
    store: Store, sql_url: str, tmp_path: Path
) -> None:
    """Fault 60: it has ended its leadership, so that a newer instance leads at once."""

    async def program() -> bool:
        async with scheduler(sql_url, tmp_path).running():
            await asyncio.to_thread(only_newer_may_write, store)
            return await until(lambda: not is_led(store) and states(store) == ["draining"])

    gone = asyncio.run(program())

    assert gone
    assert [] == states(store)


def test_an_older_writer_reads_on_and_says_why_it_refuses(store: Store, cli: Callable[..., Result]) -> None:
    define(store.ledger, schedule="0 0 3 * * *")
    only_newer_may_write(store)
    refused = [cli("up", "--for", "1s"), cli("infra", "jobs", "run", "tidy"), cli("doctor")]
    reading = [cli("infra", "jobs", "status"), cli("runs", "list"), cli("ledger", "verify"), cli("replay")]

    assert [6, 6, 6] == [each.exit_code for each in refused]
    assert all("the ledger takes 2 or later" in each.stderr + each.stdout for each in refused)
    assert [0, 0, 0, 0] == [each.exit_code for each in reading]
    assert 1 == store.ledger.head().position


# --- features -------------------------------------------------------------------------------------------


def test_a_feature_is_enabled_once_every_living_instance_knows_it(sqlite_url: str, tmp_path: Path) -> None:
    """Fault 60: the order in which a rolling update lets new events in."""
    config = tmp_path / "config.yaml"
    config.write_text("scheduler: {jobs: [{name: quick, extension: tests}]}")

    async def instance(kind: type[Scheduler]) -> Living:
        return await Living(kind(database_url=sqlite_url, config=config, jobs=[quick])).up()

    def enabled() -> list[dict[str, object]]:
        return [line for line in lines_of(sqlite_url) if line["type"] == "feature.enabled"]

    async def program() -> tuple[list[Any], frozenset[str]]:
        old, newer = await instance(Scheduler), await instance(Newer)
        await asyncio.sleep(2.5)
        while_an_old_one_lived = enabled()
        await old.go()
        assert await until(enabled)
        joined = await instance(Newer)
        assert joined.scheduler._world is not None
        known = (await joined.scheduler._world.load()).features
        await newer.go()
        await joined.go()
        return while_an_old_one_lived, known

    while_an_old_one_lived, known = asyncio.run(program())
    (event,) = enabled()

    assert [] == while_an_old_one_lived
    assert {"name": FEATURE} == event["body"]
    assert event["term"] is not None
    assert {FEATURE} == known


def test_the_error_says_which_event_is_not_understood() -> None:
    error = NotUnderstood(7, "job.demanded", 2)

    assert "position 7 is of type 'job.demanded' (schema 2)" in error.message
