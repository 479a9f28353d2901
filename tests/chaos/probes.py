"""Jobs that write down what they do, outside the ledger; copied into the folder of each run.

A line is one `write` to a file opened for appending, so the lines of several processes never mix.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import time

from cronledger import JobContext, job

FILE = os.open(os.environ["CHAOS_EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(ctx: JobContext, what: str, step: str | None = None) -> None:
    """Leave an effect that nobody can take back."""
    line = {
        "what": what,
        "step": step,
        "job": ctx.run.job,
        "run_id": ctx.run.id,
        "attempt": ctx.run.attempt,
        "fence": ctx.run.fence,
        "pid": os.getpid(),
        "boottime": time.clock_gettime(time.CLOCK_BOOTTIME),
    }
    os.write(FILE, json.dumps(line).encode() + b"\n")


@job
async def quick(ctx: JobContext) -> None:
    """Take no time."""
    note(ctx, "start")
    note(ctx, "end")


@job
async def slow(ctx: JobContext) -> None:
    """Take two seconds, and never twice."""
    note(ctx, "start")
    await asyncio.sleep(2.0)
    note(ctx, "end")


@job(idempotent=True)
async def again(ctx: JobContext) -> None:
    """Take two and a half seconds, and again if need be."""
    note(ctx, "start")
    await asyncio.sleep(2.5)
    note(ctx, "end")


@job
def plain(ctx: JobContext) -> None:
    """Block a thread for a moment."""
    note(ctx, "start")
    time.sleep(0.5)
    note(ctx, "end")


@job(idempotent=True)
async def steps(ctx: JobContext) -> None:
    """Take three steps, none of them twice once it is recorded."""
    note(ctx, "start")
    for name in ("one", "two", "three"):
        await ctx.step(name, take_step, ctx, name)
    note(ctx, "end")


@job
async def exits(ctx: JobContext) -> None:
    """End the whole process."""
    note(ctx, "start")
    os._exit(3)


@job
async def crashes(ctx: JobContext) -> None:
    """Read where there is nothing to read."""
    note(ctx, "start")
    ctypes.string_at(0)


@job
async def starves(ctx: JobContext) -> None:
    """Be ended by the kernel, as when memory runs out."""
    note(ctx, "start")
    os.kill(os.getpid(), signal.SIGKILL)


async def take_step(ctx: JobContext, name: str) -> str:
    """Do one part of the work."""
    note(ctx, "step start", name)
    await asyncio.sleep(0.4)
    note(ctx, "step end", name)
    return name
