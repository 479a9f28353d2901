"""A job: its definition, what operators decided about it, and up to when its fire times are decided.

Every fire time of an active job ends in the ledger exactly once: triggered, or inside one recorded skip.
`planned_until` says up to where that has happened. A change of the definition closes a *window*: fire times
between `planned_until` and the change follow the old definition and are decided first, however late the
planner gets to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.catchup import Skipped, catch_up
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, Position, RunId, scheduled_run
from cronledger.domain.overlap import Overlap, admit
from cronledger.domain.schedule import Schedule, schedule_of
from cronledger.domain.sifting import MOST, Sifting, ranges
from cronledger.errors import CronledgerError

PLANNER = e.Actor.engine("planner")
FILES = e.Actor.engine("config")


class Window(msgspec.Struct, frozen=True):
    """Fire times after one instant up to another, read by the definition that held then."""

    after: datetime
    until: datetime
    definition: JobDefinition


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the ledger tells it: the fold of all events about it, and a row of status.

    Attributes:
        position: Of the last event about the job, in whatever stream.
        version: Of the job's own stream: what the next decision about it expects.
        override: An operator's enable or disable, which outlives the files until a reset.
        planned_until: The latest instant up to which fire times are decided.
        undecided: Windows that a change closed before their fire times were decided.
        in_flight: Runs that have not ended; running: those of them that an instance performs.
    """

    name: JobName
    position: Position = Position(0)
    version: int = 0
    definition: JobDefinition | None = None
    revision: str = ""
    retired: bool = False
    override: bool | None = None
    override_by: str | None = None
    override_reason: str | None = None
    override_at: datetime | None = None
    paused: bool = False
    planned_until: datetime | None = None
    undecided: tuple[Window, ...] = ()
    in_flight: tuple[RunId, ...] = ()
    running: tuple[RunId, ...] = ()
    triggered: int = 0
    succeeded: int = 0
    partial: int = 0
    failed: int = 0
    timed_out: int = 0
    cancelled: int = 0
    lost: int = 0
    skipped: int = 0
    last_fire_at: datetime | None = None
    last_outcome: run.Outcome | None = None
    last_ended_at: datetime | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether the job is switched on: an operator's word, else the files'."""
        if self.override is not None:
            return self.override
        return self.definition is not None and self.definition.enabled

    @property
    def is_active(self) -> bool:
        """Whether new fire times of the job become due."""
        definition = self.definition
        return (
            definition is not None
            and definition.scheduled
            and definition.schedule != ""
            and self.is_enabled
            and not self.retired
            and not self.paused
        )


class Decision(msgspec.Struct, frozen=True):
    """What is decided about due fire times: events for the job's stream, runs, and runs in their way."""

    skips: tuple[e.Event, ...] = ()
    triggers: tuple[e.Event, ...] = ()
    replaced: tuple[RunId, ...] = ()


# --- questions and verbs --------------------------------------------------------------------------------


def next_fire(state: JobState) -> datetime | None:
    """Return the earliest fire time that is not decided yet, None if there is none.

    Those that a calendar takes away are left out, and decided together with the one that comes after them;
    of a long time without one, now and then one is returned nevertheless (`Schedule.next_to_decide`).
    """
    for window in state.undecided:
        fire_at = next(_fire_times(window), None)
        if fire_at is not None:
            return fire_at
    if not state.is_active or state.definition is None or state.planned_until is None:
        return None
    schedule = schedule_for(state.definition)
    return schedule.next_to_decide(state.planned_until) if schedule else None


def next_fire_after(state: JobState, decided: datetime) -> datetime | None:
    """Return the earliest fire time once everything up to an instant has been decided."""
    replace = msgspec.structs.replace
    left = tuple(
        replace(window, after=max(window.after, decided))
        for window in state.undecided
        if window.until > decided
    )
    planned_until = max(state.planned_until, decided) if state.planned_until else decided
    return next_fire(replace(state, planned_until=planned_until, undecided=left))


def due(state: JobState, now: datetime) -> Decision:
    """Decide every undecided fire time at or before `now`: trigger it, or skip it for a reason."""
    skips: list[e.Event] = []
    triggers: list[e.Event] = []
    for number, window in enumerate(_open_windows(state, now)):
        # A window that a change closed may reach beyond `now` once the ledger's clock was set back.
        come = msgspec.structs.replace(window, until=min(window.until, now))
        goes_on = number >= len(state.undecided)
        _decide(come, now, skips, triggers, in_flight=state.in_flight, goes_on=goes_on)
    definition = state.definition
    replaces = triggers and definition is not None and definition.overlap is Overlap.REPLACE
    return Decision(tuple(skips), tuple(triggers), state.in_flight if replaces else ())


def forgo(state: JobState, until: datetime) -> tuple[e.Event, ...]:
    """Skip every undecided fire time up to an instant, because it may have run in a history that is lost.

    A job that says it is idempotent forgoes nothing.
    """
    if state.definition is None or state.definition.idempotent:
        return ()
    found = (ranges(_fire_times(window), "lineage") for window in _open_windows(state, until))
    return tuple(_skipped(state.name, skipped) for parts in found for skipped in parts)


def define(
    state: JobState | None, definition: JobDefinition, revision: str, actor: e.Actor = FILES
) -> list[e.Event]:
    """Register the job, or redefine it if anything about it has changed."""
    if state is None or state.definition is None or state.retired:
        registered = e.JobRegistered(definition=definition, revision=revision)
        return [e.Event(body=registered, actor=actor, job=definition.name)]
    if state.definition == definition:
        return []
    redefined = e.JobRedefined(definition=definition, revision=revision)
    return [e.Event(body=redefined, actor=actor, job=definition.name)]


def retire(state: JobState, revision: str, actor: e.Actor = FILES) -> list[e.Event]:
    """Take the job out of the configuration; its history stays."""
    if state.retired or state.definition is None:
        return []
    return [e.Event(body=e.JobRetired(revision=revision), actor=actor, job=state.name)]


def enable(state: JobState, actor: e.Actor, reason: str | None) -> list[e.Event]:
    """Switch the job on, whatever the files say."""
    if state.override is True:
        return []
    return [e.Event(body=e.JobEnabled(reason=reason), actor=actor, job=state.name)]


def disable(state: JobState, actor: e.Actor, reason: str | None) -> list[e.Event]:
    """Switch the job off, whatever the files say."""
    if state.override is False:
        return []
    return [e.Event(body=e.JobDisabled(reason=reason), actor=actor, job=state.name)]


def reset(state: JobState, actor: e.Actor, reason: str | None) -> list[e.Event]:
    """Let the job follow the files again."""
    if state.override is None:
        return []
    return [e.Event(body=e.JobReset(reason=reason), actor=actor, job=state.name)]


def schedule_for(definition: JobDefinition) -> Schedule | None:
    """Return the schedule of a definition; None for manual only, or if this version cannot read it."""
    try:
        return schedule_of(
            definition.schedule,
            timezone=definition.timezone,
            day_match=definition.day_match,
            dst=definition.dst,
            calendar=definition.calendar,
        )
    except CronledgerError:
        return None


def _open_windows(state: JobState, now: datetime) -> list[Window]:
    windows = list(state.undecided)
    if state.is_active and state.definition and state.planned_until and state.planned_until < now:
        windows.append(Window(state.planned_until, now, state.definition))
    return windows


def _decide(
    window: Window,
    now: datetime,
    skips: list[e.Event],
    triggers: list[e.Event],
    *,
    in_flight: tuple[RunId, ...],
    goes_on: bool,
) -> None:
    definition = window.definition
    schedule = schedule_for(definition)
    if schedule is None:
        return
    grace = timedelta(seconds=definition.grace_seconds) if definition.grace_seconds is not None else None
    sifting = Sifting(schedule, window.after, window.until)
    decided = catch_up(
        definition.catch_up, sifting.left(), now=now, grace=grace, limit=definition.catch_up_limit
    )
    going = len(in_flight) + len(triggers)
    admitted = admit(definition.overlap, len(decided.fire), in_flight=going)
    refused = decided.fire[: admitted.start] + decided.fire[admitted.stop :]
    found = sifting.told(goes_on=goes_on)
    found = found + [part for skipped in decided.skipped for part in sifting.apart(skipped)]
    found += ranges(refused, "overlap", sifting.taken)
    for skipped in sorted(found, key=lambda each: each.first_at):
        in_the_way = in_flight[0] if in_flight and skipped.reason == "overlap" else None
        skips.append(_skipped(definition.name, skipped, in_the_way=in_the_way))
    for index in admitted:
        fire_at = decided.fire[index]
        run_id = scheduled_run(definition.name, fire_at)
        triggers.append(run.trigger(definition, run_id, e.Cause.SCHEDULE, PLANNER, fire_at=fire_at))


def _fire_times(window: Window) -> Iterator[datetime]:
    schedule = schedule_for(window.definition)
    if schedule is None:
        return iter(())
    return schedule.ruled(window.after, window.until, MOST)


def _skipped(job: JobName, skipped: Skipped, in_the_way: RunId | None = None) -> e.Event:
    body = e.FireTimesSkipped(
        first_at=skipped.first_at,
        last_at=skipped.last_at,
        count=skipped.count,
        reason=skipped.reason,
        in_the_way=in_the_way,
    )
    return e.Event(body=body, actor=PLANNER, job=job)


# --- fold -----------------------------------------------------------------------------------------------


def evolve(state: JobState | None, recorded: e.Recorded) -> JobState | None:
    """Fold one event about the job, of its own stream or of one of its runs."""
    if recorded.job is None:
        return state
    if state is None:
        state = JobState(name=recorded.job)
    if recorded.run_id is None:
        return _evolve_job(state, recorded)
    return _evolve_runs(state, recorded, recorded.run_id)


def _evolve_job(state: JobState, recorded: e.Recorded) -> JobState:
    body = recorded.body
    replace = msgspec.structs.replace
    moved = {"position": recorded.position, "version": recorded.version}
    if isinstance(body, e.FireTimesSkipped):
        skipped = replace(state, **moved, skipped=state.skipped + body.count)
        return _decided(skipped, body.last_at)
    before = state
    match body:
        case e.JobRegistered() | e.JobRedefined():
            state = replace(state, **moved, definition=body.definition, revision=body.revision, retired=False)
        case e.JobRetired():
            state = replace(state, **moved, retired=True)
        case e.JobEnabled() | e.JobDisabled():
            state = replace(
                state,
                **moved,
                override=isinstance(body, e.JobEnabled),
                override_by=f"{recorded.actor.kind}:{recorded.actor.name}",
                override_reason=body.reason,
                override_at=recorded.recorded_at,
            )
        case e.JobReset():
            state = replace(
                state, **moved, override=None, override_by=None, override_reason=None, override_at=None
            )
        case e.JobPaused():
            state = replace(state, **moved, paused=True)
        case e.JobResumed():
            return replace(state, **moved, paused=False)
        case _:
            return replace(state, **moved)
    return _close_window(before, state, recorded.recorded_at)


def _close_window(before: JobState, after: JobState, at: datetime) -> JobState:
    """Let the old definition keep the fire times up to the change that nobody has decided yet."""
    undecided = before.undecided
    if before.is_active and before.definition and before.planned_until:
        window = Window(before.planned_until, at, before.definition)
        if next(_fire_times(window), None) is not None:
            undecided = (*undecided, window)
    planned_until = max(at, before.planned_until) if before.planned_until else at
    return msgspec.structs.replace(after, planned_until=planned_until, undecided=undecided)


def _decided(state: JobState, until: datetime | None) -> JobState:
    if until is None:
        return state
    planned_until = max(state.planned_until, until) if state.planned_until else until
    if not state.undecided:
        return msgspec.structs.replace(state, planned_until=planned_until)
    undecided = []
    for window in state.undecided:
        rest = msgspec.structs.replace(window, after=max(window.after, until))
        if rest.after < rest.until and next(_fire_times(rest), None) is not None:
            undecided.append(rest)
    return msgspec.structs.replace(state, planned_until=planned_until, undecided=tuple(undecided))


def _evolve_runs(state: JobState, recorded: e.Recorded, run_id: RunId) -> JobState:
    body = recorded.body
    replace = msgspec.structs.replace
    position = recorded.position
    if isinstance(body, e.RunTriggered):
        state = replace(
            state, position=position, triggered=state.triggered + 1, in_flight=(*state.in_flight, run_id)
        )
        if recorded.cause is not e.Cause.SCHEDULE:
            return state
        return _decided(replace(state, last_fire_at=recorded.fire_at), recorded.fire_at)
    if isinstance(body, e.RunStarted):
        return replace(state, position=position, running=(*_without(state.running, run_id), run_id))
    if isinstance(body, e.AttemptEnded):
        return replace(state, position=position, running=_without(state.running, run_id))
    if isinstance(body, e.RunEnded) and run_id in state.in_flight:
        outcome = run.outcome_of(body)
        counts = {outcome.value: getattr(state, outcome.value) + 1}
        return replace(
            state,
            position=position,
            in_flight=_without(state.in_flight, run_id),
            running=_without(state.running, run_id),
            last_outcome=outcome,
            last_ended_at=recorded.recorded_at,
            **counts,
        )
    return replace(state, position=position)


def _without(runs: tuple[RunId, ...], run_id: RunId) -> tuple[RunId, ...]:
    return tuple(other for other in runs if other != run_id)
