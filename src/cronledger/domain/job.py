"""A job: its definition, what operators decided about it, and up to when its fire times are decided.

Every fire time of an active job ends in the ledger exactly once: triggered, or inside one recorded skip.
`planned_until` says up to where that has happened. A change of the definition closes a *window*: fire times
between `planned_until` and the change follow the old definition and are decided first, however late the
planner gets to them. The windows of a pause are skipped as one when the job is resumed.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.catchup import Skipped
from cronledger.domain.definition import JobDefinition
from cronledger.domain.due import AT_ONCE, decide
from cronledger.domain.ids import JobName, Position, RunId, is_backfill, scheduled_run
from cronledger.domain.overlap import Overlap
from cronledger.domain.schedule import schedule_for
from cronledger.domain.sifting import ranges
from cronledger.domain.windows import PAUSED, Window, fire_times, parted, passed_over, planned

PLANNER = e.Actor.engine("planner")
FILES = e.Actor.engine("config")


class JobState(msgspec.Struct, frozen=True, gc=False):
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
    def in_the_way(self) -> tuple[RunId, ...]:
        """The unfinished runs that the overlap policy counts.

        Not backfill: it may wait for days, and must not keep the schedule or an operator from anything.
        """
        return tuple(run_id for run_id in self.in_flight if not is_backfill(run_id))

    @property
    def is_active(self) -> bool:
        """Whether new fire times of the job become due."""
        return self.has_fire_times and not self.paused

    @property
    def has_fire_times(self) -> bool:
        """Whether fire times of the job come, be it that a pause passes them over."""
        definition = self.definition
        return (
            definition is not None
            and definition.scheduled
            and definition.schedule != ""
            and self.is_enabled
            and not self.retired
        )


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What is decided about due fire times: events for the job's stream, runs, and runs in their way.

    Unless it `is_whole`, more have come, and are decided once these are.
    """

    skips: tuple[e.Event, ...] = ()
    triggers: tuple[e.Event, ...] = ()
    replaced: tuple[RunId, ...] = ()
    is_whole: bool = True


# --- questions and verbs --------------------------------------------------------------------------------


def next_fire(state: JobState) -> datetime | None:
    """Return the earliest fire time that is not decided yet, None if there is none.

    Those that a calendar takes away are left out, and decided together with the one that comes after them;
    of a long time without one, now and then one is returned nevertheless (`Schedule.next_to_decide`).
    """
    for window in _closed_windows(state):
        fire_at = next(fire_times(window), None)
        if fire_at is not None:
            return fire_at
    if not state.is_active or state.definition is None or state.planned_until is None:
        return None
    schedule = schedule_for(state.definition)
    return schedule.next_to_decide(state.planned_until) if schedule else None


def next_fire_after(state: JobState, decided: datetime) -> datetime | None:
    """Return the earliest fire time once everything up to an instant has been decided."""
    left = tuple(
        msgspec.structs.replace(window, after=max(window.after, decided))
        for window in state.undecided
        if window.until > decided
    )
    return next_fire(_planned_until(state, decided, left))


def due(state: JobState, now: datetime, *, at_once: int = AT_ONCE) -> Decision:
    """Decide the undecided fire times at or before `now`: trigger each, or skip it for a reason.

    All of them, unless there are more than can be read `at_once`.
    """
    skips: list[e.Event] = []
    triggers: list[e.Event] = []
    is_whole = True
    closed = len(_closed_windows(state))
    for number, window in enumerate(_open_windows(state, now)):
        # A window that a change closed may reach beyond `now` once the ledger's clock was set back.
        come = msgspec.structs.replace(window, until=min(window.until, now))
        in_flight = len(state.in_the_way) + len(triggers)
        portion = decide(come, now, in_flight=in_flight, goes_on=number >= closed, at_once=at_once)
        for skipped in portion.skipped:
            in_the_way = state.in_the_way[:1] if skipped.reason == "overlap" else ()
            skips.append(_skipped(state.name, skipped, *in_the_way))
        triggers += [_triggered(window.definition, fire_at) for fire_at in portion.fire]
        if not portion.is_whole:
            is_whole = False
            break
    definition = state.definition
    replaces = triggers and definition is not None and definition.overlap is Overlap.REPLACE
    return Decision(tuple(skips), tuple(triggers), state.in_the_way if replaces else (), is_whole)


def forgo(state: JobState, until: datetime) -> tuple[e.Event, ...]:
    """Skip every undecided fire time up to an instant, because it may have run in a history that is lost.

    A job that says it is idempotent forgoes nothing.
    """
    if state.definition is None or state.definition.idempotent:
        return ()
    skipped = [
        each
        for window in _open_windows(state, until)
        for each in ranges(fire_times(window), PAUSED if window.paused else "lineage")
    ]
    return tuple(_skipped(state.name, each) for each in skipped)


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


def pause(state: JobState, actor: e.Actor, reason: str | None) -> list[e.Event]:
    """Suspend the schedule; fire times up to now follow it and are decided, later ones will be skipped."""
    if state.paused:
        return []
    return [e.Event(body=e.JobPaused(reason=reason), actor=actor, job=state.name)]


def resume(state: JobState, actor: e.Actor, reason: str | None, *, now: datetime) -> list[e.Event]:
    """Let the schedule go on, and skip as one range what came due while the job was paused.

    Fire times that come between `now` and the record are left to the planner, which skips them too.
    """
    if not state.paused:
        return []
    _, windows = parted(state.undecided)
    if state.has_fire_times and state.definition and state.planned_until:
        windows = (*windows, Window(state.planned_until, now, state.definition, paused=True))
    skipped = ranges((fire_at for window in windows for fire_at in fire_times(window)), PAUSED)
    skips = [_skipped(state.name, each, actor=actor) for each in skipped]
    return [*skips, e.Event(body=e.JobResumed(reason=reason), actor=actor, job=state.name)]


def _open_windows(state: JobState, now: datetime) -> list[Window]:
    windows = list(_closed_windows(state))
    if state.is_active and state.definition and state.planned_until and state.planned_until < now:
        windows.append(Window(state.planned_until, now, state.definition))
    return windows


def _closed_windows(state: JobState) -> tuple[Window, ...]:
    """Return the windows that the planner decides: all but those that wait for the job to be resumed."""
    return parted(state.undecided)[0] if state.paused and not state.retired else state.undecided


def _triggered(definition: JobDefinition, fire_at: datetime) -> e.Event:
    run_id = scheduled_run(definition.name, fire_at)
    return run.trigger(definition, run_id, e.Cause.SCHEDULE, PLANNER, fire_at=fire_at)


def _skipped(
    job: JobName, skipped: Skipped, in_the_way: RunId | None = None, *, actor: e.Actor = PLANNER
) -> e.Event:
    body = e.FireTimesSkipped(
        first_at=skipped.first_at,
        last_at=skipped.last_at,
        count=skipped.count,
        reason=skipped.reason,
        in_the_way=in_the_way,
    )
    return e.Event(body=body, actor=actor, job=job)


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
        return _passed_over(skipped, body) if body.reason == PAUSED else _decided(skipped, body.last_at)
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
                override_by=str(recorded.actor),
                override_reason=body.reason,
                override_at=recorded.recorded_at,
            )
        case e.JobReset():
            state = replace(
                state, **moved, override=None, override_by=None, override_reason=None, override_at=None
            )
        case e.JobPaused() | e.JobResumed():
            state = replace(state, **moved, paused=isinstance(body, e.JobPaused))
        case _:
            return replace(state, **moved)
    return _close_window(before, state, recorded.recorded_at)


def _close_window(before: JobState, after: JobState, at: datetime) -> JobState:
    """Let the old definition keep the fire times up to the change that nobody has decided yet."""
    undecided = before.undecided
    if before.has_fire_times and before.definition and before.planned_until:
        window = Window(before.planned_until, at, before.definition, before.paused)
        if not window.is_empty:
            undecided = (*undecided, window)
    return _planned_until(after, at, undecided)


def _decided(state: JobState, until: datetime | None) -> JobState:
    if until is None:
        return state
    return _planned_until(state, until, planned(state.undecided, until) if state.undecided else ())


def _passed_over(state: JobState, skip: e.FireTimesSkipped) -> JobState:
    if skip.first_at is None or skip.last_at is None:
        return state
    undecided = passed_over(state.undecided, skip.first_at, skip.last_at)
    return _planned_until(state, skip.last_at, undecided)


def _planned_until(state: JobState, until: datetime, undecided: tuple[Window, ...]) -> JobState:
    """Let decisions reach an instant, never back from where they have been, and leave these windows."""
    until = max(state.planned_until, until) if state.planned_until else until
    return msgspec.structs.replace(state, planned_until=until, undecided=undecided)


def _evolve_runs(state: JobState, recorded: e.Recorded, run_id: RunId) -> JobState:
    body = recorded.body
    replace = msgspec.structs.replace
    position = recorded.position
    if type(body) is e.RunTriggered:
        is_scheduled = recorded.cause is e.Cause.SCHEDULE
        state = replace(
            state,
            position=position,
            triggered=state.triggered + 1,
            in_flight=(*state.in_flight, run_id),
            last_fire_at=recorded.fire_at if is_scheduled else state.last_fire_at,
        )
        return _decided(state, recorded.fire_at) if is_scheduled else state
    if type(body) is e.RunStarted:
        return replace(state, position=position, running=(*_without(state.running, run_id), run_id))
    if e.has_ended_attempt(body):
        return replace(state, position=position, running=_without(state.running, run_id))
    if e.has_ended_run(body) and run_id in state.in_flight:
        outcome = run.outcome_of(body)
        count = str(outcome)
        return replace(
            state,
            position=position,
            in_flight=_without(state.in_flight, run_id),
            running=_without(state.running, run_id),
            last_outcome=outcome,
            last_ended_at=recorded.recorded_at,
            **{count: getattr(state, count) + 1},
        )
    return replace(state, position=position)


def _without(runs: tuple[RunId, ...], run_id: RunId) -> tuple[RunId, ...]:
    return () if runs == (run_id,) else tuple(other for other in runs if other != run_id)
