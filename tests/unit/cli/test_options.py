"""The global options and their variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from cronledger.cli.options import Output, output_of
from cronledger.config.reference import database_url
from cronledger.errors import UsageError


def test_its_own_variable_is_stronger_than_the_usual_one() -> None:
    environ = {"CRONLEDGER_DATABASE_URL": "sqlite:///own.db", "DATABASE_URL": "sqlite:///usual.db"}

    assert "sqlite:///own.db" == database_url(environ)


def test_an_empty_variable_is_not_set() -> None:
    assert "sqlite:///usual.db" == database_url(
        {"CRONLEDGER_DATABASE_URL": "", "DATABASE_URL": "sqlite:///usual.db"}
    )


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("postgresql://ann:s3cret@db/jobs\n")
    environ = {"CRONLEDGER_DATABASE_URL_FILE": str(file), "DATABASE_URL": "sqlite:///usual.db"}

    assert "postgresql://ann:s3cret@db/jobs" == database_url(environ)


def test_a_secret_that_is_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="both DATABASE_URL and DATABASE_URL_FILE"):
        database_url({"DATABASE_URL": "sqlite:///a.db", "DATABASE_URL_FILE": "/nowhere"})


def test_a_missing_file_of_a_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"DATABASE_URL_FILE: .*missing cannot be read"):
        database_url({"DATABASE_URL_FILE": str(tmp_path / "missing")})


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], Output.TABLE),
        (["-o", "json", "x"], Output.JSON),
        (["x", "--json"], Output.JSON),
        (["x", "-oyaml"], Output.YAML),
        (["x", "--output=jsonl"], Output.JSONL),
        (["-o"], Output.TABLE),
        (["-o", "xml"], Output.TABLE),
    ],
)
def test_the_form_of_an_error_follows_what_was_asked_for(args: list[str], expected: Output) -> None:
    assert expected == output_of({}, args)


def test_the_form_may_come_from_the_environment() -> None:
    assert Output.NAME == output_of({"CRONLEDGER_OUTPUT": "name"}, [])
    assert Output.JSON == output_of({"CRONLEDGER_OUTPUT": "name"}, ["--json"])
