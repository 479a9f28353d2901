"""Running jobs by hand: `infra jobs run`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from types import FrameType
from typing import Annotated, Any

import typer

from cronledger import manual
from cronledger.cli.arguments import Reason, Timeout
from cronledger.cli.context import Application, application
from cronledger.cli.known_jobs import KnownJob, find, known_jobs, note_other_files
from cronledger.cli.live import live
from cronledger.cli.options import Output
from cronledger.cli.render import emit, note
from cronledger.cli.times import seconds_of
from cronledger.domain.run import Outcome, RunState
from cronledger.errors import CronledgerError, NotFound, SomeRefused, UnknownJob, UsageError
from cronledger.jobs.calling import caller

COLUMNS = ("run_id", "outcome", "items_processed", "items_failed", "duration_ms", "message", "error")
FAILED = 1
TOOK_TOO_LONG = 124
STILL = "see `cronledger runs list --status running`"


class TimeoutPassed(CronledgerError):
    """The runs had not ended when `--timeout` had passed; they go on where another instance performs them."""

    code = "timeout"
    exit_code = TOOK_TOO_LONG


def run(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Jobs to run.")] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Run every enabled job that the configuration lists.")
    ] = False,
    tag: Annotated[str | None, typer.Option(metavar="TAG", help="Run every job with this tag.")] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-p",
            metavar="KEY=VALUE",
            help="A parameter of the run, read as the type that the job declares; repeatable.",
        ),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Perform the runs in this process.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the runs have ended.")] = True,
    timeout: Timeout = None,
    reason: Reason = None,
) -> None:
    """Run jobs now, beside their schedule; exit code 1 if one of the runs failed, 4 if one was refused."""
    given = given_parameters(parameters)
    seconds = seconds_of(timeout)
    opened = application(ctx)
    chosen = _chosen(opened, names or [], every=every, tag=tag)
    _require_code(opened, chosen, local=local)
    note_other_files(ctx)
    for each in chosen:
        note_switched_off(ctx, each)
    asked = manual.requests(
        opened.scheduler,
        [each.by_hand for each in chosen],
        given,
        actor=opened.operator.name,
        reason=reason,
    )
    try:
        with live(ctx) as look:
            started = opened.scheduler.perform(asked, local=local, wait=wait, timeout=seconds, look=look)
            runs = performed(ctx, started, timeout)
    except SomeRefused as refused:
        shown(ctx, refused.runs)
        raise
    answer(ctx, runs)


def performed(
    ctx: typer.Context, runs: Coroutine[Any, Any, list[RunState]], timeout: str | None
) -> list[RunState]:
    """Perform runs, or wait for them, and return how they stand then; raises TimeoutPassed.

    SIGTERM and a lost terminal end them as Ctrl-C does: runs that are performed here must not stay behind.
    """

    async def ended_by_signals() -> list[RunState]:
        with _cancelled_by_signals():
            return await runs

    try:
        with _printed_aside(ctx.obj.output):
            return asyncio.run(ended_by_signals())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    except TimeoutError:
        raise TimeoutPassed(f"the runs have not ended within {timeout}", hint=STILL) from None


@contextmanager
def _cancelled_by_signals() -> Iterator[None]:
    """Let signals that would end the process at once cancel this task, unless somebody has said otherwise.

    Not by the way of Ctrl-C, which a shell lets its background commands ignore.
    """
    taken = []
    if threading.current_thread() is threading.main_thread():
        ending = (signal.SIGTERM, signal.SIGHUP)
        taken = [number for number in ending if signal.getsignal(number) is signal.SIG_DFL]
    own, loop, task, told = os.getpid(), asyncio.get_running_loop(), caller(), count()

    def end(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != own:  # a fork of a job's: whoever ends it means what the signal says
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        elif next(told):
            raise KeyboardInterrupt
        else:
            loop.call_soon_threadsafe(task.cancel)

    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _printed_aside(output: Output) -> Iterator[None]:
    """Let what jobs print go to standard error where a program reads the answer from standard output."""
    kept = None if output is Output.TABLE else _duplicate(1)
    if kept is None:
        yield
        return
    sys.stdout.flush()
    try:
        os.dup2(2, 1)
        yield
    finally:
        with suppress(OSError):
            sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _duplicate(descriptor: int) -> int | None:
    try:
        os.fstat(2)
        return os.dup(descriptor)
    except OSError:  # closed by whoever has called: then nobody reads it
        return None


def answer(ctx: typer.Context, ended: Iterable[RunState]) -> None:
    """Print how runs have come out; exit code 1 if one of them has failed."""
    if shown(ctx, ended):
        raise typer.Exit(FAILED)


def shown(ctx: typer.Context, ended: Iterable[RunState]) -> int:
    """Print how runs have come out, and return how many have failed."""
    runs = [_document(state) for state in ended]
    succeeded = sum(run["outcome"] == Outcome.SUCCEEDED for run in runs)
    failed = sum(run["outcome"] not in (None, Outcome.SUCCEEDED) for run in runs)
    document = {"runs": runs, "succeeded": succeeded, "failed": failed, "total": len(runs)}
    emit(ctx, document, columns=COLUMNS, rows=runs, text=None if runs else "No jobs to run.")
    return failed


def given_parameters(texts: Iterable[str] | None) -> dict[str, str]:
    """Return the parameters that `-p KEY=VALUE` gives; raises UsageError for another form."""
    return dict(_parameter(each) for each in texts or ())


def note_switched_off(ctx: typer.Context, known: KnownJob) -> None:
    """Say so if a job that is run by hand would not run by itself."""
    if not known.is_enabled or known.state.paused:
        word = "paused" if known.is_enabled else "disabled"
        note(ctx, f"job '{known.definition.name}' is {word}; it runs all the same, because you ask for it")


def _parameter(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator:
        raise UsageError(f"Invalid parameter format '{text}'. Use KEY=VALUE format.")
    return key, value


def _chosen(opened: Application, names: Sequence[str], *, every: bool, tag: str | None) -> list[KnownJob]:
    """Return the jobs that are meant; `--all` is stronger than `--tag`, and that than names."""
    if not every and tag is None and not names:
        raise UsageError("Specify job name(s), use --all, or use --tag <tag> to run jobs")
    known = known_jobs(opened, None)
    if every:
        return [each for each in known.jobs.values() if _is_listed(each)]
    if tag is None:
        return list({each.definition.name: each for each in (find(known, name) for name in names)}.values())
    found = [each for each in known.jobs.values() if tag in each.by_hand.tags]
    if not found:
        raise NotFound(f"No jobs found with tag '{tag}'")
    return found


def _is_listed(known: KnownJob) -> bool:
    """Whether the configuration lists a job as enabled, if no operator says otherwise."""
    override = known.state.override
    return known.by_hand.scheduled and (known.by_hand.enabled if override is None else override)


def _require_code(opened: Application, chosen: Iterable[KnownJob], *, local: bool) -> None:
    """Raise UnknownJob for a job that is not defined here, unless a living instance is to perform it."""
    here = {definition.name for definition in opened.resolution.every}
    elsewhere = [each.definition.name for each in chosen if each.definition.name not in here]
    living = manual.provided_by_the_living(opened.store()) if elsewhere and not local else frozenset()
    for name in elsewhere:
        if name not in living:
            hint = "--local needs its code: name it with --app" if local else manual.NOBODY_PROVIDES_IT
            raise UnknownJob(name, hint=hint)


def _document(state: RunState) -> dict[str, Any]:
    return {
        "run_id": state.run_id,
        "job": state.job,
        "outcome": state.outcome,
        "message": state.message,
        "items_processed": state.items_processed,
        "items_failed": state.items_failed,
        "duration_ms": state.duration_ms,
        "error": state.error,
    }
