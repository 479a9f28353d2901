"""How answers look."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from cronledger.cli.options import Output
from cronledger.cli.render import also, clean, emit, fail, note
from cronledger.errors import ConfigError, UnknownJob

EVIL = "tidy\x1b[31m\x9b1m\u202e\u2028\n\tup \ud800"
UNSEEN = ["\x7f", "\x85", "\x9b", "\u061c", "\u200e", "\u2028", "\u202e", "\u2069"]
COLUMNS = ("name", "enabled", "outcome", "tags")
ROWS: list[dict[str, Any]] = [
    {"name": "tidy", "enabled": True, "outcome": "failed", "tags": ["a", "b"], "hidden": 1},
    {"name": "x", "enabled": False, "outcome": None, "tags": [], "hidden": 2},
]
DOCUMENT = {"jobs": ROWS, "total": 2}


class Screen:
    """A context of a command, and whether it writes to a terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.ctx: Any = SimpleNamespace(obj=SimpleNamespace(output=Output.TABLE))

    def of(self, output: Output, *, terminal: bool = False) -> Any:
        self._monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
        self.ctx.obj.output = output
        return self.ctx

    @property
    def text(self) -> str:
        return self._capsys.readouterr().out

    @property
    def errors(self) -> str:
        return self._capsys.readouterr().err


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Screen]:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    return Screen(monkeypatch, capsys)


def test_piped_the_columns_are_separated_by_tabs(screen: Screen) -> None:
    emit(screen.of(Output.TABLE), DOCUMENT, columns=COLUMNS, rows=ROWS)

    assert "name\tenabled\toutcome\ttags\ntidy\ttrue\tfailed\ta,b\nx\tfalse\t\t\n" == screen.text


def test_on_a_terminal_the_columns_are_aligned(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    emit(screen.of(Output.TABLE, terminal=True), DOCUMENT, columns=COLUMNS, rows=ROWS)

    assert (
        "NAME  ENABLED  OUTCOME  TAGS\n"
        "tidy  yes      failed   a,b\n"
        "x     no       -\n"
    ) == screen.text  # fmt: skip


def test_on_a_terminal_outcomes_have_colours(screen: Screen) -> None:
    emit(screen.of(Output.TABLE, terminal=True), DOCUMENT, columns=COLUMNS, rows=ROWS)

    assert "\x1b[31mfailed " in screen.text


def test_colours_can_be_forced_and_forbidding_them_is_stronger(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    emit(screen.of(Output.TABLE), DOCUMENT, columns=COLUMNS, rows=ROWS)
    forced = screen.text
    monkeypatch.setenv("NO_COLOR", "1")
    emit(screen.of(Output.TABLE), DOCUMENT, columns=COLUMNS, rows=ROWS)

    assert "\x1b[31mfailed\x1b[0m" in forced
    assert "\x1b" not in screen.text


def test_wide_letters_take_two_places_and_a_long_last_column_is_cut(screen: Screen) -> None:
    rows = [{"name": "日本", "message": "m" * 100}, {"name": "abcd", "message": "short"}]
    emit(screen.of(Output.TABLE, terminal=True), {}, columns=("name", "message"), rows=rows)
    _, first, second = screen.text.splitlines()

    assert "日本  " + "m" * 53 + "…" == first
    assert "abcd  short" == second


@pytest.mark.parametrize("terminal", [True, False])
def test_data_cannot_move_the_cursor_or_break_a_line(screen: Screen, terminal: bool) -> None:
    emit(screen.of(Output.TABLE, terminal=terminal), {}, columns=("name",), rows=[{"name": EVIL}])
    _, line = screen.text.splitlines()

    assert r"tidy\x1b[31m\x9b1m\u202e\u2028\n\tup \ud800" == line.strip()


def test_json_escapes_what_a_terminal_might_obey(screen: Screen) -> None:
    text = EVIL.replace("\ud800", "")
    emit(screen.of(Output.JSON), {"name": text})
    printed = screen.text

    assert {"name": text} == msgspec.json.decode(printed)
    assert printed.replace("\n", "").isprintable()


def test_json_is_one_document_with_its_keys_in_order(screen: Screen) -> None:
    emit(screen.of(Output.JSON), DOCUMENT, columns=COLUMNS, rows=ROWS)
    printed = screen.text

    assert DOCUMENT == msgspec.json.decode(printed)
    assert printed.index('"jobs"') < printed.index('"total"')


def test_json_lines_are_the_list_inside(screen: Screen) -> None:
    emit(screen.of(Output.JSONL), DOCUMENT)

    assert ROWS == [msgspec.json.decode(line) for line in screen.text.splitlines()]


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        ({"a": 1}, '{"a":1}\n'),
        ({"jobs": 2, "warnings": []}, '{"jobs":2,"warnings":[]}\n'),
        ({"name": "tidy", "running": ["tidy!1"]}, '{"name":"tidy","running":["tidy!1"]}\n'),
        ({"head": {"position": 3}, "events": []}, '{"head":{"position":3},"events":[]}\n'),
        ({"files": ["a.yaml"], "runs": [{"run_id": "tidy!1"}]}, '{"run_id":"tidy!1"}\n'),
        ({"runs": [], "total": 0}, ""),
    ],
)
def test_what_is_about_one_thing_is_one_line(screen: Screen, document: Any, lines: str) -> None:
    emit(screen.of(Output.JSONL), document)

    assert lines == screen.text


def test_yaml_is_the_same_document(screen: Screen) -> None:
    emit(screen.of(Output.YAML), DOCUMENT)

    assert DOCUMENT == msgspec.yaml.decode(screen.text)


@pytest.mark.parametrize("text", [*UNSEEN, EVIL.replace("\ud800", ""), f"long {UNSEEN[-1]} " * 40])
def test_yaml_escapes_what_a_terminal_might_obey(screen: Screen, text: str) -> None:
    """Marks of direction stood there as they were."""
    document = {"runs": [{"name": text, text: None}]}
    emit(screen.of(Output.YAML), document)
    printed = screen.text

    assert document == msgspec.yaml.decode(printed)
    assert printed.replace("\n", "").isprintable()


def test_yaml_leaves_what_is_harmless_as_it_is(screen: Screen) -> None:
    emit(screen.of(Output.YAML), {"a": "Grüße, 日本 ✓", "b": "\u200e", "c": ["x: y", 1.5, None]})

    assert "a: Grüße, 日本 ✓\nb: \"\\u200e\"\nc:\n- 'x: y'\n- 1.5\n- null\n" == screen.text


@pytest.mark.parametrize(
    ("document", "rows", "names"),
    [
        (DOCUMENT, ROWS, "tidy\nx\n"),
        ({"runs": []}, [{"run_id": "tidy!1", "job": "tidy"}], "tidy!1\n"),
        ({"runs": [], "position": 3}, [], ""),
        ({"run": {"run_id": "tidy!1"}}, [{"field": "job", "value": "tidy"}], "tidy!1\n"),
        ({"name": "tidy"}, None, "tidy\n"),
        ({"fire_times": []}, [{"utc": "3 o'clock"}], "3 o'clock\n"),
    ],
)
def test_names_are_those_of_the_rows_or_of_the_document(
    screen: Screen, document: Any, rows: Any, names: str
) -> None:
    emit(screen.of(Output.NAME), document, rows=rows)

    assert names == screen.text


def test_text_stands_for_an_empty_table(screen: Screen) -> None:
    emit(screen.of(Output.TABLE, terminal=True), {}, columns=COLUMNS, rows=[], text="No jobs.")
    emit(screen.of(Output.TABLE), {}, columns=COLUMNS, rows=[], text="No jobs.")

    assert "No jobs.\nname\tenabled\toutcome\ttags\n" == screen.text


def test_a_document_without_a_table_is_its_fields(screen: Screen) -> None:
    emit(screen.of(Output.TABLE, terminal=True), {"python": "3.11", "extra": None})
    emit(screen.of(Output.TABLE), {"python": "3.11", "extra": None})

    assert "python  3.11\nextra   -\npython\t3.11\nextra\t\n" == screen.text


def test_remarks_and_further_tables_are_for_people(screen: Screen) -> None:
    for output in Output:
        also(screen.of(output), "steps", columns=("name",), rows=[{"name": "sweep"}])
        note(screen.ctx, "by the way\x07")

    assert ("\nsteps\nname\nsweep\n", "by the way\\x07\n") == screen._capsys.readouterr()


def test_an_error_says_what_and_what_to_do(screen: Screen) -> None:
    code = fail(UnknownJob("ti\x1bdy", hint="did you mean 'tidy'?"), Output.TABLE)

    assert 3 == code
    assert "cronledger: error: unknown job 'ti\\x1bdy'\nhint: did you mean 'tidy'?\n" == screen.errors


def test_an_error_is_json_where_json_was_asked_for(screen: Screen) -> None:
    fail(UnknownJob("tidy"), Output.JSON)

    assert {
        "error": {
            "code": "unknown_job",
            "message": "unknown job 'tidy'",
            "hint": "see `cronledger infra jobs list`",
        }
    } == msgspec.json.decode(screen.errors)


def test_the_problems_of_a_configuration_are_lines_of_their_own(screen: Screen) -> None:
    code = fail(ConfigError(["a.yaml:1:2: error: one", "a.yaml:3:4: error: two"]), Output.TABLE)

    assert 5 == code
    assert "a.yaml:1:2: error: one\na.yaml:3:4: error: two\n" == screen.errors


def test_what_is_harmless_is_left_alone() -> None:
    assert "Grüße, 日本 ✓" == clean("Grüße, 日本 ✓")
