from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
import pytest
from sqlalchemy import MetaData, create_engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from cronledger.domain.job import JobState
from cronledger.domain.leadership import TermState
from cronledger.domain.run import RunState
from cronledger.errors import LedgerDamaged
from cronledger.projections.rows import Rows
from cronledger.projections.step_state import StepRow
from cronledger.projections.tables import JOB_STATUS, LEADERSHIP, METADATA, RUN_HISTORY, STEP_HISTORY


class Colour(StrEnum):
    RED = "red"


class Part(msgspec.Struct, frozen=True):
    at: datetime


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    number: int
    since: datetime | None = None
    colour: Colour | None = None
    is_new: bool | None = None
    parts: tuple[Part, ...] = ()
    anything: Any = None
    facts: dict[str, Any] = {}


NOON = datetime(2026, 1, 1, 12, 0, 0, 7, tzinfo=UTC)
FULL = Thing(
    name="a",
    number=2**60,
    since=NOON,
    colour=Colour.RED,
    is_new=True,
    parts=(Part(NOON),),
    anything=[1, None],
    facts={"b": 1, "a": {"c": 0.5}},
)


def things() -> Rows[Thing]:
    return Rows(Thing, "thing", MetaData(), key=("name", "number"))


def test_a_struct_lies_in_columns_of_plain_values() -> None:
    row = things().dump(FULL)

    assert (
        "a",
        2**60,
        1_767_268_800_000_007,
        "red",
        1,
        '[{"at":"2026-01-01T12:00:00.000007Z"}]',
        "[1,null]",
        '{"a":{"c":0.5},"b":1}',
    ) == row


@pytest.mark.parametrize("thing", [FULL, Thing(name="", number=0), Thing(name="x", number=-1, is_new=False)])
def test_a_struct_comes_back_as_it_was(thing: Thing) -> None:
    rows = things()

    assert thing == rows.load(rows.dump(thing))
    assert (thing.name, thing.number) == rows.key_of(thing)


def test_rows_are_put_found_replaced_and_only_added_where_nothing_stands() -> None:
    rows = things()
    other = msgspec.structs.replace(FULL, name="b")
    newer = msgspec.structs.replace(FULL, colour=None)
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        rows.table.create(connection)
        rows.put(connection, [FULL, other])
        rows.put(connection, [newer])
        rows.add(connection, [FULL, Thing(name="c", number=1)])
        found = rows.find(connection, [("a", 2**60), ("c", 1), ("nobody", 0)])
        everything = rows.read(connection, rows.select().order_by(rows.table.c.name))
        nothing = rows.find(connection, [])
        rows.put(connection, [])
    engine.dispose()

    assert {("a", 2**60): newer, ("c", 1): Thing(name="c", number=1)} == found
    assert [newer, other, Thing(name="c", number=1)] == everything
    assert {} == nothing


@pytest.mark.parametrize(
    ("name", "value"), [("colour", "bogus"), ("since", 2**63 - 1), ("parts", "{"), ("parts", "5")]
)
def test_a_row_that_stands_for_nothing_says_so(name: str, value: object) -> None:
    rows = things()
    row = list(rows.dump(FULL))
    row[rows.names.index(name)] = value
    with pytest.raises(LedgerDamaged, match=f"view thing cannot be read: its {name} is {value!r}") as caught:
        rows.load(row)

    assert "cronledger projections rebuild" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("rows", "struct"),
    [(JOB_STATUS, JobState), (RUN_HISTORY, RunState), (STEP_HISTORY, StepRow), (LEADERSHIP, TermState)],
)
def test_a_view_has_a_column_for_every_field_of_its_state(rows: Rows[Any], struct: Any) -> None:
    assert list(struct.__struct_fields__) == [column.name for column in rows.table.columns]


def test_instants_are_numbers_and_tables_are_strict() -> None:
    for table in METADATA.sorted_tables:
        assert "STRICT" in str(CreateTable(table).compile(dialect=sqlite.dialect()))
        on_postgres = str(CreateTable(table).compile(dialect=postgresql.dialect()))
        assert "TIMESTAMP" not in on_postgres
        for column in table.columns:
            if column.name.endswith("_at"):
                assert f"{column.name} BIGINT" in on_postgres
