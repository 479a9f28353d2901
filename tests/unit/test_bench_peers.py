"""The benchmark's peers: what their adapters say is read, judged and shown; no figure is looked at."""

from __future__ import annotations

import doctest
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench.figures import Figure, Scale, Spread
from bench.peers import check, figures, report, roster, tables
from bench.peers.adapters.told import Starts
from bench.peers.environments import NotThere, interpreter, python_for
from bench.peers.match import Take, lateness_figure, speed_figure
from bench.peers.report import Lateness, Silence, Speed, parsed
from bench.peers.roster import FOLDER, PEERS, Peer, chosen, pins
from bench.peers.tables import page
from bench.peers.trial import answer
from bench.places import places

FAST = Speed(jobs=1000, enqueue_seconds=0.5, drain_seconds=1.5, cpu_seconds=0.25)
SLOW = Speed(jobs=100, enqueue_seconds=0.5, drain_seconds=0.5, cpu_seconds=0.5)
SILENT = Silence("no answer within 60 s")
PEER = Peer(name="a peer", adapter="procrastinate", database="postgres", rate=100, bar=4)


def late(*late_ms: float, due: int = 4, doubled: int = 0) -> Lateness:
    return Lateness(jobs=2, due=due, late_ms=list(late_ms), doubled=doubled, cpu_seconds=0.1)


def said(**fields: Any) -> str:
    return json.dumps(fields)


# --- what an adapter says -------------------------------------------------------------------------------


def test_jobs_a_second_include_the_enqueueing() -> None:
    speed = parsed(
        said(work="throughput", jobs=1000, enqueue_seconds=0.5, drain_seconds=1.5, cpu_seconds=0.25), Speed
    )

    assert FAST == speed
    assert 500.0 == FAST.per_second
    assert 250.0 == FAST.cpu_micros


def test_due_times_without_a_start_are_missed() -> None:
    lateness = parsed(
        said(work="lateness", jobs=2, due=4, late_ms=[1.0, 2.0, 9.0], doubled=1, cpu_seconds=0.1), Lateness
    )

    assert isinstance(lateness, Lateness)
    assert 1 == lateness.missed
    assert (2.0, 9.0) == (lateness.late(50), lateness.late(99))


def test_where_nothing_started_there_is_no_lateness() -> None:
    assert None is late().late(99)


def test_what_a_library_prints_before_the_answer_is_passed_over() -> None:
    answered = said(work="throughput", jobs=1, enqueue_seconds=0, drain_seconds=1, cpu_seconds=0)

    assert 1.0 == parsed(f"Hello!\n{{}}\n{answered}\n", Speed).per_second


@pytest.mark.parametrize(
    "output",
    ["", "Traceback", said(work="throughput", jobs=1), said(work="lateness", jobs=1), "{"],
    ids=["nothing", "words", "a field is missing", "other work", "half"],
)
def test_what_is_no_answer_is_refused_with_its_last_line(output: str) -> None:
    with pytest.raises(ValueError, match="not an answer: '") as refused:
        parsed(output, Speed)

    assert (output or "nothing") in str(refused.value)


# --- a trial --------------------------------------------------------------------------------------------


def tried(code: str, folder: Path, timeout: float = 30.0) -> Speed | Lateness | Silence:
    return answer([sys.executable, "-c", code], Speed, environment={}, folder=folder, timeout=timeout)


def test_an_adapter_that_hangs_is_ended_and_reported(tmp_path: Path) -> None:
    assert Silence("no answer within 1 s") == tried(
        "import threading; threading.Event().wait()", tmp_path, 0.6
    )


def test_an_adapter_that_fails_is_reported_with_its_last_words(tmp_path: Path) -> None:
    assert Silence("ended with 1: RuntimeError: no table") == tried(
        "raise RuntimeError('no table')", tmp_path
    )


def test_an_adapter_that_says_something_else_is_reported(tmp_path: Path) -> None:
    silence = tried("print('done')", tmp_path)

    assert isinstance(silence, Silence)
    assert silence.reason.startswith("not an answer: 'done'")


# --- the window of due seconds --------------------------------------------------------------------------


def test_a_window_counts_each_job_once_in_each_of_its_seconds() -> None:
    starts = Starts(jobs=2, seconds=2)
    starts.add("a", 9, at=9.5)  # before the window
    starts.add("a", 10, at=10.25)
    starts.add("a", 10, at=10.5)  # twice
    starts.add("b", 10, at=13.0)  # late, and for all that not of second 13
    starts.add("b", 11, at=11.5)
    starts.add("a", 12, at=12.5)  # after it

    judged = starts._judged(range(10, 12), 0.5)

    assert [250.0, 500.0, 3000.0] == judged["late_ms"]
    assert (4, 1) == (judged["due"], judged["doubled"])


# --- the roster -----------------------------------------------------------------------------------------


def test_every_adapter_compiles_and_every_package_is_pinned() -> None:
    check()

    adapters = {path.stem for path in (FOLDER / "adapters").glob("*.py")} - {"__init__", "told"}
    assert {peer.adapter for peer in PEERS} == adapters


def test_the_smallest_scale_measures_nothing(tmp_path: Path) -> None:
    with places(()) as there:
        assert [] == list(figures(there, Scale.SMOKE, venvs=tmp_path))


def test_peers_without_an_environment_are_not_measured_and_nothing_is_made(tmp_path: Path) -> None:
    with places(("sqlite",)) as there:
        assert [] == list(figures(there, Scale.QUICK, venvs=tmp_path))

    assert [] == list(tmp_path.iterdir())


def test_the_readme_names_the_version_of_every_peer() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    adapters = {peer.adapter: peer.requirements for peer in PEERS}
    package = {"apscheduler3": "apscheduler", "apscheduler4": "apscheduler"}
    versions = [
        pins(path.read_text(encoding="utf-8"))[package.get(name, name)] for name, path in adapters.items()
    ]

    assert [] == [version for version in versions if version not in readme]


def test_a_peer_is_chosen_by_its_name_or_by_its_adapter() -> None:
    assert ("pgqueuer, batch 10",) == tuple(peer.name for peer in chosen(["pgqueuer, batch 10"]))
    assert {"apscheduler3"} == {peer.adapter for peer in chosen(["apscheduler3"])}
    assert PEERS == chosen([])


def test_an_unknown_peer_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(
        LookupError, match="no peer is called 'celery'; there are: apscheduler3, apscheduler4"
    ):
        chosen(["dbos", "celery"])


@pytest.mark.parametrize("line", ["oban", "oban>=0.7", "oban=="])
def test_a_package_that_is_not_pinned_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="does not say PACKAGE==VERSION"):
        pins(f"psycopg==3.3.9\n{line}\n")


@pytest.mark.parametrize("module", [roster, report, tables], ids=lambda module: module.__name__)
def test_the_examples_are_right(module: ModuleType) -> None:
    outcome = doctest.testmod(module)

    assert 0 == outcome.failed
    assert 0 < outcome.attempted


# --- environments ---------------------------------------------------------------------------------------


def test_an_environment_that_is_not_there_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(
        NotThere, match=r"no environment in .*procrastinate: `python -m bench.peers --prepare`"
    ):
        python_for(PEER, tmp_path, make=False)


def test_an_environment_of_other_versions_does_not_count(tmp_path: Path) -> None:
    place = tmp_path / PEER.adapter
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").touch()
    (place / "made-from").write_text("other pins")

    with pytest.raises(NotThere):
        python_for(PEER, tmp_path, make=False)


def test_a_python_that_nobody_has_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(NotThere, match=r"no Python 3\.15 or newer on the path"):
        interpreter((3, 15))


def test_a_fresh_database_for_a_peer_has_no_schema_and_leaves_nothing() -> None:
    with places(()) as there:
        with there.empty("sqlite") as url:
            path = Path(url.removeprefix("sqlite:///"))
            assert not path.exists()
            path.touch()

        assert not path.exists()


# --- the figures ----------------------------------------------------------------------------------------


def test_a_line_of_throughput_is_ours_divided_by_the_peer_round_by_round() -> None:
    figure = speed_figure(PEER, [Take(SLOW, FAST, 1000.0), Take(SLOW, SLOW, 500.0)])

    assert Spread(3.0, 1.0, 5.0) == figure.ratio
    assert Spread(100.0, 100.0, 100.0) == figure.floor
    assert Spread(0.15, 0.1, 0.2) == Spread(*_rounded(figure.details["peer_of_raw_driver"]))
    assert (19, False) == (figure.row, figure.keeps)


def test_a_silent_peer_has_a_line_without_a_ratio_or_a_bar() -> None:
    figure = speed_figure(PEER, [Take(SILENT, FAST, 1000.0)])

    assert (None, None, None) == (figure.floor, figure.ratio, figure.bar)
    assert SILENT.reason == figure.details["silence"]


def test_a_line_of_lateness_compares_the_99th_percentiles_and_keeps_what_was_missed() -> None:
    figure = lateness_figure(PEER, 2, late(100.0, 400.0, doubled=1), late(1.0, 2.0, 3.0, 4.0))

    assert Spread(0.01, 0.01, 0.01) == figure.ratio
    assert (2, 1) == (figure.details["theirs"]["missed"], figure.details["theirs"]["doubled"])
    assert 0 == figure.details["ours"]["missed"]
    assert (20, 2) == (figure.row, figure.n)


def test_a_peer_that_started_nothing_has_no_ratio_of_lateness() -> None:
    figure = lateness_figure(PEER, 2, late(), late(1.0, 2.0, 3.0, 4.0))

    assert (None, None) == (figure.floor, figure.ratio)
    assert 4 == figure.details["theirs"]["missed"]


# --- the tables -----------------------------------------------------------------------------------------


def shown(*lines: Figure) -> list[list[str]]:
    return [list(map(str.strip, line.split("  "))) for line in page(lines).splitlines()]


def cells(*lines: Figure) -> list[str]:
    return [cell for cell in shown(*lines)[1] if cell]


def test_the_table_of_throughput_says_whether_the_wanted_ratio_was_missed() -> None:
    figure = speed_figure(PEER, [Take(SLOW, SLOW, 1000.0)])

    assert ["a peer", "100", "100", "1", "4, missed", "0.1", "5,000", "5,000"] == cells(figure)


def test_several_takes_are_shown_with_their_bounds() -> None:
    figure = speed_figure(PEER, [Take(SLOW, FAST, 1000.0), Take(SLOW, SLOW, 500.0)])

    assert "300 (100-500)" in cells(figure)


def test_the_table_of_lateness_says_what_was_started_of_what_was_due() -> None:
    figure = lateness_figure(PEER, 2, late(100.0, 400.0, doubled=1), late(1.0, 2.0, 3.0, 4.0))

    assert ["a peer", "2", "2/4, 1 twice", "100", "400", "400", "4/4", "2", "4"] == cells(figure)


def test_a_silent_peer_is_shown_with_its_reason() -> None:
    lines = [
        speed_figure(PEER, [Take(SILENT, FAST, 1000.0)]),
        lateness_figure(PEER, 2, SILENT, late(1.0, 2.0, 3.0, 4.0)),
    ]

    assert 2 == page(lines).count(SILENT.reason)


def _rounded(spread: Spread) -> tuple[float, float, float]:
    return round(spread.median, 6), round(spread.min, 6), round(spread.max, 6)
