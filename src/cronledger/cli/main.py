"""The program `cronledger`: global options, the tree of commands, and what every error means to a shell."""

from __future__ import annotations

import errno
import importlib
import importlib.metadata
import logging
import os
import platform
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cronledger import tz_database
from cronledger._version import __version__
from cronledger.cli import lazy
from cronledger.cli.options import (
    Invocation,
    LogFormat,
    LogLevel,
    Options,
    Output,
    listed,
    output_of,
)
from cronledger.cli.program_log import configure
from cronledger.cli.render import emit, fail
from cronledger.clock import SystemClock
from cronledger.config.reference import DATABASE_VARIABLES, database_url
from cronledger.errors import CronledgerError, UsageError

INTERRUPTED = 130
NOBODY_READS = 141
"""What a shell makes of a program that wrote to a closed pipe."""
LEAVING_SECONDS = 0.5
FUNCTIONS = "AnyIO worker thread"
"""What the threads are called in which plain functions are at work."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

JOBS_AND_LOGS = {"jobs": "cronledger.cli.jobs:app", "logs": "cronledger.cli.logs:app"}
PLACES = JOBS_AND_LOGS | {
    "up": "cronledger.cli.serve:app",
    "status": "cronledger.cli.status:app",
    "instances": "cronledger.cli.instances:app",
    "runs": "cronledger.cli.runs:app",
    "ledger": "cronledger.cli.ledger:app",
    "replay": "cronledger.cli.projections:replaying",
    "projections": "cronledger.cli.projections:app",
    "cron": "cronledger.cli.cron:app",
    "config": "cronledger.cli.config:app",
    "db": "cronledger.cli.db:app",
    "app-db": "cronledger.cli.app_database:app",
    "doctor": "cronledger.cli.doctor:app",
}

app = typer.Typer(
    cls=lazy.group_of(PLACES),
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="An event-sourced job scheduler: each job once, and a ledger that proves it.",
)
infra = typer.Typer(
    cls=lazy.group_of(JOBS_AND_LOGS),
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Jobs and logs, under the names of the source documents.",
)
lazy.outline(
    app,
    up="Run an instance until it is told to stop.",
    status="Show who leads, who is up, by which configuration, and why nothing fires if nothing does.",
    instances="List the instances that are up, and those that fell silent.",
)
app.add_typer(infra, name="infra")
lazy.outline(
    infra,
    jobs="List, run and steer jobs.",
    logs="Read the log of runs and of the engine.",
)
lazy.outline(
    app,
    jobs="List, run and steer jobs.",
    runs="List, show and compare runs, stop them and repeat them.",
    logs="Read the log of runs and of the engine.",
    ledger="Read, export and verify the ledger.",
    replay="Show the state as of a moment, folded from the events alone.",
    projections="Rebuild and check the views.",
    cron="Ask when a cron expression fires, and why.",
    config="Check, show, compare and apply the configuration.",
    db="Create and upgrade the database's schema.",
    **{"app-db": "Create and upgrade the tables of the built-in jobs, in the application's database."},
    doctor="Check that everything here fits together, and say what to do where it does not.",
)


@app.callback()
def options(
    ctx: typer.Context,
    *,
    database: Annotated[
        str | None,
        typer.Option(
            "--database-url",
            envvar=DATABASE_VARIABLES,
            show_envvar=True,
            metavar="URL",
            help="The ledger; default sqlite:///cronledger.db. Each variable has a *_FILE form.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(envvar="CRONLEDGER_CONFIG", metavar="PATH", help="The configuration file.")
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(envvar="CRONLEDGER_PROFILE", metavar="PATH", help="The profile that overrides it."),
    ] = None,
    instance: Annotated[
        str | None,
        typer.Option(envvar="CRONLEDGER_INSTANCE", metavar="NAME", help="What to call this process."),
    ] = None,
    code: Annotated[
        list[str] | None,
        typer.Option(
            "--app",
            envvar="CRONLEDGER_APP",
            metavar="MODULE[:OBJECT]",
            help="More code with jobs; repeatable.",
        ),
    ] = None,
    output: Annotated[
        Output | None,
        typer.Option(
            "--output",
            "-o",
            envvar="CRONLEDGER_OUTPUT",
            help="How to print the answer; also after the command.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as -o json.")] = False,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(
            envvar="CRONLEDGER_LOG_LEVEL",
            case_sensitive=False,
            help="From which level on to log to standard error.",
        ),
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option(envvar="CRONLEDGER_LOG_FORMAT", help="How to write a line of that log.")
    ] = LogFormat.TEXT,
) -> None:
    """Take in the global options."""
    is_given = str(getattr(ctx.get_parameter_source("database"), "name", "")) == "COMMANDLINE"
    ctx.obj.options = Options(
        database_url=database if database and is_given else database_url(os.environ),
        config=config,
        profile=profile,
        instance=instance or None,
        app=listed(code or []),
        log_level=log_level,
        log_format=log_format,
    )
    ctx.obj.output = Output.JSON if json else output or Output.TABLE
    configure(log_level or LogLevel.WARNING, log_format)


@app.command()
def version(ctx: typer.Context) -> None:
    """Show the versions of the program and of what it stands on."""
    packages = ("sqlalchemy", "alembic", "anyio", "croniter", "msgspec", "psycopg")
    emit(
        ctx,
        {
            "cronledger": __version__,
            "python": platform.python_version(),
            "sqlite": importlib.import_module("sqlite3").sqlite_version,
            **{name: _installed(name) for name in packages},
            "tzdata": str(tz_database.in_use()),
        },
    )


def main(args: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    _open_what_is_closed()
    code = _performed(list(sys.argv[1:] if args is None else args))
    if args is None:
        _leave_behind_what_goes_on(code)
    return code


def _performed(arguments: list[str]) -> int:
    invocation = Invocation(SystemClock(), output_of(os.environ, arguments))
    try:
        code = _call(invocation, arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _write_no_more()
        return NOBODY_READS
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        _write_no_more()
        return fail(CronledgerError(f"there is no room for the output: {error.strerror}"), invocation.output)
    return code


def _leave_behind_what_goes_on(code: int) -> None:
    """End the program if a job's function would keep it: all that matters is recorded and printed.

    The threads of idle functions have been told to end; whatever others the code has made is waited for.
    """
    at_work = [each for each in threading.enumerate() if each.name == FUNCTIONS]
    clock = SystemClock()
    until = clock.monotonic() + LEAVING_SECONDS
    for each in at_work:
        each.join(max(0.0, until - clock.monotonic()))
    if any(each.is_alive() for each in at_work):
        logging.shutdown()
        sys.stderr.flush()
        os._exit(code)


def _open_what_is_closed() -> None:
    """Let what is written to a standard stream that the caller has closed go nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - it stays open


def _write_no_more() -> None:
    """Drop what is left to write: the interpreter's own flush at exit must not complain of it as well."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _call(invocation: Invocation, arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        _require_text(arguments)
        with invocation.closing, command.make_context("cronledger", [*arguments], obj=invocation) as ctx:
            command.invoke(ctx)
    except CronledgerError as error:
        return fail(error, invocation.output)
    except typer.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except typer.TyperException as error:
        return _misused(error, output_of(os.environ, arguments))
    return 0


def _require_text(arguments: Sequence[str]) -> None:
    """Raise UsageError for bytes that are no UTF-8, and for what no database keeps in a text."""
    for argument in arguments:
        if "\0" in argument or any("\ud800" <= char <= "\udfff" for char in argument):
            raise UsageError(f"the argument {argument[:80]!r} is not text", hint="arguments are UTF-8")


def _misused(error: typer.TyperException, output: Output) -> int:
    """Answer a command line that cannot be read; a group without a command is a question for its help."""
    message = error.format_message()
    if message.startswith("Usage:"):
        sys.stdout.write(message + "\n")
        return 0
    path = getattr(getattr(error, "ctx", None), "command_path", "cronledger")
    return fail(UsageError(message, hint=f"see `{path} --help`"), output)


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
