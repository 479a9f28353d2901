"""A job as configured here: code defaults, then config, then profile. A value, recorded as an event."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from cronledger.domain.calendar import Calendar
from cronledger.domain.catchup import CatchUp
from cronledger.domain.ids import JobName
from cronledger.domain.overlap import Overlap
from cronledger.domain.retry import Retry

DEFAULT_QUEUE = "default"


class Startup(StrEnum):
    """Whether the job runs when an application starts."""

    NEVER = "never"
    CLUSTER = "cluster"
    """Once per boot epoch, on any instance."""
    INSTANCE = "instance"
    """Once in every process, for output that is local to it."""


class DayMatch(StrEnum):
    """How the two day fields combine when both are restricted."""

    OR = "or"
    AND = "and"


class Gap(StrEnum):
    """What a fixed time does that the clock skips."""

    SHIFT = "shift"
    SKIP = "skip"


class Fold(StrEnum):
    """What a fixed time does that the clock shows twice."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


class Dst(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The rule of fixed schedules where the local clock jumps."""

    gap: Gap = Gap.SHIFT
    fold: Fold = Fold.FIRST


class Isolation(StrEnum):
    """Where the code of a run is performed."""

    THREAD = "thread"
    """In the instance: a coroutine of its loop, or a thread. It cannot be stopped against its will."""
    PROCESS = "process"
    """In a process of its own, which can be killed."""


class JobDefinition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Everything the engine knows about a job. `name` is its identity in ledger, streams and ids.

    Attributes:
        name: The entry's label, unique.
        extension: Who provides the code.
        job: What the code is called there.
        schedule: Six cron fields, or empty: manual only.
        timezone: IANA name in which the schedule is read.
        scheduled: Whether a config entry lists the job; without one it only runs by hand.
        startup: Resolved from code, entry and scope: the two-layer startup rule has been applied.
        enforce: False: destructive jobs count and report, and change nothing.
        queue, queue_limit: Whose runs count together, and how many of them are performed at once; None: any
            number.
        calendar: What takes fire times away, as it stood when the definition was recorded.
        isolation: Whether its code gets a process of its own.
        grace_seconds, timeout_seconds, claim_timeout_seconds, jitter_seconds: Seconds; None: not set.
    """

    name: JobName
    extension: str = "core"
    job: str = ""
    description: str = ""
    schedule: str = ""
    timezone: str = "UTC"
    day_match: DayMatch = DayMatch.OR
    dst: Dst = Dst()
    enabled: bool = True
    scheduled: bool = True
    startup: Startup = Startup.NEVER
    parameters: dict[str, Any] = {}
    enforce: bool = True
    owner: str | None = None
    tags: tuple[str, ...] = ()
    overlap: Overlap = Overlap.SKIP
    max_concurrent: int | None = None
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_limit: int = 100
    grace_seconds: int | None = None
    timeout_seconds: float | None = None
    idempotent: bool = False
    isolation: Isolation = Isolation.THREAD
    recovery_attempts: int = 3
    claim_timeout_seconds: int = 3600
    retry: Retry = Retry()
    jitter_seconds: int = 0
    priority: int = 0
    queue: str = DEFAULT_QUEUE
    queue_limit: int | None = None
    calendar: Calendar | None = None

    @property
    def code(self) -> str:
        """What the code is called: as its entry is, unless said otherwise."""
        return self.job or self.name
