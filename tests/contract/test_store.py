"""Opening a store, the tables around the ledger, and what goes wrong with databases."""

from __future__ import annotations

import os
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event

import psycopg
import pytest
from sqlalchemy import insert, inspect, text
from sqlalchemy.exc import IntegrityError

from cronledger import migrations
from cronledger.clock import SystemClock
from cronledger.domain.ids import Position, Term
from cronledger.entropy import SystemEntropy
from cronledger.errors import LedgerDamaged, LedgerUnreachable, SchemaOutdated, UsageError
from cronledger.ledger.database import Store, open_store
from cronledger.ledger.failures import safe_url
from cronledger.ledger.missing_tables import NoSuchTable
from cronledger.ledger.schema import LOG_LINE
from cronledger.ledger.sqlite import require_sqlite
from cronledger.migrations.obstacles import NamesTaken, NoSuchSchema
from cronledger.projections import fold, tables
from tests.conftest import opened
from tests.events import HERE, plain, trigger
from tests.waiting import LIMIT_SECONDS, eventually

SECOND = timedelta(seconds=1)


# --- opening --------------------------------------------------------------------------------------------


def test_a_fresh_ledger_is_at_the_newest_schema(store: Store) -> None:
    migrations.check(store)

    assert migrations.HEAD == migrations.current(store)


def test_upgrading_twice_changes_nothing(store: Store) -> None:
    lineage = store.ledger.head().lineage
    store.ledger.append(plain("a"))
    migrations.upgrade(store)

    assert (1, lineage) == (store.ledger.head().position, store.ledger.head().lineage)


def test_a_database_without_a_schema_is_outdated(empty_sql_url: str) -> None:
    store = opened(empty_sql_url)
    with pytest.raises(SchemaOutdated, match="has no cronledger schema"):
        migrations.check(store)
    with pytest.raises(SchemaOutdated):
        store.ledger.append(plain("a"))
    with pytest.raises(SchemaOutdated):
        store.ledger.head()

    assert migrations.current(store) is None
    store.close()


FOREIGN = ["event", "instance", "inbox", "run_progress", "leadership"]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_table_of_somebody_else_is_not_taken_over(empty_sql_url: str, name: str) -> None:
    """An application's own `event` was given the triggers that make the ledger immutable."""
    store = opened(empty_sql_url)
    with store.writing() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {name} (id integer, title text)")
        connection.exec_driver_sql(f"INSERT INTO {name} VALUES (1, 'concert')")
    with pytest.raises(NamesTaken, match=f"no cronledger schema, but .* as one: {name}; none") as refused:
        migrations.upgrade(store)
    with store.writing() as connection:
        found = inspect(connection).get_table_names()
        changed = connection.exec_driver_sql(f"UPDATE {name} SET title = 'x'").rowcount

    assert (6, (name,)) == (refused.value.exit_code, refused.value.names)
    assert ([name], 1) == (found, changed)
    assert migrations.current(store) is None
    store.close()


def test_a_ledger_that_has_lost_its_revision_is_not_made_anew(sql_url: str) -> None:
    """It was an error of the database about the head's key."""
    store = opened(sql_url)
    store.ledger.append(plain("a"))
    with store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM cronledger_version")
    with pytest.raises(NamesTaken, match="event, event_body, head"):
        migrations.upgrade(store)

    assert 1 == store.ledger.head().position
    store.close()


def test_a_ledger_lives_beside_other_tables_in_a_schema_of_its_own(empty_postgres_url: str) -> None:
    with psycopg.connect(empty_postgres_url, autocommit=True) as owner:
        owner.execute("CREATE TABLE event (title text); CREATE SCHEMA cron")
        beside = opened(f"{empty_postgres_url}?options=-csearch_path%3Dcron%2Cpublic")
        with pytest.raises(NamesTaken):
            migrations.upgrade(beside)
        own = opened(f"{empty_postgres_url}?options=-csearch_path%3Dcron")
        migrations.upgrade(own)
        own.ledger.append(plain("a"))
        changed = owner.execute("DELETE FROM public.event").rowcount
    own.close()
    beside.close()

    assert 0 == changed


def test_a_schema_that_is_not_there_is_named(empty_postgres_url: str) -> None:
    """It was said to run the command that had just been run."""
    store = opened(f"{empty_postgres_url}?options=-csearch_path%3Dnosuch")
    with pytest.raises(NoSuchSchema, match=r"none of the search path \(nosuch\) is there") as refused:
        migrations.upgrade(store)

    assert 6 == refused.value.exit_code
    assert "CREATE SCHEMA" in str(refused.value.hint)
    store.close()


@pytest.mark.parametrize(
    ("table", "todo"),
    [
        ("head", "restore the database from a backup"),
        ("event_body", "restore the database from a backup"),
        ("inbox", "restore the database from a backup"),
        ("run_history", "run `cronledger projections rebuild`"),
        ("checkpoint", "run `cronledger projections rebuild`"),
    ],
)
def test_a_table_that_was_dropped_is_named(sql_url: str, table: str, todo: str) -> None:
    """It was said that there was no schema, and by `db upgrade` that it was the newest one."""
    store = opened(sql_url)
    store.ledger.append(plain("a"))
    with store.writing() as connection:
        connection.exec_driver_sql(f"DROP TABLE {table}")
    with (
        pytest.raises(NoSuchTable, match=f"has no table {table}$") as refused,
        store.reading() as connection,
    ):
        connection.exec_driver_sql(f"SELECT * FROM {table}")

    assert refused.value.hint is not None
    assert refused.value.hint.startswith(todo)
    assert (6, table) == (refused.value.exit_code, refused.value.table)
    store.close()


@pytest.mark.parametrize("table", sorted(tables.METADATA.tables))
def test_a_view_that_was_dropped_is_made_anew(sql_url: str, table: str) -> None:
    store = opened(sql_url)
    store.ledger.append(trigger())
    fold.catch_up(store)
    with store.writing() as connection:
        connection.exec_driver_sql(f"DROP TABLE {table}")
    with pytest.raises(NoSuchTable):
        fold.check(store)
    fold.rebuild(store)
    with store.reading() as connection:
        indexes = {each["name"] for each in inspect(connection).get_indexes(table)}

    assert [] == fold.check(store)
    assert {index.name for index in tables.METADATA.tables[table].indexes} == indexes
    store.close()


def test_upgrades_at_the_same_time_run_one_after_the_other(empty_sql_url: str) -> None:
    stores = [opened(empty_sql_url) for _ in range(3)]
    migrations.current(stores[0])
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(migrations.upgrade, stores))

    assert [migrations.HEAD] * 3 == [migrations.current(store) for store in stores]
    for store in stores:
        store.close()


@pytest.mark.parametrize(
    "url", ["mysql://x/y", "cronledger.db", "", "sqlite://", "sqlite:///:memory:", "postgresql://:x"]
)
def test_a_url_that_means_nothing_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError):
        opened(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgres_is_understood(postgres_url: str, scheme: str) -> None:
    store = opened(scheme + postgres_url[len("postgresql") :])

    assert ("postgres", 0) == (store.kind, store.ledger.head().position)
    store.close()


def test_no_message_shows_a_password() -> None:
    store = opened("postgresql://ann:s3cret@127.0.0.1:1/jobs?sslpassword=s3cret")
    problems = []
    for action in (
        store.ledger.head,
        lambda: store.ledger.append(plain("a")),
        lambda: migrations.current(store),
    ):
        with pytest.raises(LedgerUnreachable) as refused:
            action()
        problems.append(str(refused.value))

    assert 3 == len(problems)
    assert "s3cret" not in " ".join([*problems, store.url, safe_url("postgresql://a:s3cret@h/d")])
    assert "s3cret" not in safe_url("postgresql://ann:s3cret@[")
    store.close()


UNCLEAR = [
    "postgresql://app:p@CANARY@127.0.0.1:1/jobs",
    "postgresql://app:p@CAN:ARY@127.0.0.1:1/jobs",
    "postgresql://app:p@c/CANARY@127.0.0.1:1/jobs",
    "postgresql://app@there:p@c?CANARY@127.0.0.1:1/jobs",
]


@pytest.mark.parametrize("url", UNCLEAR)
def test_a_password_with_an_at_sign_is_refused_without_being_shown(url: str) -> None:
    """What followed its first @ was shown as the host, which "does not answer"."""
    with pytest.raises(UsageError, match="unclear which @ ends the password") as refused:
        opened(url)

    assert "write @ in a password as %40" == refused.value.hint
    assert not [said for said in (str(refused.value), safe_url(url)) if "CANARY" in said or "ARY" in said]


def test_an_at_sign_that_is_no_part_of_a_password_is_no_matter() -> None:
    urls = ["postgresql://app@there:p@db/jobs", "postgresql://app:p%40@db/a", "sqlite:////srv/a:b@c@d/x.db"]

    assert not [url for url in urls if "cannot be read" in safe_url(url)]


NAMES = ["shop?a", "100%41", "a#b@c", "für alle"]


@pytest.mark.parametrize("name", NAMES)
def test_a_ledger_is_in_its_file_whatever_the_folder_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What stood before a `?` was the file: shared by several ledgers, and for everybody to read."""
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    store = opened("sqlite:///ledger.db")
    migrations.upgrade(store)
    store.close()

    assert [folder] == list(tmp_path.iterdir())
    assert 0 < (folder / "ledger.db").stat().st_size


@pytest.mark.parametrize("name", ["shop?a/ledger.db", "ledger?.db", "shop?a=b/ledger.db"])
def test_a_url_that_would_be_cut_at_a_question_mark_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"a \? in it"):
        opened(f"sqlite:///{tmp_path}/{name}")

    assert [] == list(tmp_path.iterdir())


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnreachable, match=r"folder .* does not exist"):
        opened(f"sqlite:///{tmp_path}/no/ledger.db")

    assert [] == list(tmp_path.iterdir())


def test_a_missing_file_is_only_made_when_asked(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    with pytest.raises(LedgerUnreachable, match="there is no ledger"):
        open_store(url, instance=HERE, clock=SystemClock(), entropy=SystemEntropy())

    assert not (tmp_path / "new.db").exists()


def test_a_new_file_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    store = opened(f"sqlite:///{tmp_path}/new.db")
    migrations.upgrade(store)
    os.umask(before)

    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    store.close()


def test_a_file_that_is_no_database_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"not a database, and long enough to look like one" * 100)
    store = opened(f"sqlite:///{path}")

    with pytest.raises(LedgerDamaged, match="not a usable database"):
        store.ledger.head()
    store.close()


def test_an_old_sqlite_is_refused() -> None:
    require_sqlite((3, 37, 0))

    with pytest.raises(LedgerUnreachable, match=r"3\.36\.0 is too old"):
        require_sqlite((3, 36, 0))


def test_a_file_that_may_not_be_written_is_one_clear_sentence(sqlite_url: str) -> None:
    store = opened(sqlite_url)
    with store.reading() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(LedgerUnreachable, match="may not be written by this user"), store.writing() as again:
        again.exec_driver_sql("DELETE FROM inbox")
    store.close()


def test_a_forked_child_may_not_use_the_ledger(sql_url: str) -> None:
    store = opened(sql_url)
    store.ledger.append(plain("a"))
    child = os.fork()
    if child == 0:
        os._exit(_uses(store))
    _, status = os.waitpid(child, 0)

    assert 7 == os.waitstatus_to_exitcode(status)
    assert 2 == store.ledger.append(plain("b")).last
    store.close()


def test_a_forked_child_that_closes_the_ledger_leaves_it_to_its_parent(sql_url: str) -> None:
    """On PostgreSQL it said goodbye to the server in its parent's name."""
    store = opened(sql_url)
    store.ledger.append(plain("a"))
    child = os.fork()
    if child == 0:
        store.close()
        os._exit(0)
    os.waitpid(child, 0)

    assert 1 == store.ledger.head().position
    assert 2 == store.ledger.append(plain("b")).last
    store.close()


def _uses(store: Store) -> int:
    for use in (store.ledger.head, lambda: store.ledger.append(plain("c"))):
        try:
            use()
        except LedgerUnreachable:
            continue
        return 1
    return 7


def test_stores_of_one_memory_name_are_one_ledger_until_the_last_is_closed() -> None:
    one, two, other = (opened(f"memory://shared{n}") for n in (1, 1, 2))
    one.ledger.append(plain("a"))
    seen = (two.ledger.head().position, other.ledger.head().position)
    for store in (one, two, other):
        store.close()
        store.close()
    again = opened("memory://shared1")

    assert (1, 0, 0) == (*seen, again.ledger.head().position)
    again.close()


# --- transactions ---------------------------------------------------------------------------------------


def test_what_is_written_is_seen_after_the_end(store: Store) -> None:
    with store.writing(relaxed=True) as connection:
        connection.execute(insert(LOG_LINE), LINE)
    with store.reading() as connection:
        found = connection.execute(text("SELECT count(*) FROM log_line")).scalar_one()

    assert 1 == found


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(IntegrityError), store.writing() as connection:
        connection.execute(insert(LOG_LINE), [LINE, LINE | {"message": None}])
    with store.reading() as connection:
        found = connection.execute(text("SELECT count(*) FROM log_line")).scalar_one()

    assert 0 == found


def test_a_reader_sees_one_moment(sql_url: str) -> None:
    store = opened(sql_url)
    count = text("SELECT count(*) FROM event")
    with store.reading() as connection:
        before = connection.execute(count).scalar_one()
        store.ledger.append(plain("a"))
        after = connection.execute(count).scalar_one()

    assert (0, 0) == (before, after)
    store.close()


def test_a_reader_that_outlives_the_ledger_leaves_no_connection(sql_url: str) -> None:
    store = opened(sql_url)
    with store.reading() as connection:
        connection.execute(text("SELECT 1"))
        used = connection.connection.driver_connection
        assert used
        store.close()

    with pytest.raises((sqlite3.ProgrammingError, psycopg.OperationalError), match="closed"):
        used.cursor().execute("SELECT 1")


def test_writers_of_one_process_take_turns(store: Store) -> None:
    def write(number: int) -> None:
        with store.writing() as connection:
            connection.execute(insert(LOG_LINE), LINE)
        store.ledger.append(plain(f"s{number}"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(40)))
    with store.reading() as connection:
        found = connection.execute(text("SELECT count(*) FROM log_line")).scalar_one()

    assert (40, 40) == (found, store.ledger.head().position)


LINE = {"at": 1, "level": "INFO", "logger": "x", "instance": "x", "message": "x"}


# --- connections that die -------------------------------------------------------------------------------


def test_an_append_over_a_connection_that_died_while_nobody_used_it_has_another_one(
    postgres_url: str,
) -> None:
    """Whoever appends now and then, and only once, met the end of every session: a trigger was refused."""
    store = opened(postgres_url)
    store.ledger.append(plain("a"))
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"SELECT pg_terminate_backend(pid) {others}")
        have_ended = eventually(lambda: connection.execute(f"SELECT count(*) {others}").fetchone() == (0,))
    answer = store.ledger.append(plain("b"))
    store.close()

    assert have_ended
    assert 2 == answer.last


def test_the_settings_of_a_session_are_ours(postgres_url: str) -> None:
    store = opened(postgres_url)
    names = ["synchronous_commit", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]
    with store.reading() as connection:
        found = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]
    with store.writing(relaxed=True) as connection:
        relaxed = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()

    assert ["on", "10s", "5s", "10s", "off"] == [*found, relaxed]
    store.close()


def test_what_is_set_to_read_only_is_not_written_by_whoever_has_read_before(postgres_url: str) -> None:
    """The setting for the database was overruled by the second transaction of every connection."""
    server, _, database = postgres_url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")  # type: ignore[arg-type]
    store = opened(postgres_url)
    with store.reading() as connection:
        connection.exec_driver_sql("SELECT 1")
    with pytest.raises(LedgerUnreachable, match="may not be written"), store.writing() as connection:
        connection.execute(LOG_LINE.delete())
    store.close()


def test_an_application_role_can_append_but_not_forge(postgres_url: str) -> None:
    role = f"app_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(GRANTS.format(role=role))
    store = opened(postgres_url.replace("postgres@", f"{role}@"))
    answer = store.ledger.append(plain("a"))
    store.ledger.renew(Term(0), SECOND)

    assert 1 == answer.last
    assert [1] == [each.position for each in store.ledger.read_all(Position(0), 10)]
    for statement in FORGERIES:
        with pytest.raises(LedgerUnreachable, match="may not be used so"), store.writing() as connection:
            connection.exec_driver_sql(statement)
    store.close()
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


GRANTS = (
    "CREATE ROLE {role} LOGIN; GRANT SELECT ON event, event_body, head TO {role}; "
    "GRANT EXECUTE ON FUNCTION cronledger_append(text, text), cronledger_renew(bigint, bigint) TO {role}"
)
FORGERIES = [
    "INSERT INTO event_body VALUES (9, '', '')",
    "UPDATE head SET term = 9",
    "UPDATE event SET job = 'x'",
    "DELETE FROM event",
    "TRUNCATE event",
    "ALTER TABLE event DISABLE TRIGGER immutable",
    "SET session_replication_role = replica",
]


# --- hints ----------------------------------------------------------------------------------------------


def test_an_append_that_concerns_others_wakes_them(ledger_url: str) -> None:
    here, there = opened(ledger_url), opened(ledger_url)
    ready, woken = Event(), Event()
    listener = there.wake(lambda: (ready.set(), woken.set()))
    if here.kind == "postgres":
        assert ready.wait(LIMIT_SECONDS)
    woken.clear()
    here.ledger.append(trigger())
    was_woken = woken.wait(LIMIT_SECONDS)
    listener.close()

    assert was_woken
    here.close()
    there.close()


def test_only_what_can_be_computed_again_is_committed_without_waiting_for_the_disk(sqlite_url: str) -> None:
    store = opened(sqlite_url)
    seen = []
    with store.writing(relaxed=True) as connection:
        seen.append(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
    with pytest.raises(ZeroDivisionError), store.writing(relaxed=True):
        _ = 1 / 0
    for _ in range(2):
        with store.writing() as connection:
            seen.append(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
    store.close()

    assert [1, 2, 2] == seen
