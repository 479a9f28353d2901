"""What becomes of a job: what is decided about its fire times, and what the ledger tells of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import reduce
from typing import Any

import msgspec
import pytest

from cronledger.domain import events as e
from cronledger.domain import job
from cronledger.domain.catchup import CatchUp
from cronledger.domain.definition import DayMatch, Dst, Fold, JobDefinition
from cronledger.domain.ids import JobName, Position, backfill_run, scheduled_run
from cronledger.domain.job import Decision, JobState
from cronledger.domain.overlap import Overlap
from cronledger.domain.run import Outcome
from cronledger.domain.schedule import schedule_for, schedule_of
from cronledger.domain.windows import Window
from tests.unit.domain.history import BEFORE, NOON, history, recorded

ANN = e.Actor.operator("ann")
FILES = e.Actor.engine("config")
PLANNER = e.Actor.engine("planner")


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return NOON.replace(hour=hour, minute=minute, second=second)


TIDY = JobName("tidy")
HOURLY = JobDefinition(name=TIDY, schedule="0 0 * * * *")
DAILY = JobDefinition(name=TIDY, schedule="0 0 3 * * *")
UNREADABLE = JobDefinition(name=TIDY, schedule="whenever there is time")
FIRST, SECOND, THIRD = (scheduled_run(TIDY, at(hour)) for hour in (11, 12, 13))
ACTIVE = JobState(name=TIDY, definition=HOURLY, planned_until=NOON)


def replaced(definition: JobDefinition, **changed: Any) -> JobDefinition:
    return msgspec.structs.replace(definition, **changed)


def said(body: e.Body, *, by: e.Actor = ANN) -> e.Event:
    return e.Event(body=body, actor=by, job=TIDY)


def of_run(body: e.Body, hour: int, cause: e.Cause = e.Cause.SCHEDULE) -> e.Event:
    return e.Event(
        body=body,
        actor=PLANNER,
        job=TIDY,
        run_id=scheduled_run(TIDY, at(hour)),
        fire_at=at(hour),
        cause=cause,
    )


def skipped(first: datetime, last: datetime, count: int, reason: str, **more: Any) -> e.Event:
    body = e.FireTimesSkipped(first_at=first, last_at=last, count=count, reason=reason, **more)
    return said(body, by=PLANNER)


def triggers(*hours: int) -> tuple[e.Event, ...]:
    return tuple(of_run(e.RunTriggered(), hour) for hour in hours)


# --- what is due ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "fire_at"),
    [
        (ACTIVE, at(13)),
        (JobState(name=TIDY), None),
        (JobState(name=TIDY, definition=HOURLY), None),
        (JobState(name=TIDY, definition=UNREADABLE, planned_until=NOON), None),
        (msgspec.structs.replace(ACTIVE, paused=True), None),
        (msgspec.structs.replace(ACTIVE, undecided=(Window(at(9), at(10), HOURLY),)), at(10)),
        (
            msgspec.structs.replace(ACTIVE, override=False, undecided=(Window(at(9), at(10), HOURLY),)),
            at(10),
        ),
        (msgspec.structs.replace(ACTIVE, undecided=(Window(at(9), at(10), UNREADABLE),)), at(13)),
    ],
    ids=[
        "active", "not defined", "nothing decided", "unreadable", "paused", "window", "window, disabled",
        "window that cannot be read",
    ],
)  # fmt: skip
def test_the_next_fire_time_is_the_earliest_that_is_not_decided(
    state: JobState, fire_at: datetime | None
) -> None:
    assert fire_at == job.next_fire(state)


@pytest.mark.parametrize(
    ("planned_until", "decided", "fire_at"),
    [(at(12), at(14), at(15)), (at(14), at(12), at(15)), (None, at(12), at(13))],
)
def test_the_next_fire_time_lies_after_all_that_is_decided(
    planned_until: datetime | None, decided: datetime, fire_at: datetime
) -> None:
    state = msgspec.structs.replace(ACTIVE, planned_until=planned_until)

    assert fire_at == job.next_fire_after(state, decided)


@pytest.mark.parametrize(
    ("settings", "in_flight", "decision"),
    [
        ({}, (), Decision((skipped(at(13), at(14), 2, "misfire"),), triggers(15))),
        ({"catch_up": CatchUp.ALL}, (), Decision((skipped(at(14), at(15), 2, "overlap"),), triggers(13))),
        (
            {},
            (FIRST, SECOND),
            Decision((
                skipped(at(13), at(14), 2, "misfire"),
                skipped(at(15), at(15), 1, "overlap", in_the_way=FIRST),
            )),
        ),
        (
            {"overlap": Overlap.REPLACE},
            (FIRST,),
            Decision((skipped(at(13), at(14), 2, "misfire"),), triggers(15), (FIRST,)),
        ),
        (
            {"overlap": Overlap.ALLOW, "grace_seconds": 3600 + 120},
            (FIRST,),
            Decision((skipped(at(13), at(13), 1, "misfire"),), triggers(14, 15)),
        ),
        ({"schedule": UNREADABLE.schedule}, (), Decision()),
    ],
    ids=["latest", "all", "in the way", "replace", "within grace", "unreadable"],
)  # fmt: skip
def test_each_due_fire_time_is_triggered_or_skipped_for_a_reason(
    settings: dict[str, Any], in_flight: tuple[str, ...], decision: Decision
) -> None:
    state = msgspec.structs.replace(ACTIVE, definition=replaced(HOURLY, **settings), in_flight=in_flight)

    assert decision == job.due(state, at(15, 1))


def test_a_job_that_replaces_its_runs_leaves_them_alone_while_nothing_is_due() -> None:
    definition = replaced(HOURLY, overlap=Overlap.REPLACE)
    state = msgspec.structs.replace(ACTIVE, definition=definition, in_flight=(FIRST,))

    assert Decision() == job.due(state, at(12, 59))


@pytest.mark.parametrize("policy", [Overlap.SKIP, Overlap.QUEUE, Overlap.REPLACE])
def test_backfill_is_in_nobodys_way_and_is_not_replaced(policy: Overlap) -> None:
    backfill = tuple(backfill_run(TIDY, at(hour), 1) for hour in (1, 2, 3))
    state = msgspec.structs.replace(
        ACTIVE, definition=replaced(HOURLY, overlap=policy), in_flight=backfill, running=backfill[:1]
    )

    assert Decision((), triggers(13)) == job.due(state, at(13))


def test_what_an_earlier_window_triggers_takes_the_room_of_a_later_one() -> None:
    definition = replaced(HOURLY, overlap=Overlap.QUEUE, catch_up=CatchUp.ALL)
    window = Window(at(10), at(11), definition)
    state = msgspec.structs.replace(ACTIVE, definition=definition, undecided=(window,))
    expected = Decision((skipped(at(14), at(15), 2, "overlap"),), triggers(11, 13))

    assert expected == job.due(state, at(15, 1))


@pytest.mark.parametrize(
    ("definition", "forgone"),
    [
        (HOURLY, (skipped(at(11), at(11), 1, "lineage"), skipped(at(13), at(15), 3, "lineage"))),
        (replaced(HOURLY, idempotent=True), ()),
        (DAILY, (skipped(at(11), at(11), 1, "lineage"),)),
    ],
    ids=["each window alone", "idempotent", "nothing is due"],
)
def test_what_may_have_run_in_a_lost_history_is_forgone(
    definition: JobDefinition, forgone: tuple[e.Event, ...]
) -> None:
    window = Window(at(10), at(11), HOURLY)
    state = msgspec.structs.replace(ACTIVE, definition=definition, undecided=(window,))

    assert forgone == job.forgo(state, at(15, 1))


# --- what is decided about a job ------------------------------------------------------------------------


def test_a_definition_registers_a_job_or_redefines_it_if_anything_has_changed() -> None:
    registered = [said(e.JobRegistered(definition=HOURLY, revision="r2"), by=FILES)]
    redefined = [said(e.JobRedefined(definition=DAILY, revision="r2"), by=FILES)]

    assert registered == job.define(None, HOURLY, "r2")
    assert registered == job.define(JobState(name=TIDY), HOURLY, "r2")
    assert registered == job.define(msgspec.structs.replace(ACTIVE, retired=True), HOURLY, "r2")
    assert redefined == job.define(ACTIVE, DAILY, "r2")
    assert [] == job.define(ACTIVE, HOURLY, "r2")


@pytest.mark.parametrize(
    ("verb", "body", "changes"),
    [
        (job.enable, e.JobEnabled(reason="noise"), {None: True, False: True, True: False}),
        (job.disable, e.JobDisabled(reason="noise"), {None: True, False: False, True: True}),
        (job.reset, e.JobReset(reason="noise"), {None: False, False: True, True: True}),
    ],
    ids=["enable", "disable", "reset"],
)
def test_an_operators_word_is_recorded_with_its_reason_if_it_changes_anything(
    verb: Any, body: e.Body, changes: dict[bool | None, bool]
) -> None:
    answers = {
        override: verb(msgspec.structs.replace(ACTIVE, override=override), ANN, "noise")
        for override in changes
    }

    assert answers == {override: [said(body)] if change else [] for override, change in changes.items()}


def test_a_schedule_is_read_with_all_settings_of_its_definition() -> None:
    settings = {"timezone": "Europe/Berlin", "day_match": DayMatch.AND, "dst": Dst(fold=Fold.BOTH)}
    text = "0 30 2 13 * FRI"

    assert schedule_of(text, **settings) == schedule_for(JobDefinition(name=TIDY, schedule=text, **settings))


# --- pausing --------------------------------------------------------------------------------------------

RESUMED = said(e.JobResumed(reason="rest"))


def passed_over(first: datetime, last: datetime, count: int) -> e.Event:
    return said(e.FireTimesSkipped(first_at=first, last_at=last, count=count, reason="paused"))


def folded(state: JobState, *told: tuple[e.Event, datetime]) -> JobState:
    """Fold events that were recorded at some instants."""
    for event, when in told:
        after = job.evolve(state, recorded(event, version=state.version + 1, at=when))
        assert after is not None
        state = after
    return state


def test_pausing_and_resuming_are_recorded_if_they_change_anything() -> None:
    paused = msgspec.structs.replace(ACTIVE, paused=True)

    assert [said(e.JobPaused(reason="rest"))] == job.pause(ACTIVE, ANN, "rest")
    assert [] == job.pause(paused, ANN, "rest")
    assert [] == job.resume(ACTIVE, ANN, "rest", now=at(15))
    assert [RESUMED] == job.resume(paused, ANN, "rest", now=at(12, 59))


def test_the_fire_times_of_a_pause_are_one_skip_in_the_append_that_ends_it() -> None:
    paused = folded(ACTIVE, (said(e.JobPaused()), at(12, 30)))

    assert [passed_over(at(13), at(15), 3), RESUMED] == job.resume(paused, ANN, "rest", now=at(15, 30))


def test_each_fire_time_of_a_pause_is_counted_by_the_definition_that_held_then() -> None:
    half_hourly = replaced(HOURLY, schedule="0 30 * * * *")
    paused = folded(
        ACTIVE,
        (said(e.JobPaused()), at(12, 30)),
        (said(e.JobRedefined(definition=half_hourly)), at(14, 15)),
    )

    assert Decision() == job.due(paused, at(16))
    assert None is job.next_fire(paused)
    assert [passed_over(at(13), at(15, 30), 4), RESUMED] == job.resume(paused, ANN, "rest", now=at(16))


def test_what_is_due_of_a_paused_job_ends_with_its_being_disabled() -> None:
    paused = folded(ACTIVE, (said(e.JobPaused()), at(12, 30)), (said(e.JobDisabled()), at(14, 15)))

    assert [passed_over(at(13), at(14), 2), RESUMED] == job.resume(paused, ANN, "rest", now=at(20))


def test_a_paused_job_that_is_retired_leaves_no_fire_time_undecided() -> None:
    gone = folded(ACTIVE, (said(e.JobPaused()), at(12, 30)), (said(e.JobRetired()), at(14, 15)))

    assert at(13) == job.next_fire(gone)
    assert Decision((skipped(at(13), at(14), 2, "paused"),)) == job.due(gone, at(15))


def test_fire_times_before_a_pause_are_decided_by_the_planner_also_after_its_end() -> None:
    """A skip of the pause took the fire times before it along when no instance was up."""
    paused = folded(ACTIVE, (said(e.JobPaused()), at(14, 30)))
    events = job.resume(paused, ANN, "rest", now=at(16, 30))
    resumed = folded(paused, *[(event, at(16, 30)) for event in events])

    assert [passed_over(at(15), at(16), 2), RESUMED] == events
    assert at(13) == job.next_fire(resumed)
    assert (skipped(at(13), at(13), 1, "misfire"),) == job.due(resumed, at(16, 59)).skips
    assert triggers(14) == job.due(resumed, at(16, 59)).triggers
    assert at(17) == job.next_fire_after(resumed, at(16, 59))


def test_a_fire_time_between_the_look_and_the_record_of_a_resume_is_skipped_too() -> None:
    paused = folded(ACTIVE, (said(e.JobPaused()), at(12, 30)))
    events = job.resume(paused, ANN, "rest", now=at(13, 59, 59))
    resumed = folded(paused, *[(event, at(14, 0, 1)) for event in events])

    assert Decision((skipped(at(14), at(14), 1, "paused"),)) == job.due(resumed, at(14, 0, 2))


def test_what_is_left_of_a_pause_is_not_decided_twice_in_a_lost_history() -> None:
    left = Window(at(8), at(9), HOURLY, paused=True)
    state = msgspec.structs.replace(ACTIVE, undecided=(left,))
    forgone = job.forgo(state, at(13))
    after = folded(state, *[(event, at(13)) for event in forgone])

    assert (skipped(at(9), at(9), 1, "paused"), skipped(at(13), at(13), 1, "lineage")) == forgone
    assert Decision() == job.due(after, at(13))


def test_what_an_earlier_pause_has_left_is_not_part_of_a_later_one() -> None:
    left = Window(at(8), at(9), HOURLY, paused=True)
    since = Window(at(9), at(11), HOURLY)
    paused = msgspec.structs.replace(ACTIVE, paused=True, undecided=(left, since))
    events = job.resume(paused, ANN, "rest", now=at(14))
    resumed = folded(paused, *[(event, at(14)) for event in events])

    assert [passed_over(at(13), at(14), 2), RESUMED] == events
    assert (left, since) == resumed.undecided
    assert "paused" == job.due(resumed, at(14)).skips[0].body.reason  # type: ignore[attr-defined] # a skip


# --- fold -----------------------------------------------------------------------------------------------

BUSY = JobState(
    name=TIDY, position=Position(30), version=9, definition=HOURLY, revision="r1", planned_until=NOON,
    in_flight=(FIRST, SECOND), running=(FIRST,), triggered=70, succeeded=10, partial=20, failed=30,
    timed_out=40, cancelled=50, lost=60, skipped=80, last_fire_at=NOON,
)  # fmt: skip
OVERRIDDEN = msgspec.structs.replace(
    BUSY, override=False, override_by="operator:bob", override_reason="quiet", override_at=NOON
)
RETIRED = msgspec.structs.replace(BUSY, retired=True)
PAUSED = msgspec.structs.replace(BUSY, paused=True)


@pytest.mark.parametrize(
    ("before", "body", "changed"),
    [
        (RETIRED, e.JobRegistered(definition=DAILY, revision="r2"),
            {"definition": DAILY, "revision": "r2", "retired": False}),
        (BUSY, e.JobRedefined(definition=DAILY, revision="r2"), {"definition": DAILY, "revision": "r2"}),
        (BUSY, e.JobRetired(revision="r2"), {"retired": True}),
        (BUSY, e.JobEnabled(reason="din"),
            {"override": True, "override_by": "operator:ann", "override_reason": "din", "override_at": ...}),
        (BUSY, e.JobDisabled(),
            {"override": False, "override_by": "operator:ann", "override_reason": None, "override_at": ...}),
        (OVERRIDDEN, e.JobReset(reason="noise"),
            {"override": None, "override_by": None, "override_reason": None, "override_at": None}),
        (BUSY, e.JobPaused(reason="noise"), {"paused": True}),
        (PAUSED, e.JobResumed(), {"paused": False}),
    ],
    ids=lambda value: value.type if isinstance(value, e.Body) else "",
)  # fmt: skip
def test_a_change_of_a_job_changes_what_it_is_about_and_ends_what_was_decided_before(
    before: JobState, body: e.Body, changed: dict[str, Any]
) -> None:
    instant = at(12, 0, 30)
    told = {field: instant if value is ... else value for field, value in changed.items()}
    after = job.evolve(before, recorded(said(body), version=10, at=instant))

    assert after == msgspec.structs.replace(
        before, position=Position(BEFORE + 1), version=10, planned_until=instant, **told
    )


@pytest.mark.parametrize(
    ("before", "body", "changed"),
    [
        (BUSY, e.Unrecognized(), {}),
        (BUSY, e.FireTimesSkipped(), {}),
        (BUSY, e.FireTimesSkipped(last_at=at(15), count=3), {"skipped": 83, "planned_until": at(15)}),
        (BUSY, e.FireTimesSkipped(last_at=at(11), count=3), {"skipped": 83}),
    ],
    ids=["unrecognized", "erased skip", "skip", "skip of what was decided"],
)
def test_other_events_of_a_job_leave_its_windows_alone(
    before: JobState, body: e.Body, changed: dict[str, Any]
) -> None:
    after = job.evolve(before, recorded(said(body), version=10))

    assert after == msgspec.structs.replace(before, position=Position(BEFORE + 1), version=10, **changed)


@pytest.mark.parametrize(
    ("event", "changed"),
    [
        (of_run(e.RunTriggered(), 13),
            {"triggered": 71, "in_flight": (FIRST, SECOND, THIRD), "last_fire_at": at(13),
             "planned_until": at(13)}),
        (of_run(e.RunTriggered(), 13, e.Cause.BACKFILL),
            {"triggered": 71, "in_flight": (FIRST, SECOND, THIRD)}),
        (of_run(e.RunStarted(), 12), {"running": (FIRST, SECOND)}),
        (of_run(e.RunStarted(), 11), {"running": (FIRST,)}),
        (of_run(e.StepStarted(name="build"), 11), {}),
        (of_run(e.AttemptFailed(), 11), {"running": ()}),
        (of_run(e.AttemptLost(), 12), {}),
        (of_run(e.RunSucceeded(), 13), {}),
    ],
    ids=["due", "backfill", "started", "started again", "step", "attempt ended", "another's attempt", "over"],
)  # fmt: skip
def test_the_runs_of_a_job_are_counted(event: e.Event, changed: dict[str, Any]) -> None:
    after = job.evolve(BUSY, recorded(event))

    assert after == msgspec.structs.replace(BUSY, position=Position(BEFORE + 1), **changed)


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        (e.RunSucceeded(), {"succeeded": 11}),
        (e.RunPartial(), {"partial": 21}),
        (e.RunFailed(), {"failed": 31}),
        (e.RunTimedOut(), {"timed_out": 41}),
        (e.RunCancelled(), {"cancelled": 51}),
        (e.RunLost(), {"lost": 61}),
    ],
    ids=lambda value: value.type if isinstance(value, e.Body) else "",
)
def test_a_run_that_ends_is_counted_by_its_outcome_and_is_no_longer_in_flight(
    body: e.RunEnded, counts: dict[str, int]
) -> None:
    (outcome,) = counts
    state = msgspec.structs.replace(BUSY, running=(FIRST, SECOND))
    after = job.evolve(state, recorded(of_run(body, 11), at=at(13)))

    assert after == msgspec.structs.replace(
        state,
        position=Position(BEFORE + 1),
        in_flight=(SECOND,),
        running=(SECOND,),
        last_outcome=Outcome(outcome),
        last_ended_at=at(13),
        **counts,
    )


def test_a_job_of_which_only_a_run_is_known_is_told_by_that_run() -> None:
    (triggered,) = triggers(12)

    assert job.evolve(None, recorded(triggered)) == JobState(
        name=TIDY, position=Position(BEFORE + 1), in_flight=(SECOND,), triggered=1, last_fire_at=NOON,
        planned_until=NOON,
    )  # fmt: skip


def test_a_job_knows_its_own_version_and_the_position_of_all_that_is_about_it() -> None:
    told = history(said(e.JobRegistered(definition=HOURLY)), *triggers(12), said(e.JobDisabled()))
    state = reduce(job.evolve, told, None)

    assert state is not None
    assert (BEFORE + 3, 2, (SECOND,)) == (state.position, state.version, state.in_flight)


def test_what_is_about_no_job_changes_none() -> None:
    elected = recorded(e.Event(body=e.LeaderElected(), actor=PLANNER))

    assert None is job.evolve(None, elected)
    assert BUSY is job.evolve(BUSY, elected)


EARLIER = Window(at(8), at(10), HOURLY)
LATER = Window(at(11), at(12), HOURLY)


@pytest.mark.parametrize(
    ("last_at", "planned_until", "left"),
    [
        (at(7), NOON, (EARLIER, LATER)),
        (at(9), NOON, (Window(at(9), at(10), HOURLY), LATER)),
        (at(10), NOON, (LATER,)),
        (at(12), NOON, ()),
        (at(13), at(13), ()),
    ],
)
def test_a_window_shrinks_to_the_fire_times_that_are_left_of_it(
    last_at: datetime, planned_until: datetime, left: tuple[Window, ...]
) -> None:
    state = msgspec.structs.replace(ACTIVE, undecided=(EARLIER, LATER))
    after = job.evolve(state, recorded(skipped(last_at, last_at, 1, "overlap")))

    assert after is not None
    assert (planned_until, left) == (after.planned_until, after.undecided)


def test_a_window_without_another_fire_time_is_gone() -> None:
    window = Window(at(8), at(10, 59), HOURLY)
    state = msgspec.structs.replace(ACTIVE, undecided=(window,))
    after = job.evolve(state, recorded(skipped(at(10), at(10), 1, "overlap")))

    assert after is not None
    assert () == after.undecided


def test_a_change_leaves_the_fire_times_before_it_to_the_definition_that_held_then() -> None:
    redefined = recorded(said(e.JobRedefined(definition=DAILY)), at=NOON + timedelta(hours=2))
    after = job.evolve(msgspec.structs.replace(ACTIVE, undecided=(LATER,)), redefined)

    assert after is not None
    assert (DAILY, at(14), (LATER, Window(NOON, at(14), HOURLY))) == (
        after.definition, after.planned_until, after.undecided,
    )  # fmt: skip
