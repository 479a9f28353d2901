"""Upgrading the schema while others work: one does it, nobody waits long, and half of it is never there.

The migration is made up: it adds a column and a table, and counts how often it was run.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import asdict
from sqlalchemy import inspect, text

from cronledger import migrations
from cronledger.errors import MigrationBlocked, SchemaOutdated
from cronledger.ledger import instances, progress
from cronledger.ledger.database import Store
from cronledger.ledger.schema import INSTANCE
from cronledger.migrations import Steps
from cronledger.migrations.obstacles import CLASS, NamesTaken, obstacles
from tests.checker import problems, triggered
from tests.cli_runner import run_cli
from tests.conftest import lines_of, opened
from tests.contract.test_rows import instance
from tests.contract.test_scheduler import scheduler
from tests.events import HERE, plain
from tests.waiting import eventually

MIGRATION = f"""
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{migrations.HEAD}"

def upgrade():
    op.add_column("event", sa.Column("colour", sa.Text()))
    op.execute("CREATE TABLE made_up (times integer)")
    op.execute("INSERT INTO made_up VALUES (1)")
"""
LONGEST_STOP_SECONDS = 5.0


@pytest.fixture
def store(sql_url: str) -> Iterator[Store]:
    store = opened(sql_url)
    yield store
    store.close()


def steps(folder: Path, *, after: str = "    pass") -> Steps:
    """Return the made-up migration, which does something more at its end."""
    further = folder / "further"
    further.mkdir(exist_ok=True)
    (further / "r9999_made_up.py").write_text(MIGRATION + after + "\n")
    return Steps(head="9999", further=(further,))


def tables(store: Store) -> tuple[bool, bool]:
    """Return whether the column and the table of the made-up migration are there."""
    with store.reading() as connection:
        found = inspect(connection)
        has_colour = "colour" in {column["name"] for column in found.get_columns("event")}
        return has_colour, found.has_table("made_up")


@contextmanager
def holding(store: Store, url: str) -> Iterator[str]:
    """Hold what the migration needs, as a report or another program would; give what a message names."""
    if store.kind == "postgres":
        with psycopg.connect(url, application_name="a report") as connection:
            connection.execute("SELECT count(*) FROM event")
            yield f"process {connection.info.backend_pid} (a report, idle in transaction"
    else:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield f"locked by process {os.getpid()}"


def test_the_previous_version_takes_a_later_revision_for_its_own(
    sql_url: str, store: Store, tmp_path: Path
) -> None:
    """Fault 61: a newer instance has migrated, and an older one starts again."""
    migrations.upgrade(store, steps=steps(tmp_path))
    migrations.check(store)
    migrations.upgrade(store)

    assert "9999" == migrations.current(store)
    assert 0 == run_cli("--database-url", sql_url, "db", "check").exit_code
    assert 0 == run_cli("--database-url", sql_url, "infra", "jobs", "status").exit_code


def test_of_two_that_upgrade_at_once_one_does_it(sql_url: str, tmp_path: Path) -> None:
    """Fault 61."""
    wanted = steps(tmp_path)
    stores = [opened(sql_url) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda each: migrations.upgrade(each, steps=wanted), stores))
    with stores[0].reading() as connection:
        times = connection.execute(text("SELECT sum(times) FROM made_up")).scalar_one()
    for each in stores:
        each.close()

    assert 1 == times


def test_a_migration_that_fails_leaves_nothing_half_done(store: Store, tmp_path: Path) -> None:
    """Fault 61."""
    with pytest.raises(ZeroDivisionError):
        migrations.upgrade(store, steps=steps(tmp_path, after="    1 / 0"))
    half_way = (migrations.current(store), tables(store))
    migrations.upgrade(store, steps=steps(tmp_path))

    assert (migrations.HEAD, (False, False)) == half_way
    assert ("9999", (True, True)) == (migrations.current(store), tables(store))


def test_a_migration_that_is_killed_leaves_nothing_half_done(
    sql_url: str, store: Store, tmp_path: Path
) -> None:
    """Fault 61."""
    sign = tmp_path / "half way"
    wanted = steps(tmp_path, after=f"    open({str(sign)!r}, 'w').close(); __import__('time').sleep(60)")
    program = (
        "import sys; from pathlib import Path; from tests.conftest import opened\n"
        "from cronledger import migrations\n"
        "further = (Path(sys.argv[2]),)\n"
        "migrations.upgrade(opened(sys.argv[1]), steps=migrations.Steps(head='9999', further=further))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, sql_url, str(wanted.further[0])])
    try:
        until = time.monotonic() + 60
        while not sign.exists() and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    half_way = (migrations.current(store), tables(store))
    migrations.upgrade(store, steps=steps(tmp_path))

    assert sign.exists()
    assert (migrations.HEAD, (False, False)) == half_way
    assert ("9999", (True, True)) == (migrations.current(store), tables(store))


def test_who_is_in_the_way_is_named_at_the_deadline(
    sql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 61: a report holds what the migration needs."""
    monkeypatch.setattr("cronledger.ledger.sqlite_connections.BUSY_SECONDS", 0.5)
    store = opened(sql_url)
    wanted = steps(tmp_path)
    with holding(store, sql_url) as expected, pytest.raises(MigrationBlocked) as refused:
        migrations.upgrade(store, seconds=1.0, steps=wanted)
    after_refusal = (migrations.current(store), tables(store))
    migrations.upgrade(store, steps=wanted)

    assert expected in refused.value.message
    assert 6 == refused.value.exit_code
    assert (migrations.HEAD, (False, False)) == after_refusal
    assert (True, True) == tables(store)
    store.close()


def test_who_has_the_turn_to_upgrade_is_named(postgres_url: str, tmp_path: Path) -> None:
    """Fault 61: another process upgrades, and does not come to an end."""
    store = opened(postgres_url)
    with psycopg.connect(postgres_url, application_name="another upgrade") as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(current_schema()))", (CLASS,))
        with pytest.raises(
            MigrationBlocked, match=r"another upgrade, idle in transaction.*the turn to upgrade"
        ):
            migrations.upgrade(store, seconds=0.5, steps=steps(tmp_path))
    store.close()


def test_who_is_in_the_way_is_named_in_a_schema_of_any_name(empty_postgres_url: str, tmp_path: Path) -> None:
    """The name was taken for a lower-case identifier, and the first attempt was the last one."""
    with psycopg.connect(empty_postgres_url, autocommit=True) as owner:
        owner.execute('CREATE SCHEMA "Odd Name"')
    url = f"{empty_postgres_url}?options=-csearch_path%3D%22Odd%5C%20Name%22"
    store = opened(url)
    migrations.upgrade(store)
    with holding(store, url) as expected, pytest.raises(MigrationBlocked) as refused:
        migrations.upgrade(store, seconds=0.5, steps=steps(tmp_path))
    store.close()

    assert expected in refused.value.message
    assert "holds event" in refused.value.message


@contextmanager
def as_a_role_with_a_schema(url: str) -> Iterator[str]:
    """Give the URL of a role that the default search path leads to a schema of its own first."""
    role = f"own_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN SUPERUSER; CREATE SCHEMA {role}")  # type: ignore[arg-type]
        try:
            yield url.replace("postgres@", f"{role}@")
        finally:
            owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")  # type: ignore[arg-type]


def test_an_upgrade_by_a_role_with_a_schema_of_its_name_is_made_where_the_ledger_is(
    empty_postgres_url: str, tmp_path: Path
) -> None:
    """Functions and tables were made in the role's schema; the former found no `head` there."""
    store = opened(empty_postgres_url)
    migrations.upgrade(store, steps=Steps(head="0001"))
    with as_a_role_with_a_schema(empty_postgres_url) as url:
        other = opened(url)
        migrations.upgrade(other, steps=steps(tmp_path))
        other.close()
        found = (migrations.current(store), tables(store))
        with store.reading() as connection:
            strays = connection.exec_driver_sql(
                "SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text LIKE 'own%%'"
            ).all()
    store.close()

    assert ("9999", (True, True)) == found
    assert [] == strays


def test_who_has_the_turn_is_named_to_a_role_with_a_schema_of_its_name(
    postgres_url: str, tmp_path: Path
) -> None:
    """Each of two roles took a turn of its own, at the same time."""
    with (
        as_a_role_with_a_schema(postgres_url) as url,
        psycopg.connect(postgres_url, application_name="another upgrade") as connection,
    ):
        connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext('public'))", (CLASS,))
        store = opened(url)
        with pytest.raises(MigrationBlocked, match=r"another upgrade.*the turn to upgrade"):
            migrations.upgrade(store, seconds=0.5, steps=steps(tmp_path))
        store.close()


def test_an_upgrade_takes_over_no_table_of_a_later_revision(empty_sql_url: str) -> None:
    """It was said that the ledger does not answer."""
    store = opened(empty_sql_url)
    migrations.upgrade(store, steps=Steps(head="0001"))
    with store.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE run_progress (title text)")
    with pytest.raises(NamesTaken, match=r"is at schema 0001, but .*: run_progress; none") as refused:
        migrations.upgrade(store)

    assert (6, ("run_progress",)) == (refused.value.exit_code, refused.value.names)
    assert "0001" == migrations.current(store)
    store.close()


@pytest.mark.parametrize("found", [["0000"], ["0003x"], [""], ["abc"], ["0003", "0004"], ["٠٠٠٤"]])
@pytest.mark.parametrize("command", ["upgrade", "check", "current"])
def test_what_no_version_has_written_is_no_revision(sqlite_url: str, found: list[str], command: str) -> None:
    """There was a traceback for most of them, and `abc` was taken for a later revision."""
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as other, other:
        other.execute("DELETE FROM cronledger_version")
        other.executemany("INSERT INTO cronledger_version VALUES (?)", [(each,) for each in found])
    refused = run_cli("--database-url", sqlite_url, "db", command)

    assert 6 == refused.exit_code
    assert f"at no schema of cronledger: its table cronledger_version says {found[0]!r}" in refused.stderr


def test_nobody_is_named_by_a_server_that_does_not_answer() -> None:
    store = opened("postgresql://nobody@127.0.0.1:1/nothing")

    assert "" == obstacles(store)
    store.close()


def test_a_running_cluster_does_not_stop_for_long_while_it_is_migrated(sql_url: str, tmp_path: Path) -> None:
    """Fault 61: `migrate` under load, with a lock held in its way for some seconds."""
    wanted = steps(tmp_path)
    store = opened(sql_url)

    def migrate() -> None:
        if store.kind == "postgres":
            with holding(store, sql_url), pytest.raises(MigrationBlocked):
                migrations.upgrade(store, seconds=3.0, steps=wanted)
        migrations.upgrade(store, steps=wanted)

    async def program() -> None:
        async with scheduler(sql_url, tmp_path).running():
            await asyncio.sleep(2)
            await asyncio.to_thread(migrate)
            await asyncio.sleep(2)
            await asyncio.to_thread(eventually, lambda: len(triggered(lines_of(sql_url), "quick")) >= 3)

    asyncio.run(program())
    lines = lines_of(sql_url)
    recorded = [datetime.fromisoformat(str(line["recorded_at"])) for line in lines]
    stops = [(later - earlier).total_seconds() for earlier, later in pairwise(recorded)]

    assert ("9999", (True, True)) == (migrations.current(store), tables(store))
    assert [] == problems(lines)
    assert 3 <= len(triggered(lines, "quick"))
    assert max(stops) < LONGEST_STOP_SECONDS
    store.close()


def upgrade_outdated(store: Store) -> None:
    """Upgrade a ledger that this version refuses as it is, and takes then."""
    with pytest.raises(SchemaOutdated):
        migrations.check(store)
    migrations.upgrade(store)
    migrations.check(store)


def test_progress_is_added_to_a_ledger_of_the_version_before(empty_sql_url: str) -> None:
    store = opened(empty_sql_url)
    migrations.upgrade(store, steps=Steps(head="0001"))
    store.ledger.append(plain("before"))
    with store.reading() as connection:
        had_it = inspect(connection).has_table("run_progress")
    upgrade_outdated(store)
    with store.reading() as connection:
        rows = progress.everything(connection)

    assert not had_it
    assert [] == rows
    assert 1 == store.ledger.head().position
    store.close()


def test_older_versions_leave_it_empty_which_process_an_instance_is(empty_sql_url: str) -> None:
    """One that has a row from before, and one that comes up beside newer ones and writes its row anew."""
    store = opened(empty_sql_url)
    migrations.upgrade(store, steps=Steps(head="0003"))
    row = instance(HERE, config_revision="r")
    older = {name: each for name, each in instances._columns(asdict(row)).items() if name != "process"}
    with store.writing() as connection:
        columns = {each["name"] for each in inspect(connection).get_columns("instance")}
        connection.execute(INSTANCE.insert(), older)
    upgrade_outdated(store)
    with store.writing() as connection:
        before = instances.known(connection)
        connection.execute(INSTANCE.delete())
        connection.execute(INSTANCE.insert(), older)
        beside = instances.known(connection)
        instances.register(connection, instance(HERE, config_revision="r", process="p"))
        newer = instances.known(connection)

    assert columns == set(older)
    assert [row] == before
    assert [row] == beside
    assert ["p"] == [each.process for each in newer]
    store.close()


def test_roles_may_do_with_progress_what_they_may_do_with_log_lines(empty_postgres_url: str) -> None:
    """An application whose owner upgrades goes on at once, without `db roles` being run again."""
    store = opened(empty_postgres_url)
    migrations.upgrade(store, steps=Steps(head="0001"))
    with psycopg.connect(empty_postgres_url, autocommit=True) as owner:
        for role in ('"Odd app"', '"odd reader"'):
            owner.execute(f"DROP ROLE IF EXISTS {role}")  # type: ignore[arg-type]
            owner.execute(f"CREATE ROLE {role}")  # type: ignore[arg-type]
        owner.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON log_line TO "Odd app"')
        owner.execute('GRANT SELECT ON log_line TO "odd reader"')
        migrations.upgrade(store)
        allowed = owner.execute(
            "SELECT r, p FROM unnest(ARRAY['Odd app', 'odd reader']) AS r, "
            "unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p "
            "WHERE has_table_privilege(r, 'run_progress', p) ORDER BY 1, 2"
        ).fetchall()
        for role in ('"Odd app"', '"odd reader"'):
            owner.execute(f"DROP OWNED BY {role}")  # type: ignore[arg-type]
            owner.execute(f"DROP ROLE {role}")  # type: ignore[arg-type]
    store.close()

    assert [
        ("Odd app", "DELETE"), ("Odd app", "INSERT"), ("Odd app", "SELECT"), ("Odd app", "UPDATE"),
        ("odd reader", "SELECT"),
    ] == allowed  # fmt: skip
