"""Runs as they are named on the command line: by their id, or by the beginning of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cronledger.domain.ids import RunId
from cronledger.domain.run import RunState
from cronledger.errors import NotFound, UsageError
from cronledger.projections import run_history

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
    found, total = run_history.begun_with(connection, prefix, limit=NAMED) if prefix else ([], 0)
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"no run is called '{prefix}'", hint="see `cronledger runs list`")
    some = ", ".join(state.run_id for state in found)
    more = "" if total <= NAMED else f" and {total - NAMED} more"
    raise UsageError(f"'{prefix}' may be {total} runs: {some}{more}", hint="write more of the run's id")
