"""The tables that the built-in jobs expect are those that are created."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, TypeDecorator, inspect
from sqlalchemy.types import TypeEngine

from cronledger.extensions.tables import COLUMNS, KEYS
from cronledger.migrations import application
from cronledger.migrations.application.runner import VERSION_TABLE


def plain(kind: Any) -> type[TypeEngine[Any]]:
    """Return the type that a column has without what Python adds to it."""
    return type(kind.impl_instance if isinstance(kind, TypeDecorator) else kind)


def test_the_database_is_at_head(app_db: Engine) -> None:
    assert application.HEAD == application.current(app_db)


def test_every_table_that_a_job_may_ask_for_is_created_and_no_other(app_db: Engine) -> None:
    assert {*COLUMNS, VERSION_TABLE} == set(inspect(app_db).get_table_names())


@pytest.mark.parametrize("name", COLUMNS)
def test_a_table_has_the_columns_that_jobs_know(app_db: Engine, name: str) -> None:
    there = {column["name"]: column["type"].as_generic() for column in inspect(app_db).get_columns(name)}

    assert set(COLUMNS[name]) == set(there)
    assert [] == [key for key, kind in COLUMNS[name].items() if not isinstance(there[key], plain(kind))]


@pytest.mark.parametrize("name", COLUMNS)
def test_a_row_is_identified_by_what_jobs_take_for_its_key(app_db: Engine, name: str) -> None:
    key = KEYS.get(name, next(iter(COLUMNS[name])))

    assert [key] == inspect(app_db).get_pk_constraint(name)["constrained_columns"]
