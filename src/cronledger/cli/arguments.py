"""The arguments and options that several commands have in common."""

from __future__ import annotations

from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(metavar="NAME", help="The job's name, or EXTENSION:JOB.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why: kept in the ledger.")]
Timeout = Annotated[
    str | None, typer.Option("--timeout", metavar="DURATION", help="Wait no longer than this; exit code 124.")
]
