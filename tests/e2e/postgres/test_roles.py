"""What each role may do in a ledger, statement by statement."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors, sql
from sqlalchemy.engine import make_url

from cronledger.migrations import roles
from tests.checker import problems, triggered
from tests.cli_runner import run_cli
from tests.conftest import lines_of
from tests.contract.test_scheduler import scheduler
from tests.e2e.postgres.conftest import Opener
from tests.events import election, kinds, plain, positions, submit, trigger
from tests.waiting import eventually

APP, READER = "ledger_app", "ledger_reader"


class Roles:
    """The addresses of one ledger for its owner, an application and a reader."""

    def __init__(self, url: str) -> None:
        self.owner = url
        self.app = str(make_url(url).set(username=APP))
        self.reader = str(make_url(url).set(username=READER))


@pytest.fixture
def as_role(postgres_url: str, store_at: Opener) -> Iterator[Roles]:
    store_at(postgres_url).ledger.append(plain("first"))
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        for role in (APP, READER):
            owner.execute(
                sql.SQL(
                    "DO $$BEGIN CREATE ROLE {} LOGIN;"
                    " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END$$"
                ).format(sql.Identifier(role))
            )
        for statement in roles.statements(schema="public", app=APP, reader=READER):
            owner.execute(statement)  # type: ignore[arg-type]
    yield Roles(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        for role in (APP, READER):
            owner.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))


def test_the_applications_role_appends_leads_renews_and_reads(as_role: Roles, store_at: Opener) -> None:
    store = store_at(as_role.app)
    elected = submit(store.ledger, election(fence=0, expected=0, leader=store.ledger.instance))
    renewed = store.ledger.renew(1, election(fence=0, expected=0).takeover.lease)  # type: ignore[arg-type, union-attr]
    store.ledger.append(trigger())

    assert ["Appended"] == kinds(elected)
    assert 1 == renewed.term
    assert [1, 2, 3] == positions(store.ledger)


def test_an_instance_serves_as_the_applications_role(as_role: Roles, tmp_path: Path) -> None:
    async def program() -> None:
        async with scheduler(as_role.app, tmp_path).running():
            await asyncio.sleep(3)
            await asyncio.to_thread(eventually, lambda: triggered(lines_of(as_role.owner), "quick"))

    asyncio.run(program())
    gc.collect()
    lines = lines_of(as_role.owner)

    assert [] == problems(lines)
    assert triggered(lines, "quick")


def test_a_reader_sees_everything_up_to_the_head(as_role: Roles, store_at: Opener) -> None:
    """It may not write the views, so it folds what they lack in memory."""
    store_at(as_role.app).ledger.append(trigger())
    status = run_cli("--database-url", as_role.reader, "infra", "jobs", "status", "tidy", "--json")
    exported = run_cli("--database-url", as_role.reader, "ledger", "export")

    assert (0, 1) == (status.exit_code, status.json["jobs"][0]["triggered"])
    assert (0, 2) == (exported.exit_code, len(exported.stdout.splitlines()))


FORBIDDEN_TO_BOTH = [
    "INSERT INTO event SELECT * FROM event",
    "UPDATE event SET job = 'x'",
    "DELETE FROM event",
    "TRUNCATE event",
    "UPDATE event_body SET body = '{}'",
    "DELETE FROM event_body",
    "TRUNCATE event_body",
    "UPDATE head SET term = 9",
    "UPDATE head SET lease_until = NULL",
    "DELETE FROM head",
    "ALTER TABLE event DISABLE TRIGGER ALL",
    "DROP TRIGGER immutable ON event",
    "ALTER TABLE event ADD COLUMN x int",
    "DROP TABLE event",
    "CREATE TABLE public.event2 (x int)",
    "CREATE FUNCTION public.cronledger_append(text) RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
    "DROP FUNCTION cronledger_append(text, text)",
    "ALTER FUNCTION cronledger_append(text, text) SET search_path = pg_temp",
    "CREATE OR REPLACE FUNCTION cronledger_renew(bigint, bigint) RETURNS text LANGUAGE sql AS 'SELECT 1'",
    "SELECT cronledger_special('{}', '[]', 1, 'x', 1, 1, true)",
    "SET session_replication_role = replica",
    "UPDATE cronledger_version SET version_num = 'x'",
]
FORBIDDEN_TO_READERS = [
    "SELECT cronledger_append('{}', '[]')",
    "SELECT cronledger_renew(1, 1)",
    "DELETE FROM instance",
    "INSERT INTO inbox (id, written_at, job, parameters, actor) VALUES ('x', 1, 'x', '{}', '{}')",
    "DELETE FROM job_status",
    "SELECT * FROM head FOR UPDATE",
]


def test_what_would_change_history_is_refused_to_every_role_but_the_owner(as_role: Roles) -> None:
    allowed = [
        (role, statement)
        for role, url in (("app", as_role.app), ("reader", as_role.reader))
        for statement in FORBIDDEN_TO_BOTH
        if refusal(url, statement) != "42501"
    ]

    assert [] == allowed


def test_a_reader_may_not_write_anything(as_role: Roles) -> None:
    allowed = [each for each in FORBIDDEN_TO_READERS if refusal(as_role.reader, each) != "42501"]

    assert [] == allowed


def test_even_the_owner_and_a_would_be_replica_cannot_change_an_event(as_role: Roles) -> None:
    statements = ["UPDATE event SET job = 'x'", "DELETE FROM event", "TRUNCATE event", "TRUNCATE event_body"]
    with psycopg.connect(as_role.owner, autocommit=True) as owner:
        for setting in ("origin", "replica"):
            owner.execute(sql.SQL("SET session_replication_role = {}").format(sql.Literal(setting)))
            for statement in statements:
                with pytest.raises(psycopg.Error, match="the ledger is immutable") as refused:
                    owner.execute(statement)  # type: ignore[arg-type]

                assert "CL002" == refused.value.sqlstate


def test_the_applications_role_may_use_no_sequence_but_the_ledgers(as_role: Roles) -> None:
    """The schema may be shared: whatever else is in it belongs to somebody else."""
    with psycopg.connect(as_role.owner, autocommit=True) as owner:
        owner.execute("CREATE SEQUENCE invoice_number")
        for statement in roles.statements(schema="public", app=APP, reader=READER):
            owner.execute(statement)  # type: ignore[arg-type]
    logged = "INSERT INTO log_line (at, level, logger, instance, message) VALUES (1, 'INFO', 'x', 'x', 'x')"

    assert "42501" == refusal(as_role.app, "SELECT nextval('invoice_number')")
    assert refusal(as_role.app, logged) is None


def test_nothing_that_a_role_makes_in_its_own_schema_deceives_the_ledgers_functions(as_role: Roles) -> None:
    """Temporary tables and functions shadow others only for those who look in pg_temp first."""
    deceit = """
        CREATE TEMP TABLE head (LIKE public.head);
        INSERT INTO pg_temp.head
        SELECT id, 999, recorded_at, 999, leader, lease_until, epoch, lineage, min_writer FROM public.head;
        CREATE TEMP TABLE event (LIKE public.event);
        CREATE TEMP TABLE event_body (LIKE public.event_body);
        CREATE FUNCTION pg_temp.cronledger_special(jsonb, json, bigint, text, bigint, bigint, boolean)
        RETURNS jsonb LANGUAGE sql AS $$SELECT '[]'::jsonb$$;
        CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz
        LANGUAGE sql AS $$SELECT 'epoch'::timestamptz$$;
        SET search_path = pg_temp, public
    """
    request = '{"instance": "x", "notify": false, "parts": []}'
    with psycopg.connect(as_role.app, autocommit=True) as app:
        app.execute(deceit)
        row = app.execute("SELECT public.cronledger_append(%s, '[]')::jsonb", (request,)).fetchone()
        untouched = app.execute("SELECT position, term FROM public.head").fetchone()

    assert row is not None
    assert 1 == row[0]["before"]
    assert row[0]["clock"] > 10**15
    assert (1, 0) == untouched


def test_the_statements_are_printed_for_the_owner_to_run() -> None:
    printed = run_cli("db", "roles", "--app-role", 'odd"name', "--reader-role", READER)

    assert 0 == printed.exit_code
    assert 'TO "odd""name";' in printed.stdout
    assert f'TO "{READER}";' in printed.stdout


def refusal(url: str, statement: str) -> str | None:
    """Return the code by which a statement is refused; None if it is not."""
    with psycopg.connect(url) as connection:
        try:
            connection.execute(statement)  # type: ignore[arg-type]
        except (errors.Error, psycopg.Error) as error:
            return error.sqlstate
        finally:
            connection.rollback()
    return None
