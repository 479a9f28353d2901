"""Jobs that get a process of their own. Loaded with `--app`."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from cronledger import Job, JobContext, JobResult, Pipeline, job, submit_job


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    """Typed parameters."""

    days: int = 30
    folder: str = ""


def started_with() -> dict[str, str]:
    """Return what every user of the machine may see of this process."""
    own = Path("/proc/self")
    return {"environment": (own / "environ").read_text(), "words": (own / "cmdline").read_text()}


@job(extension="apart", isolation="process", params=Limits)
async def everything(ctx: JobContext) -> JobResult:
    """Use all that a context has."""
    facts = {
        "pid": os.getpid(),
        "id": ctx.run.id,
        "cause": ctx.run.cause.value,
        "days": ctx.params.days,
        "enforce": ctx.enforce,
        "key": ctx.idempotency_key,
        "cancelled": ctx.cancelled,
        "sender": ctx.config["sender"],
        "hook": ctx.config["hook"],
        **started_with(),
        "variable": os.environ["HOOK"],
    }
    (Path(ctx.params.folder) / "facts.json").write_bytes(msgspec.json.encode(facts))
    total = await ctx.step("add", sum, [1, 2, 3])
    async with ctx.step("block") as step:
        ctx.log.info("in a block, with %s", ctx.config["hook"])
        step.report(processed=total, message="six")
    await ctx.skip_step("third", "nothing to do")
    logging.getLogger("shop").warning("from the shop")
    logging.getLogger("shop").warning(*TOO_FEW)
    ctx.progress(1, 2, "half")
    try:
        _broken()
    except OSError:
        ctx.log.exception("caught")
    return JobResult.success().with_stats(total, 1).with_message("done")


TOO_FEW = ("%s and %s", "one")
"""A line of a log that cannot be formatted: the library that writes it fails nobody's run."""


@job(extension="apart", isolation="process")
def fails() -> None:
    """Raise."""
    raise LookupError("nothing there")


@job(extension="apart", isolation="process", idempotent=True)
async def twice(ctx: JobContext) -> JobResult:
    """Die in the first attempt, behind a step; find its result in the second."""
    number = await ctx.step("number", os.getpid)
    if ctx.run.attempt == 1:
        os._exit(17)
    return JobResult.success().with_message("again" if number != os.getpid() else "anew")


@job(extension="apart", isolation="process")
async def bad_steps(ctx: JobContext) -> JobResult:
    """Fail one step and go on, one in a block, and return what cannot be kept."""
    failed = await ctx.step("call", _broken, on_error="continue")
    async with ctx.step("block", on_error="continue"):
        raise OSError("in the block")
    unkept = await ctx.step("unkept", object, on_error="continue")
    await ctx.step("good", lambda: 1)
    return JobResult.success().with_message(f"{failed.message}; {unkept.message}")


@job(extension="apart", isolation="process")
async def same_name(ctx: JobContext) -> None:
    """Use a name twice."""
    await ctx.step("one", lambda: 1)
    await ctx.step("one", lambda: 1)


@job(extension="apart", isolation="process")
def service(ctx: JobContext) -> None:
    """Ask for what is not there."""
    ctx.service(Limits)


@job(extension="apart", isolation="process")
def database(ctx: JobContext) -> JobResult:
    """Ask the application's database, opened anew."""
    with ctx.db.connect() as connection:
        answer = connection.exec_driver_sql("select 42").scalar()
    return JobResult.success().with_message(str(answer))


@job(extension="apart", isolation="process")
def crash() -> None:
    """Read memory that is not there."""
    ctypes.string_at(0)


@job(extension="apart", isolation="process")
def leave() -> None:
    """End the process."""
    os._exit(17)


@job(extension="apart", isolation="process")
def hold_the_interpreter() -> None:
    """Keep every thread of its process from running: calls into C that end long after every test."""
    sys.setswitchinterval(1000)
    while True:
        re.match(r"(a+)+$", "a" * 26 + "b")


@job(extension="apart", isolation="process")
async def deaf() -> None:
    """Swallow every request to stop."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


@job(extension="apart", isolation="process", idempotent=True)
def with_a_child(ctx: JobContext) -> None:
    """Start a program that outlives everybody who does not end it, and wait for it."""
    child = subprocess.Popen(["sleep", "3600"])
    Path(ctx.params["folder"], "pids").write_text(f"{os.getpid()} {child.pid}")
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    child.wait()


@job(extension="apart", isolation="process")
def leaves_a_thread(ctx: JobContext) -> None:
    """Return, and leave a thread and a program behind."""
    threading.Thread(target=time.sleep, args=(3600,)).start()
    child = subprocess.Popen(["sleep", "3600"])
    Path(ctx.params["folder"], "pids").write_text(f"{os.getpid()} {child.pid}")


@job(extension="apart", isolation="process")
def tidies_up(ctx: JobContext) -> None:
    """Notice that it shall stop, and tidy up."""
    Path(ctx.params["folder"], "pids").write_text(str(os.getpid()))
    while not ctx.cancelled:
        time.sleep(0.05)
    Path(ctx.params["folder"], "tidied").touch()


@job(extension="apart")
def ordinary(ctx: JobContext) -> JobResult:
    """Say in which process it is."""
    return JobResult.success().with_message(str(os.getpid()))


@job(extension="apart", schedule="* * * * * *")
async def quick() -> None:
    """Take no time."""


class Configured(Job):
    """A job whose object holds something."""

    name = "configured"
    isolation = "process"

    def __init__(self, word: str) -> None:
        self.word = word

    async def execute(self, ctx: JobContext) -> JobResult:
        """Say it."""
        return JobResult.success().with_message(self.word)


class Lines(Pipeline):
    """A pipeline in a process."""

    isolation = "process"


def _broken() -> None:
    raise OSError("in the call")


def one() -> int:
    """Be a step."""
    return 1


def two(ctx: Any) -> JobResult:
    """Be a step."""
    ctx.log.info("two")
    return JobResult.success().with_stats(2, 0)


def first(ctx: Any) -> int:
    """Be a step."""
    return one()


submit_job(Configured("a word"), extension="apart")
submit_job(Lines([first, two], name="lines", parallel=True), extension="apart")


@job(extension="apart", isolation="process")
def garbage() -> None:
    """Write into every socket of the process what nobody can read."""
    for number in range(3, 20):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, b"\0\0\0\4junk")
    time.sleep(3600)
