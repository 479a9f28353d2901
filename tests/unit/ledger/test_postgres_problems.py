"""What the errors of PostgreSQL mean."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from cronledger.errors import CronledgerError, LedgerDamaged, LedgerUnreachable, SchemaOutdated
from cronledger.ledger.postgres_pool import problem
from cronledger.ledger.schema import REVISION

URL = "postgresql://ann:***@db/jobs"
NO_SCHEMA = f"the database {URL} has no cronledger schema; this version needs {REVISION}"


@pytest.mark.parametrize(
    ("state", "meaning"),
    [
        ("08006", LedgerUnreachable),
        ("0A000", LedgerUnreachable),
        ("42703", LedgerUnreachable),
        ("57014", LedgerUnreachable),
        ("P0001", LedgerUnreachable),
        ("P0002", LedgerDamaged),
        ("XX000", LedgerUnreachable),
        ("XX001", LedgerDamaged),
        ("XX002", LedgerDamaged),
    ],
)
def test_whatever_the_server_answers_means_something(state: str, meaning: type[CronledgerError]) -> None:
    assert meaning is type(problem(URL, errors.lookup(state)("words")))


@pytest.mark.parametrize(
    ("state", "words", "told"),
    [
        ("42P01", 'relation "run_history" does not exist', f"the database {URL} has no table run_history"),
        ("42P01", "Relation »cron.event« existiert nicht", f"the database {URL} has no table event"),
        ("42P01", "la relation « event » n'existe pas", f"the database {URL} has no table event"),
        ("42P01", 'relation "cronledger_version" does not exist', NO_SCHEMA),
        ("42P01", "words", NO_SCHEMA),
        ("42883", 'function "cronledger_append" does not exist', NO_SCHEMA),
        ("3F000", "no schema has been selected to create in", NO_SCHEMA),
    ],
)  # fmt: skip
def test_a_table_that_is_not_there_is_named_in_every_language(state: str, words: str, told: str) -> None:
    found = problem(URL, errors.lookup(state)(words))

    assert isinstance(found, SchemaOutdated)
    assert told == found.message


@pytest.mark.parametrize("error", [psycopg.Error, psycopg.DatabaseError, psycopg.NotSupportedError])
def test_an_error_without_a_code_is_told_in_the_drivers_words(error: type[psycopg.Error]) -> None:
    told = problem(URL, error("it went s3cret\nand more"), secret="s3cret")

    assert told is not None
    assert f"the ledger {URL} answers with an error: it went ***" == told.message


@pytest.mark.parametrize("state", ["22021", "23505"])
def test_an_error_about_a_value_is_a_mistake_of_ours(state: str) -> None:
    assert problem(URL, errors.lookup(state)("words")) is None
