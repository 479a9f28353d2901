"""The log of runs and of the engine."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

import msgspec
import typer

from cronledger.cli import following
from cronledger.cli.context import Application, application
from cronledger.cli.options import Output
from cronledger.cli.render import emit, print_json_line, print_line
from cronledger.cli.runs import Since, Until
from cronledger.cli.times import duration
from cronledger.domain.ids import JobName, RunId
from cronledger.domain.line import Line
from cronledger.errors import UsageError
from cronledger.ledger.logs import Wanted
from cronledger.projections import log_lines
from cronledger.projections.log_lines import Follower, document

app = typer.Typer(help="Read the log of runs and of the engine.", no_args_is_help=True)

COLUMNS = ("at", "level", "job", "run_id", "step", "message")
SUMMARY_COLUMNS = ("job", "error", "warn", "info", "debug")
SUMMED_UP = timedelta(days=1)

Level = Annotated[
    str | None, typer.Option(metavar="LEVEL", help="Only lines of debug, info, warn or error, and above.")
]
Job = Annotated[str | None, typer.Option(metavar="NAME", help="Only lines about this job.")]
Run = Annotated[str | None, typer.Option(metavar="RUN", help="Only lines about this run.")]
Step = Annotated[str | None, typer.Option(metavar="STEP", help="Only lines of this step.")]
Limit = Annotated[
    int, typer.Option("-n", "--limit", "--tail", min=1, max=100_000, help="How many of the newest lines.")
]


@app.command()
def view(
    ctx: typer.Context,
    *,
    level: Level = None,
    since: Since = None,
    until: Until = None,
    job: Job = None,
    run: Run = None,
    step: Step = None,
    limit: Limit = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with the lines that come, until Ctrl-C.")
    ] = False,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="With -f: end after this long.")
    ] = None,
) -> None:
    """Show log lines, the newest last."""
    if for_ is not None and not follow:
        raise UsageError("--for says how long to follow", hint="give -f as well")
    if until is not None and follow:
        raise UsageError("--until ends in the past what -f wants to follow", hint="give one of the two")
    seconds = None if for_ is None else duration(for_).total_seconds()
    opened = application(ctx)
    wanted = _wanted(opened, _about(level, job, run, step), since, until)
    if follow:
        return _follow(ctx, wanted, limit, seconds)
    return _show(ctx, wanted, limit)


@app.command()
def search(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What the message contains, in any case.")],
    *,
    level: Level = None,
    since: Since = None,
    until: Until = None,
    job: Job = None,
    run: Run = None,
    step: Step = None,
    limit: Limit = 20,
) -> None:
    """Show the log lines whose message contains a text, the newest last."""
    if not text:
        raise UsageError("there is no text to search for", hint="`logs view` shows every line")
    about = msgspec.structs.replace(_about(level, job, run, step), text=text)
    _show(ctx, _wanted(application(ctx), about, since, until), limit)


@app.command()
def export(
    ctx: typer.Context,
    *,
    level: Level = None,
    since: Since = None,
    until: Until = None,
    job: Job = None,
    run: Run = None,
    step: Step = None,
) -> None:
    """Write every log line that matches as a line of JSON, the oldest first."""
    opened = application(ctx)
    wanted = _wanted(opened, _about(level, job, run, step), since, until)
    for line in log_lines.oldest_first(opened.store(), wanted):
        print_json_line(document(line))


@app.command()
def summary(
    ctx: typer.Context,
    *,
    level: Level = None,
    since: Since = None,
    until: Until = None,
    job: Job = None,
) -> None:
    """Count log lines by level and job; without --since those of the last day."""
    opened = application(ctx)
    now = opened.now()
    about = msgspec.structs.replace(_about(level, job, None, None), since=now - SUMMED_UP, until=now)
    wanted = _wanted(opened, about, since, until)
    counted = log_lines.summary(opened.store(), wanted)
    rows = [each | {"job": each["job"] or "(engine)"} for each in counted["jobs"]]
    total = {"job": "(all)", **counted["levels"]}
    text = None if rows else "No lines."
    emit(ctx, counted, columns=SUMMARY_COLUMNS, rows=[*rows, total] if rows else [], text=text)


# --- private --------------------------------------------------------------------------------------------


def _about(level: str | None, job: str | None, run: str | None, step: str | None) -> Wanted:
    return Wanted(
        level=level,
        job=None if job is None else JobName(job),
        run_id=None if run is None else RunId(run),
        step=step,
    )


def _wanted(opened: Application, about: Wanted, since: str | None, until: str | None) -> Wanted:
    """Add from when and until when, where that is said."""
    return msgspec.structs.replace(
        about,
        since=about.since if since is None else opened.instant(since),
        until=about.until if until is None else opened.instant(until),
    )


def _show(ctx: typer.Context, wanted: Wanted, limit: int) -> None:
    lines = log_lines.view(application(ctx).store(), wanted, limit=limit)
    shown = [document(line) for line in lines]
    text = None if shown else "No lines."
    emit(ctx, {"logs": shown, "total": len(shown)}, columns=COLUMNS, rows=shown, text=text)


def _follow(ctx: typer.Context, wanted: Wanted, limit: int, seconds: float | None) -> None:
    """Show the newest lines and then those that come, one a line."""
    opened = application(ctx)
    store = opened.store()
    follower = Follower(store, wanted)
    _put(log_lines.view(store, wanted, limit=limit, seen=follower.begun), opened.output)
    following.follow(ctx, store, lambda: _put(follower.look(), opened.output), seconds=seconds)


def _put(lines: Iterable[Line], output: Output) -> None:
    for line in lines:
        shown = document(line)
        if output is Output.TABLE:
            print_line("  ".join(str(shown[name]) for name in COLUMNS if shown[name] is not None))
        else:
            print_json_line(shown)
