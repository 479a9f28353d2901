"""Names: of jobs, runs, streams and instances.

A fire time has one name, a name has one stream, a stream has one first event: that is why nothing fires
twice. A scheduled run is therefore named after its job and fire time and after nothing else.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NewType

JobName = NewType("JobName", str)
RunId = NewType("RunId", str)
Stream = NewType("Stream", str)
InstanceId = NewType("InstanceId", str)
Term = NewType("Term", int)
Position = NewType("Position", int)

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
"""What a job or an extension may be called."""

LEADER = Stream("leader")
CONFIG = Stream("config")
LEDGER = Stream("ledger")

_INSTANT = "%Y%m%dT%H%M%SZ"


def is_name(text: str) -> bool:
    """Whether a job or an extension may be called this.

    >>> is_name("cleanup_sessions"), is_name("os:system")
    (True, False)
    """
    return NAME.fullmatch(text) is not None


def scheduled_run(job: JobName, fire_at: datetime) -> RunId:
    """Name the run of a fire time.

    >>> scheduled_run(JobName("tidy"), datetime(2026, 1, 1, 3, tzinfo=UTC))
    'tidy@20260101T030000Z'
    """
    return RunId(f"{job}@{_named(fire_at)}")


@lru_cache(maxsize=1024)  # many jobs are due at the same instant
def _named(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):{_INSTANT}}"


def startup_run(job: JobName, boot: int | InstanceId) -> RunId:
    """Name the startup run of a boot epoch, or of one instance for output that is local to it."""
    return RunId(f"{job}@boot-{boot}")


def manual_run(job: JobName, unique: str) -> RunId:
    """Name a manual run by something unique: a UUID of version 7."""
    return RunId(f"{job}!{unique}")


def keyed_run(job: JobName, actor: str, key: str) -> RunId:
    """Name a manual run by its caller's idempotency key: the same key, the same run."""
    return RunId(f"{job}!k-{_digest(actor, key)}")


def child_run(job: JobName, parent: RunId, step: str) -> RunId:
    """Name the run that a step of another run asks for."""
    return RunId(f"{job}!p-{_digest(parent, step)}")


def retry_run(run_id: RunId, number: int) -> RunId:
    """Name the run that repeats an earlier one at an operator's wish."""
    return RunId(f"{run_id}!retry-{number}")


def backfill_run(job: JobName, fire_at: datetime, number: int) -> RunId:
    """Name the run that makes up for a fire time, the first, the second and so on.

    >>> backfill_run(JobName("tidy"), datetime(2026, 1, 1, 3, tzinfo=UTC), 1)
    'tidy@20260101T030000Z!backfill-1'
    """
    return RunId(f"{scheduled_run(job, fire_at)}!backfill-{number}")


def is_backfill(run_id: RunId) -> bool:
    """Whether a run makes up for a fire time, or repeats one that does."""
    return "!backfill-" in run_id


def job_of(run_id: RunId) -> JobName:
    """Return the job whose run this is.

    >>> job_of(RunId("tidy@20260101T030000Z!retry-1"))
    'tidy'
    """
    return JobName(re.split(r"[@!]", run_id, maxsplit=1)[0])


def run_stream(run_id: RunId) -> Stream:
    """Return the stream of a run."""
    return Stream("run-" + run_id)


def job_stream(job: JobName) -> Stream:
    """Return the stream of a job's definition and of the decisions about it."""
    return Stream("job-" + job)


def instance_stream(instance: InstanceId) -> Stream:
    """Return the stream of one process."""
    return Stream("instance-" + instance)


def run_of(stream: str) -> RunId | None:
    """Return the run whose stream this is, or None for any other stream."""
    run_id: Any = stream[4:]  # `RunId` would be one more call for every event that is read
    return run_id if stream.startswith("run-") else None


def instance_id(name: str, pid: int, boot: str) -> InstanceId:
    """Name a process: a label, its process id and 12 hex digits that no other start shares.

    >>> instance_id("web-1", 4242, "b1f2c3d4e5f6")
    'web-1.4242.b1f2c3d4e5f6'
    """
    label = re.sub(r"[^A-Za-z0-9_-]", "-", name)[:40] or "instance"
    return InstanceId(f"{label}.{pid}.{boot}")


def _digest(*parts: str) -> str:
    """Sum texts up so that the border between them counts: what separates them is escaped inside."""
    whole = "\x1f".join(part.replace("\x1e", "\x1e0").replace("\x1f", "\x1e1") for part in parts)
    return hashlib.sha256(whole.encode(errors="surrogatepass")).hexdigest()[:16]
