"""The command line in this process: arguments in, exit code and output out; and jobs for it to run."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from cronledger import JobResult, job
from cronledger.cli.main import main
from cronledger.jobs.api import JobContext

APP = "tests.cli_runner"
"""What `--app` takes to find the jobs below."""


@job(name="tidy", extension="house", schedule="0 0 3 * * *", tags=["nightly"])
def tidy(ctx: JobContext) -> JobResult:
    """Tidy up."""
    return JobResult.success().with_stats(42, 1).with_message(f"tidied {ctx.params.get('room', 'all')}")


@job(name="boom", extension="house")
def boom() -> None:
    """Fail."""
    raise ValueError("boom")


@job(name="forever", extension="house", idempotent=True)
async def forever() -> None:
    """Go on until cancelled."""
    await asyncio.Event().wait()


class Result(msgspec.Struct, frozen=True):
    """What a call of the program came to."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The answer as a document."""
        return msgspec.json.decode(self.stdout)

    @property
    def error(self) -> Any:
        """The error as a document."""
        return msgspec.json.decode(self.stderr)["error"]


Cli = Callable[..., Result]
"""The program on a ledger: what fixtures return."""


class _Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal, or that it is none."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def text(self) -> str:
        return str(self.buffer.getvalue().decode())  # type: ignore[attr-defined] # a BytesIO


def run_cli(*args: str, env: Mapping[str, str] | None = None, terminal: bool = False) -> Result:
    """Call the program with arguments and further variables of the environment."""
    out, err = _Terminal(is_terminal=terminal), _Terminal(is_terminal=terminal)
    with pytest.MonkeyPatch.context() as patch, _log_as_it_was():
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        patch.setattr("sys.stdout", out)
        patch.setattr("sys.stderr", err)
        code = main(args)
    return Result(code, out.text(), err.text())


@contextmanager
def _log_as_it_was() -> Iterator[None]:
    logger = logging.getLogger("cronledger")
    before = (logger.handlers[:], logger.propagate, logger.level)
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = before[:2]
        logger.setLevel(before[2])
