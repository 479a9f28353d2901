"""The global options: strongest first option, environment, default.

One `Invocation` is made per call and travels as `ctx.obj`: what was asked for, in which form the answer is
wanted, and what is closed at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from cronledger.clock import Clock
from cronledger.config.reference import DEFAULT_DATABASE_URL


class Output(StrEnum):
    """The forms in which an answer can be printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    NAME = "name"


class LogLevel(StrEnum):
    """From which level on the program tells what it does."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    WARN = "warn"
    """The same, as the lines themselves and `logs view` have it."""
    ERROR = "error"


class LogFormat(StrEnum):
    """How a line of the program's own log is written."""

    TEXT = "text"
    JSON = "json"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The global options, each from the command line or the environment; None: from neither."""

    database_url: str = DEFAULT_DATABASE_URL
    config: Path | None = None
    profile: Path | None = None
    instance: str | None = None
    app: tuple[str, ...] = ()
    log_level: LogLevel | None = None
    log_format: LogFormat = LogFormat.TEXT


class Invocation:
    """One call of the program: its options, its form of output, and what is closed when it ends."""

    def __init__(self, clock: Clock, output: Output) -> None:
        self.clock = clock
        self.output = output
        self.options = Options()
        self.application: Any = None
        self.closing = ExitStack()


def listed(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the parts of lists that are separated by commas.

    >>> listed(["shop.jobs, blog", "extra"])
    ('shop.jobs', 'blog', 'extra')
    """
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


def output_of(environ: Mapping[str, str], args: Sequence[str]) -> Output:
    """Return the form of output that a command line seems to ask for, even where the rest of it is wrong.

    >>> output_of({}, ["jobs", "list", "--no-such-option", "-o", "json"])
    <Output.JSON: 'json'>
    """
    wanted = environ.get("CRONLEDGER_OUTPUT", "")
    for arg, following in zip(args, [*args[1:], ""], strict=False):
        if arg == "--json":
            wanted = Output.JSON
        elif arg in ("-o", "--output"):
            wanted = following
        elif arg.startswith("--output="):
            wanted = arg.removeprefix("--output=")
        elif arg.startswith("-o"):
            wanted = arg[2:]
    return Output(wanted) if wanted in set(Output) else Output.TABLE
