"""Every event: what can be said in the ledger, each with its written tag.

An `Event` is a *header* (who, about what) and a *body* (what exactly). The header stays for ever; a body can
be erased, so every field of a body has a default and an erased body reads as one without particulars.

Events live for ever. A field may be added, with a default; nothing is renamed, retyped or removed. A new
meaning is a new tag and an upcaster (`ledger/codec.py`). A tag that this version does not know is read as
`Unrecognized` and folded past.
"""

# ruff: noqa: PLC0414 - whoever speaks of events names all of them through this module

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, TypeGuard

import msgspec

from cronledger.domain.actor import Actor as Actor
from cronledger.domain.body import Body as Body
from cronledger.domain.body import Decision
from cronledger.domain.cluster_events import ClockStepped as ClockStepped
from cronledger.domain.cluster_events import ConfigApplied as ConfigApplied
from cronledger.domain.cluster_events import ConfigLoaded as ConfigLoaded
from cronledger.domain.cluster_events import ConfigRejected as ConfigRejected
from cronledger.domain.cluster_events import FeatureEnabled as FeatureEnabled
from cronledger.domain.cluster_events import InstanceStarted as InstanceStarted
from cronledger.domain.cluster_events import InstanceStopped as InstanceStopped
from cronledger.domain.cluster_events import LeaderElected as LeaderElected
from cronledger.domain.cluster_events import LeaderResigned as LeaderResigned
from cronledger.domain.cluster_events import LedgerRegressed as LedgerRegressed
from cronledger.domain.cluster_events import LineageChanged as LineageChanged
from cronledger.domain.cluster_events import LoopBlocked as LoopBlocked
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import InstanceId, JobName, Position, RunId, Stream, Term


class Cause(StrEnum):
    """Why a run was triggered."""

    SCHEDULE = "schedule"
    STARTUP = "startup"
    MANUAL = "manual"
    BACKFILL = "backfill"
    RETRY = "retry"
    PARENT = "parent"


# --- bodies ---------------------------------------------------------------------------------------------


class JobRegistered(Body, frozen=True, kw_only=True):
    """A job is defined here for the first time, or again after it was retired."""

    type: ClassVar[str] = "job.registered"
    definition: JobDefinition | None = None
    revision: str = ""


class JobRedefined(Body, frozen=True, kw_only=True):
    """The definition has changed; fire times up to now follow the old one."""

    type: ClassVar[str] = "job.redefined"
    definition: JobDefinition | None = None
    revision: str = ""


class JobRetired(Body, frozen=True, kw_only=True):
    """The job is no longer defined; its history stays."""

    type: ClassVar[str] = "job.retired"
    revision: str = ""


class JobEnabled(Decision, frozen=True, kw_only=True):
    """An operator switched the job on, whatever the files say, until a reset."""

    type: ClassVar[str] = "job.enabled"


class JobDisabled(Decision, frozen=True, kw_only=True):
    """An operator switched the job off, whatever the files say, until a reset."""

    type: ClassVar[str] = "job.disabled"


class JobReset(Decision, frozen=True, kw_only=True):
    """The job follows the files' `enabled` again."""

    type: ClassVar[str] = "job.reset"


class JobPaused(Decision, frozen=True, kw_only=True):
    """An operator suspended the schedule; its fire times will be recorded as skipped."""

    type: ClassVar[str] = "job.paused"


class JobResumed(Decision, frozen=True, kw_only=True):
    """The schedule goes on."""

    type: ClassVar[str] = "job.resumed"


class FireTimesSkipped(Body, frozen=True, kw_only=True):
    """Neighbouring fire times, both ends included, that will not run."""

    type: ClassVar[str] = "job.fire_times_skipped"
    first_at: datetime | None = None
    last_at: datetime | None = None
    count: int = 0
    reason: str = ""
    in_the_way: RunId | None = None


class RunTriggered(Body, frozen=True, kw_only=True):
    """A run is intended; any instance that provides the job may claim it.

    `parameters` are those that differ from the definition's; `of` is the earlier run that this one repeats,
    taking over the steps that it has finished, but for `from_step` and all that began after that;
    `claim_from` is the instant before which nobody claims it (jitter).
    """

    type: ClassVar[str] = "run.triggered"
    parameters: dict[str, Any] = {}  # noqa: RUF012 - an empty default is made anew
    of: RunId | None = None
    from_step: str | None = None
    parent: RunId | None = None
    instance: InstanceId | None = None
    claim_from: datetime | None = None
    reason: str | None = None


class RunStarted(Body, frozen=True, kw_only=True):
    """An attempt has begun on the instance that says so: this is the claim."""

    type: ClassVar[str] = "run.started"


class StepStarted(Body, frozen=True, kw_only=True):
    """A named part of the run has begun."""

    type: ClassVar[str] = "step.started"
    name: str = ""


class _StepEnded(Body, frozen=True, kw_only=True):
    type: ClassVar[str]
    name: str = ""
    duration_ms: int = 0
    items_processed: int | None = None
    items_failed: int | None = None
    message: str | None = None


class StepSucceeded(_StepEnded, frozen=True, kw_only=True):
    """The step is done; its recorded result stands when the run is retried.

    `form` says what comes back then: the `value` of `result`, a `job_result` made of the counts, the message
    and the duration, or nothing, because a `block` is performed again.
    """

    type: ClassVar[str] = "step.succeeded"
    result: Any = None
    form: str = "value"


class StepFailed(_StepEnded, frozen=True, kw_only=True):
    """The step raised, or returned a failure."""

    type: ClassVar[str] = "step.failed"
    error: str = ""


class StepSkipped(_StepEnded, frozen=True, kw_only=True):
    """The step was not begun."""

    type: ClassVar[str] = "step.skipped"
    reason: str | None = None


class _RunEnded(Body, frozen=True, kw_only=True):
    type: ClassVar[str]
    message: str | None = None
    items_processed: int | None = None
    items_failed: int | None = None
    duration_ms: int | None = None
    error: str | None = None
    reason: str | None = None


class RunSucceeded(_RunEnded, frozen=True, kw_only=True):
    """The run has done its work."""

    type: ClassVar[str] = "run.succeeded"


class RunPartial(_RunEnded, frozen=True, kw_only=True):
    """Some steps of the run failed, some did not."""

    type: ClassVar[str] = "run.partial"


class RunFailed(_RunEnded, frozen=True, kw_only=True):
    """The job returned a failure or raised, and no attempt is left."""

    type: ClassVar[str] = "run.failed"


class RunTimedOut(_RunEnded, frozen=True, kw_only=True):
    """The run took longer than it may, and no attempt is left."""

    type: ClassVar[str] = "run.timed_out"


class RunCancelled(_RunEnded, frozen=True, kw_only=True):
    """The run was asked to stop, and did."""

    type: ClassVar[str] = "run.cancelled"


class RunLost(_RunEnded, frozen=True, kw_only=True):
    """The instance that performed the run fell silent, and no attempt is left."""

    type: ClassVar[str] = "run.lost"


class _AttemptEnded(Body, frozen=True, kw_only=True):
    type: ClassVar[str]
    error: str | None = None
    reason: str | None = None
    duration_ms: int | None = None
    claim_from: datetime | None = None


class AttemptFailed(_AttemptEnded, frozen=True, kw_only=True):
    """An attempt failed or took too long; the run waits for the next one."""

    type: ClassVar[str] = "attempt.failed"


class AttemptLost(_AttemptEnded, frozen=True, kw_only=True):
    """The instance of an attempt fell silent; the run waits for the next one."""

    type: ClassVar[str] = "attempt.lost"


class AttemptInterrupted(_AttemptEnded, frozen=True, kw_only=True):
    """The instance shut down before the attempt had ended; the run waits for the next one."""

    type: ClassVar[str] = "attempt.interrupted"


class RunCancelRequested(Decision, frozen=True, kw_only=True):
    """Somebody wants the run to stop."""

    type: ClassVar[str] = "run.cancel_requested"


class RunLateResult(_RunEnded, frozen=True, kw_only=True):
    """What a lost attempt reports after all; it changes nothing."""

    type: ClassVar[str] = "run.late_result"
    outcome: str = ""


class Unrecognized(Body, frozen=True, kw_only=True):
    """An event of a type that this version does not know: folded past, shown as it stands."""

    type: ClassVar[str] = "unrecognized"
    fields: dict[str, Any] = {}  # noqa: RUF012 - an empty default is made anew


BODIES: dict[str, type[Body]] = {
    body.type: body
    for body in (
        JobRegistered, JobRedefined, JobRetired,
        JobEnabled, JobDisabled, JobReset, JobPaused, JobResumed, FireTimesSkipped,
        RunTriggered, RunStarted, StepStarted, StepSucceeded, StepFailed, StepSkipped,
        RunSucceeded, RunPartial, RunFailed, RunTimedOut, RunCancelled, RunLost,
        AttemptFailed, AttemptLost, AttemptInterrupted, RunCancelRequested, RunLateResult,
        LeaderElected, LeaderResigned, InstanceStarted, InstanceStopped, LoopBlocked, ClockStepped,
        ConfigLoaded, ConfigApplied, ConfigRejected, FeatureEnabled, LineageChanged, LedgerRegressed,
    )
}  # fmt: skip
"""Every tag that this version writes, and the shape of its body."""

RunEnded = RunSucceeded | RunPartial | RunFailed | RunTimedOut | RunCancelled | RunLost
AttemptEnded = AttemptFailed | AttemptLost | AttemptInterrupted
_RUN_ENDED = frozenset(RunEnded.__args__)
_ATTEMPT_ENDED = frozenset(AttemptEnded.__args__)


def has_ended_run(body: Body) -> TypeGuard[RunEnded]:
    """Whether a body ends a run; by its type, for most of a fold's time went into `isinstance`."""
    return type(body) in _RUN_ENDED


def has_ended_attempt(body: Body) -> TypeGuard[AttemptEnded]:
    """Whether a body ends an attempt and not the run."""
    return type(body) in _ATTEMPT_ENDED


# --- header and body together ---------------------------------------------------------------------------


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fact that has been decided and not yet recorded."""

    body: Body
    actor: Actor
    job: JobName | None = None
    run_id: RunId | None = None
    attempt: int | None = None
    fire_at: datetime | None = None
    cause: Cause | None = None


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event as the ledger holds it. `recorded_at` is the ledger's clock and never goes back.

    The reader of the ledger makes it of its fields in order: naming them would take longer than all the rest.
    """

    position: Position
    id: str
    stream: Stream
    version: int
    type: str
    schema: int
    must_understand: bool
    recorded_at: datetime
    instance: InstanceId
    term: Term | None
    actor: Actor
    job: JobName | None
    run_id: RunId | None
    attempt: int | None
    fire_at: datetime | None
    cause: Cause | None
    body: Body
