"""Runs as they are named on the command line: by their id, or by the beginning of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cronledger.domain.ids import RunId, job_of
from cronledger.domain.run import RunState
from cronledger.errors import NotFound, UsageError
from cronledger.projections import job_status, run_history

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of one.")]
NAMED = 5
"""How many of the runs that a prefix may mean are named."""
EVERY = 10_000_000


def find_run(connection: Any, text: str) -> RunState:
    """Return the run of that id, else the only one whose id begins so.

    Raises NotFound, or UsageError if there are several.
    """
    return run_history.one(connection, RunId(text)) or _meant(connection, text)


def _meant(connection: Any, prefix: str) -> RunState:
    if "@" in prefix or "!" in prefix:
        jobs = [job_of(RunId(prefix))]
    else:
        jobs = [name for name in job_status.all_jobs(connection) if name.startswith(prefix)]
    found: list[RunState] = []
    for job in jobs if prefix else ():
        runs, _ = run_history.history(connection, job=job, limit=EVERY)
        found += [state for state in runs if state.run_id.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"no run is called '{prefix}'", hint="see `cronledger runs list`")
    some = ", ".join(state.run_id for state in found[:NAMED])
    more = "" if len(found) <= NAMED else f" and {len(found) - NAMED} more"
    raise UsageError(f"'{prefix}' may be {len(found)} runs: {some}{more}", hint="write more of the run's id")
