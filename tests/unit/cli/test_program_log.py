from __future__ import annotations

import logging
from collections.abc import Iterator

import msgspec
import pytest

from cronledger.cli.options import LogFormat, LogLevel
from cronledger.cli.program_log import configure
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
