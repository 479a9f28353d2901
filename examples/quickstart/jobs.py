"""Three small jobs: one that beats, one of several steps, one for hands."""

from __future__ import annotations

import os
import platform
import shutil

import msgspec

from cronledger import JobContext, JobResult, Pipeline, job, submit_job


@job(extension="quickstart", schedule="*/5 * * * * *")
async def heartbeat(ctx: JobContext) -> JobResult:
    """Say that this instance is alive."""
    return JobResult.success().with_message(f"{platform.node()} is alive, for {ctx.run.fire_at}")


def disk_space(ctx: JobContext) -> JobResult:
    """Fail if the disk is nearly full."""
    usage = shutil.disk_usage(".")
    free = 100 * usage.free / usage.total
    if free < float(ctx.params.get("least_free_percent", 5)):
        return JobResult.failure(f"only {free:.1f}% of the disk is free")
    return JobResult.success().with_message(f"{free:.1f}% of the disk is free")


def load_average(_ctx: JobContext) -> JobResult:
    """Read how busy the machine is."""
    minute, _, _ = os.getloadavg()
    return JobResult.success().with_message(f"load {minute:.2f} on {os.cpu_count()} processors")


def folder(_ctx: JobContext) -> JobResult:
    """Count the files in the current folder."""
    with os.scandir(".") as entries:
        files = sum(entry.is_file() for entry in entries)
    return JobResult.success().with_stats(files, 0)


checkup = Pipeline([disk_space, load_average, folder], name="checkup", schedule="0 * * * * *")
checkup.description = "Look after the machine, step by step."
checkup.run_on_startup = True
submit_job(checkup, extension="quickstart")


class Greeting(msgspec.Struct, forbid_unknown_fields=True):
    """What `greet` may be told."""

    whom: str = "world"


@job(extension="quickstart", params=Greeting)
def greet(ctx: JobContext) -> JobResult:
    """Greet somebody, when asked to."""
    return JobResult.success().with_message(f"Hello, {ctx.params.whom}!")
