"""What runs together and ends together; the one exception of it comes out as itself.

A task group raises groups, also of one. Whoever waits for an instance wants to catch what really happened: a
`LedgerGap` with its exit code, or what the application's own block has raised.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup


@asynccontextmanager
async def together() -> AsyncIterator[TaskGroup]:
    """Give a task group that raises a single exception of its tasks or its block ungrouped."""
    try:
        async with anyio.create_task_group() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        (alone,) = group.exceptions
        raise alone from alone.__cause__
