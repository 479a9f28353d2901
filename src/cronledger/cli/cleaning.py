"""Shortcuts to two built-in jobs: `infra jobs cleanup-sessions`, `infra jobs log-cleanup`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from cronledger import manual
from cronledger.cli.context import Application, application
from cronledger.cli.live import live
from cronledger.cli.render import emit
from cronledger.cli.running import FAILED, performed
from cronledger.domain.definition import JobDefinition
from cronledger.domain.run import Outcome, RunState
from cronledger.errors import UnknownJob

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count, and change nothing.")]


def cleanup_sessions(
    ctx: typer.Context,
    *,
    hours: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=876_000, help="Idle for so long; default: as configured, else 1."
        ),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Close idle sessions now, and remove those that ended long ago: a run of `cleanup_inactive_sessions`."""
    run, limit = _performed(ctx, "cleanup_inactive_sessions", "inactive_hours", hours, dry_run=dry_run)
    _answer(ctx, run, {"sessions_cleaned": run.items_processed, "hours_threshold": limit, "dry_run": dry_run})


def log_cleanup(
    ctx: typer.Context,
    *,
    days: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=36_500, help="Older than so much; default: as configured, else 30."
        ),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Remove old lines of the application's log now: a run of `log_cleanup`."""
    run, limit = _performed(ctx, "log_cleanup", "days", days, dry_run=dry_run)
    _answer(ctx, run, {"entries_deleted": run.items_processed, "days_threshold": limit, "dry_run": dry_run})


def _performed(
    ctx: typer.Context, job: str, parameter: str, value: int | None, *, dry_run: bool
) -> tuple[RunState, Any]:
    """Perform a manual run of a built-in job; return how it ended, and the limit that held for it."""
    opened = application(ctx)
    definition, defaults = _known(opened, job)
    given: dict[str, Any] = {"dry_run": True} if dry_run else {}
    if value is not None:
        given[parameter] = value
    asked = manual.requests(opened.scheduler, [definition.name], given, actor=opened.operator.name)
    with live(ctx) as look:
        (run,) = performed(ctx, opened.scheduler.perform(asked, look=look), None)
    return run, (defaults | definition.parameters | given)[parameter]


def _known(opened: Application, job: str) -> tuple[JobDefinition, dict[str, Any]]:
    """Return how a built-in job is defined here, and the defaults of its parameters."""
    code = opened.registry.code_of("core", job)
    found = [each for each in opened.resolution.every if (each.extension, each.code) == ("core", job)]
    if code is None or code.params is None or not found:
        raise UnknownJob(job)
    return found[0], msgspec.to_builtins(code.params())


def _answer(ctx: typer.Context, run: RunState, facts: dict[str, Any]) -> None:
    """Print how a run came out; exit code 1 unless it has succeeded."""
    document = {"job_name": run.job, **facts, "message": run.message, "run_id": run.run_id}
    emit(ctx, document | {"outcome": run.outcome, "error": run.error})
    if run.outcome is not Outcome.SUCCEEDED:
        raise typer.Exit(FAILED)
