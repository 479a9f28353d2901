"""What built-in jobs find: the application's folder, the clock, and a database of their own."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text

from cronledger import Job, JobContext, JobResult, Scheduler, migrations
from cronledger.app_database import OwnDatabase
from cronledger.domain.run import Outcome, RunState
from cronledger.extensions.tables import COLUMNS
from cronledger.ledger.application import application_engine
from cronledger.migrations import application
from cronledger.testing import ManualClock, perform
from tests.conftest import opened as at_hand

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Look(Job):
    """Says what it was given."""

    name = "look"

    async def execute(self, ctx: JobContext) -> JobResult:
        tables = [] if ctx.db_or_none is None else inspect(ctx.db).get_table_names()
        return JobResult.success().with_message(f"{ctx.now():%H:%M} {ctx.root} {len(tables)}")


class BuiltIn(Look):
    """The same, as if it came with the package."""


BuiltIn.__module__ = "cronledger.extensions.core.look"


@pytest.fixture
def engine_for() -> Iterator[Callable[[Path], Engine]]:
    """Return what opens a file as an application's database until the end of the test."""
    engines: list[Engine] = []

    def engine(path: Path) -> Engine:
        engines.append(application_engine(f"sqlite:///{path}"))
        return engines[-1]

    yield engine
    for each in engines:
        each.dispose()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Engine]:
    """Return the database that the built-in jobs have made for themselves."""
    database = OwnDatabase(f"sqlite:///{tmp_path}/ledger.db")
    engine = database.open()
    assert isinstance(engine, Engine)
    yield engine
    database.close()


def look(folder: Path, job: Job) -> RunState:
    scheduler = Scheduler(database_url=f"sqlite:///{folder}/ledger.db", jobs=[job])
    (run,) = asyncio.run(scheduler.run_manually(["look"], actor="test", local=True))
    return run


def test_a_built_in_job_finds_every_table_in_a_file_beside_the_ledger(tmp_path: Path) -> None:
    run = look(tmp_path, BuiltIn())

    assert str(len(COLUMNS) + 1) == (run.message or "").split()[-1]
    assert 0o600 == stat.S_IMODE((tmp_path / "ledger-app.db").stat().st_mode)


def test_other_jobs_have_no_database_that_nobody_configured(tmp_path: Path) -> None:
    run = look(tmp_path, Look())

    assert "0" == (run.message or "").split()[-1]
    assert not (tmp_path / "ledger-app.db").exists()


@pytest.mark.parametrize("url", ["memory://one", "postgresql://localhost/one", "sqlite://"])
def test_there_is_no_place_beside_a_ledger_that_is_no_file(url: str) -> None:
    assert OwnDatabase(url).open() is None


def test_what_is_created_gives_pages_back_and_lets_readers_read(own: Engine) -> None:
    with own.connect() as connection:
        assert (2, "wal") == (
            connection.execute(text("PRAGMA auto_vacuum")).scalar_one(),
            connection.execute(text("PRAGMA journal_mode")).scalar_one(),
        )


def test_upgrading_twice_changes_nothing(own: Engine) -> None:
    application.upgrade(own)

    assert application.HEAD == application.current(own)


def test_several_that_begin_together_create_one_set_of_tables(
    tmp_path: Path, engine_for: Callable[[Path], Engine]
) -> None:
    engines = [engine_for(tmp_path / "shared.db") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(application.upgrade, engines))

    assert {application.HEAD} == {application.current(engine) for engine in engines}


def test_a_table_that_a_host_has_is_left_alone(tmp_path: Path, engine_for: Callable[[Path], Engine]) -> None:
    engine = engine_for(tmp_path / "host.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE users (id INTEGER, nickname TEXT)"))
    application.upgrade(engine)

    assert ["id", "nickname"] == [column["name"] for column in inspect(engine).get_columns("users")]


def test_files_that_begin_together_in_one_process_are_all_made(
    tmp_path: Path, engine_for: Callable[[Path], Engine]
) -> None:
    """Alembic has one context for the process: one upgrade ran the other's, and both failed."""
    engines = [engine_for(tmp_path / f"{number}-app.db") for number in range(4)]
    ledgers = [at_hand(f"sqlite:///{tmp_path}/{number}.db") for number in range(4)]
    with ThreadPoolExecutor(8) as pool:
        applied = pool.map(application.upgrade, engines)
        upgraded = pool.map(migrations.upgrade, ledgers)
        list(chain(applied, upgraded))

    assert {application.HEAD} == {application.current(engine) for engine in engines}
    assert {migrations.HEAD} == {migrations.current(ledger) for ledger in ledgers}
    for ledger in ledgers:
        ledger.close()


class Keeper(Job):
    """Asks the database something, and keeps it in sight for the test."""

    name = "keeper"
    extension = "tests"

    def __init__(self) -> None:
        self.db: Any = None

    async def execute(self, ctx: JobContext) -> JobResult:
        self.db = ctx.db
        with self.db.connect() as connection:
            connection.execute(text("SELECT 1"))
        return JobResult.success()


class BuiltInKeeper(Keeper):
    """The same, as if it came with the package."""


BuiltInKeeper.__module__ = "cronledger.extensions.core.keeper"


def kept_open(folder: Path, job: Keeper, **given: Any) -> int:
    """Return how many connections are open once an instance has performed a job and has ended."""
    config = folder / "config.yaml"
    config.write_text(f"application: {{database_url: 'sqlite:///{folder}/app.db'}}")
    given = given or {"config": None if isinstance(job, BuiltInKeeper) else config}
    instance = Scheduler(database_url=f"sqlite:///{folder}/ledger.db", jobs=[job], **given)
    (run,) = asyncio.run(instance.run_manually(["keeper"], actor="test", local=True))
    assert Outcome.SUCCEEDED == run.outcome, run.error
    return int(job.db.pool.checkedin())


@pytest.mark.parametrize("job", [Keeper, BuiltInKeeper])
def test_what_an_instance_opens_for_its_jobs_is_closed_with_it(tmp_path: Path, job: type[Keeper]) -> None:
    """One connection more stayed open with every start of an instance in the same process."""
    assert 0 == kept_open(tmp_path, job())


def test_what_an_application_gives_its_jobs_is_left_to_it(
    tmp_path: Path, engine_for: Callable[[Path], Engine]
) -> None:
    assert 1 == kept_open(tmp_path, Keeper(), db=engine_for(tmp_path / "given.db"))


def test_the_folder_and_the_clock_are_those_of_the_application(tmp_path: Path) -> None:
    config = tmp_path / "services/config/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("application: {root: site}")
    run = asyncio.run(perform(Look(), config=config, clock=ManualClock(NOON)))

    assert f"12:00 {tmp_path}/site 0" == run.message
