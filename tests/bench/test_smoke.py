"""The benchmark still runs from end to end and says what it promises; no figure is judged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.__main__ import MEASURES, Report, table
from bench.figures import Bar, Figure, Spread, in_turn

ROOT = Path(__file__).parents[2]
ROWS = set(range(1, 19))
pytestmark = pytest.mark.timeout(400)
"""A minute and a half where nothing else is at work; the tests beside it take their part."""


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Report]:
    """Return what `python -m bench --smoke` prints and writes."""
    file = tmp_path_factory.mktemp("bench") / "report.json"
    command = [sys.executable, "-m", "bench", "--smoke", "--json", str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=os.environ)
    assert 0 == done.returncode, done.stderr
    return done.stdout, msgspec.json.decode(file.read_bytes(), type=Report)


def test_every_row_is_measured_on_every_database(smoke: tuple[str, Report]) -> None:
    _, report = smoke
    on_both = {1, 2, 9, 17}  # a row for each, or none of them

    assert ROWS == {each.row for each in report.figures} & ROWS
    for row in ROWS - on_both:
        names = " ".join(each.measure for each in report.figures if each.row == row)
        assert ("sqlite" in names) == ("postgres" in names), row


def test_figures_are_plausible(smoke: tuple[str, Report]) -> None:
    _, report = smoke
    for each in report.figures:
        assert 0 <= each.ours.min <= each.ours.median <= each.ours.max, each
        assert (each.floor is None) == (each.ratio is None), each
        assert (each.keeps is None) == (each.bar is None), each


def test_the_table_says_where_it_was_measured(smoke: tuple[str, Report]) -> None:
    printed, report = smoke

    assert {"python", "sqlite", "postgres", "cores", "measured_at"} <= set(report.machine)
    assert table(report.figures) in printed
    assert "smoke" == report.scale


def test_only_some_measures_on_one_database_can_be_asked_for() -> None:
    words = ["--smoke", "--only", "append", "--database", "sqlite"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words], check=True, capture_output=True, text=True, cwd=ROOT
    )

    assert "append, sqlite" in done.stdout
    assert "postgres" not in done.stdout
    assert "append" in MEASURES


@pytest.mark.parametrize(
    ("bar", "kept"),
    [
        (Bar(2), True),
        (Bar(1.9), False),
        (Bar(2, at_least=True), True),
        (Bar(0.5, of_floor=True), True),
        (Bar(0.6, at_least=True, of_floor=True), False),
    ],
)
def test_a_bar_is_of_the_figure_or_of_its_ratio(bar: Bar, kept: bool) -> None:
    figure = Figure(row=1, measure="x", unit="s", bar=bar, **in_turn(lambda: 2.0, lambda: 4.0, pairs=3))

    assert (kept, Spread(0.5, 0.5, 0.5)) == (figure.keeps, figure.ratio)


def test_ours_and_the_floor_take_turns_in_going_first() -> None:
    order: list[Any] = []
    in_turn(lambda: order.append("ours") or 1.0, lambda: order.append("floor") or 1.0, pairs=4)

    assert ["floor", "ours", "ours", "floor"] * 2 == order
