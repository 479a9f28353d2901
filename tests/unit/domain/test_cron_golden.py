"""Stored fire times near jumps of the clock, decided once by the oracle of the property tests."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import groupby
from pathlib import Path

import pytest

from cronledger.domain.cron import parse
from cronledger.domain.definition import Dst, Fold, Gap
from cronledger.domain.zone import zone
from tests.golden.cron.generate import COLUMNS, JUMPS, cases_near

TABLE = json.loads((Path(__file__).parents[2] / "golden" / "cron" / "transitions.json").read_text("utf-8"))
BY_ZONE = {place: list(cases) for place, cases in groupby(TABLE["cases"], key=lambda case: case[0])}


@pytest.mark.parametrize("place", BY_ZONE)
def test_the_engine_answers_as_stored(place: str) -> None:
    where = zone(place)
    for _, text, gap, fold, start, *stored in BY_ZONE[place]:
        cron, rule, at = parse(text), Dst(gap=Gap(gap), fold=Fold(fold)), datetime.fromisoformat(start)
        following, after, preceding = (datetime.fromisoformat(fire) for fire in stored)

        assert following == cron.next_after(at, where, rule), (text, rule, start)
        assert after == cron.next_after(following, where, rule), (text, rule, start)
        assert preceding == cron.previous_before(at, where, rule), (text, rule, start)
        assert cron.matches(following, where, rule), (text, rule, start)


def test_the_table_is_large_and_of_settled_history() -> None:
    latest = max(fire for case in TABLE["cases"] for fire in case[5:])

    assert COLUMNS == TABLE["columns"]
    assert 2000 <= len(TABLE["cases"])
    assert latest < "2025-01-02"


@pytest.mark.parametrize("line", JUMPS.split("\n")[1:-1:6])
def test_the_generator_still_writes_the_same_lines(line: str) -> None:
    place, turn, *_ = line.split()
    found = list(cases_near(place, datetime.fromisoformat(turn)))

    assert found == BY_ZONE[place][: len(found)]
