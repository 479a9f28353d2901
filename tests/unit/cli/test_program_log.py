from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from threading import Event
from typing import Any

import msgspec
import pytest

from cronledger.cli import program_log
from cronledger.cli.options import LogFormat, LogLevel
from cronledger.cli.program_log import configure, on_a_thread
from cronledger.engine.discretion import JobLog


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    logger = logging.getLogger("cronledger")
    before = (logger.handlers[:], logger.propagate, logger.level)
    yield
    logger.handlers[:], logger.propagate = before[:2]
    logger.setLevel(before[2])


@pytest.mark.parametrize("form", LogFormat)
def test_a_line_of_a_job_says_which_run_it_is_of(form: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines named the job only."""
    configure(LogLevel.INFO, form)
    about: dict[str, object] = {"job": "tidy", "run_id": "tidy!1"}
    JobLog(logging.getLogger("cronledger.jobs.tidy"), about, lambda text: text).info("swept")
    said = capsys.readouterr().err

    if form is LogFormat.TEXT:
        assert said.endswith(" INFO    cronledger.jobs.tidy: swept job=tidy run=tidy!1\n")
    else:
        line = msgspec.json.decode(said)
        assert ("swept", "tidy", "tidy!1") == (line["event"], line["job"], line["run"])


class Obstinate:
    """An argument that cannot be formatted."""

    def __str__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize(
    ("text", "argument", "said"),
    [
        ("caf\ud800", None, "caf\\ud800"),
        ("swept %s", "\ud800", "swept \\ud800"),
        ("swept %s", Obstinate(), "a line cannot be formatted: ValueError"),
        ("swept %d", "x", "a line cannot be formatted: TypeError"),
    ],
)
def test_whatever_is_logged_a_line_of_json_is_json(
    text: str, argument: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was plain text, or a traceback."""
    configure(LogLevel.INFO, LogFormat.JSON)
    logging.getLogger("cronledger.jobs.tidy").info(text, *([] if argument is None else [argument]))
    line = msgspec.json.decode(capsys.readouterr().err)

    assert ("info", "cronledger.jobs.tidy", said) == (line["level"], line["logger"], line["event"])


def test_a_line_of_json_has_nothing_that_a_terminal_might_obey(capsys: pytest.CaptureFixture[str]) -> None:
    """C1 controls and marks of direction stood there as they were."""
    text = "ü \x7f\x85\x9b\u2028\u202e\u200e"
    configure(LogLevel.INFO, LogFormat.JSON)
    logging.getLogger("cronledger.jobs.tidy").info("%s", text)
    said = capsys.readouterr().err

    assert (text, "ü") == (msgspec.json.decode(said)["event"], said[said.index("ü")])
    assert said.rstrip("\n").isprintable()


class Slow(io.StringIO):
    """A stream that takes nothing before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = Event()
        self.may_take = Event()

    def write(self, text: str) -> int:
        self.is_asked.set()
        self.may_take.wait()
        return super().write(text)


def test_how_many_lines_are_missing_is_a_line_of_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was a sentence before the next line."""
    stream = Slow()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(program_log, "LINES_WAITING", 1)
    with on_a_thread(LogLevel.INFO, LogFormat.JSON):
        for number in range(4):
            logging.getLogger("cronledger").info("line %d", number)
            stream.is_asked.wait()
        stream.may_take.set()
    said = [msgspec.json.decode(line)["event"] for line in stream.getvalue().splitlines()]

    assert ["line 0", "2 lines are missing here: nobody took them in time", "line 1"] == said
