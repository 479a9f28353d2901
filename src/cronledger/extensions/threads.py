"""Blocking work of a job, in a thread: a database's answers and files are waited for beside the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from cronledger import JobContext
from cronledger.jobs.calling import call

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(
    ctx: JobContext, function: Callable[Concatenate[JobContext, P], T], *args: P.args, **options: P.kwargs
) -> T:
    """Call `function(ctx, ...)` in a thread of the run, and return or raise what it does.

    It cannot be stopped: a long one looks at `ctx.cancelled`.
    """
    done: Any = await call(lambda: function(ctx, *args, **options), threads=ctx.threads)
    return done  # type: ignore[no-any-return] # what the thread brings back is what `function` returns
