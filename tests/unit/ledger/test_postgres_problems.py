"""What the errors of PostgreSQL mean."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from cronledger.errors import CronledgerError, LedgerDamaged, LedgerUnreachable
from cronledger.ledger.postgres_pool import problem

URL = "postgresql://ann:***@db/jobs"


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


@pytest.mark.parametrize("error", [psycopg.Error, psycopg.DatabaseError, psycopg.NotSupportedError])
def test_an_error_without_a_code_is_told_in_the_drivers_words(error: type[psycopg.Error]) -> None:
    told = problem(URL, error("it went s3cret\nand more"), secret="s3cret")

    assert told is not None
    assert f"the ledger {URL} answers with an error: it went ***" == told.message


@pytest.mark.parametrize("state", ["22021", "23505"])
def test_an_error_about_a_value_is_a_mistake_of_ours(state: str) -> None:
    assert problem(URL, errors.lookup(state)("words")) is None
