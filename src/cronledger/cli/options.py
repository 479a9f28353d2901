"""The global options: strongest first option, environment, default.

One `Invocation` is made per call and travels as `ctx.obj`. Nothing is read from the process's environment
anywhere else, so a call depends on nothing but its arguments and the mapping it was given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cronledger.clock import Clock
from cronledger.errors import UsageError

DEFAULT_DATABASE_URL = "sqlite:///cronledger.db"
_DATABASE_VARIABLES = ("CRONLEDGER_DATABASE_URL", "DATABASE_URL")


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
    ERROR = "error"


class LogFormat(StrEnum):
    """How a line of the program's own log is written."""

    TEXT = "text"
    JSON = "json"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The global options; None: neither given nor in the environment, so the scheduler's default holds."""

    database_url: str
    config: Path | None = None
    profile: Path | None = None
    instance: str | None = None
    app: tuple[str, ...] = ()
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.TEXT


class Invocation:
    """One call of the program: its options, its form of output, and what is closed when it ends."""

    def __init__(self, environ: Mapping[str, str], clock: Clock, *, output: Output = Output.TABLE) -> None:
        self.environ = environ
        self.clock = clock
        self.output = output
        self.options = Options(database_url=DEFAULT_DATABASE_URL)
        self.application: Any = None
        self.closing = ExitStack()


def options_from(environ: Mapping[str, str], given: Mapping[str, Any]) -> Options:
    """Complete the options that were given with those of the environment.

    >>> options_from({"CRONLEDGER_APP": "shop.jobs, blog"}, {"database_url": None}).app
    ('shop.jobs', 'blog')
    """
    return Options(
        database_url=given.get("database_url") or database_url(environ),
        config=given.get("config") or _path(environ.get("CRONLEDGER_CONFIG")),
        profile=given.get("profile") or _path(environ.get("CRONLEDGER_PROFILE")),
        instance=given.get("instance") or environ.get("CRONLEDGER_INSTANCE") or None,
        app=tuple(given.get("app") or _listed(environ.get("CRONLEDGER_APP", ""))),
        log_level=given.get("log_level") or choice(LogLevel, environ, "CRONLEDGER_LOG_LEVEL") or LogLevel.INFO,
        log_format=given.get("log_format")
        or choice(LogFormat, environ, "CRONLEDGER_LOG_FORMAT")
        or LogFormat.TEXT,
    )


def database_url(environ: Mapping[str, str]) -> str:
    """Return the ledger's address from the environment, or from the file that a `*_FILE` variable names.

    >>> database_url({"DATABASE_URL": "postgresql://db/app"})
    'postgresql://db/app'
    >>> database_url({})
    'sqlite:///cronledger.db'
    """
    for name in _DATABASE_VARIABLES:
        value, file = environ.get(name), environ.get(f"{name}_FILE")
        if value and file:
            raise UsageError(f"both {name} and {name}_FILE are set", hint="unset one of them")
        if value:
            return value
        if file:
            return _secret(f"{name}_FILE", Path(file))
    return DEFAULT_DATABASE_URL


def output_from(environ: Mapping[str, str], args: Sequence[str]) -> Output:
    """Return the form of output that a command line seems to ask for, even if it turns out to be wrong.

    >>> output_from({}, ["jobs", "list", "--no-such-option", "-o", "json"])
    <Output.JSON: 'json'>
    """
    wanted = environ.get("CRONLEDGER_OUTPUT", "")
    for index, arg in enumerate(args):
        if arg == "--json":
            wanted = Output.JSON
        elif arg in ("-o", "--output"):
            wanted = args[index + 1] if index + 1 < len(args) else ""
        elif arg.startswith("--output="):
            wanted = arg.removeprefix("--output=")
        elif arg.startswith("-o"):
            wanted = arg[2:]
    return Output(wanted) if wanted in set(Output) else Output.TABLE


Choice = TypeVar("Choice", bound=StrEnum)


def choice(kind: type[Choice], environ: Mapping[str, str], variable: str) -> Choice | None:
    """Return the choice that a variable of the environment makes; raises UsageError if there is no such."""
    text = environ.get(variable)
    if not text:
        return None
    if text not in set(kind):
        raise UsageError(f"{variable}: {text!r} is not one of {', '.join(kind)}")
    return kind(text)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _secret(name: str, file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name}: {file} cannot be read: {type(error).__name__}") from error
