"""Every fire time of an active job is decided once, however the time between is cut up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cronledger.domain import events as e
from cronledger.domain import job
from cronledger.domain.calendar import Blackout, Calendar
from cronledger.domain.catchup import CatchUp
from cronledger.domain.definition import JobDefinition
from cronledger.domain.due import AT_ONCE
from cronledger.domain.ids import InstanceId, JobName, Position, Stream, Term, job_stream, run_stream
from cronledger.domain.job import JobState
from cronledger.domain.overlap import Overlap
from cronledger.domain.schedule import schedule_for, schedule_of

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
TIDY = JobName("tidy")
schedules = st.sampled_from(
    [
        "* * * * * *",
        "*/7 * * * * *",
        "0 */5 * * * *",
        "0 0 * * * *",
        "30 59 23 * * *",
        "every 7s",
        "every 90m",
    ]
)
CLOSED_BY_THE_MINUTE = Calendar(
    name="minutes", blackout=tuple(Blackout(f"12:{minute:02}", f"12:{minute + 1:02}") for minute in (1, 3, 4))
)
CLOSED_FOR_LONG = Calendar(name="long", blackout=(Blackout("12:02", "12:12"),))
zones = st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"])
seconds = st.integers(0, 3 * 86_400)


class Fold:
    """A job's events, recorded by hand."""

    def __init__(self) -> None:
        self.state: JobState | None = None
        self.events: list[e.Recorded] = []
        self.versions: dict[Stream, int] = {}

    def record(self, event: e.Event, at: datetime) -> None:
        stream = run_stream(event.run_id) if event.run_id else job_stream(TIDY)
        self.versions[stream] = self.versions.get(stream, 0) + 1
        recorded = e.Recorded(
            position=Position(len(self.events) + 1), id="", stream=stream, version=self.versions[stream],
            type=event.body.type, schema=1, must_understand=False, recorded_at=at,
            instance=InstanceId("i.1.0"), term=Term(1), actor=event.actor, job=event.job,
            run_id=event.run_id, attempt=event.attempt, fire_at=event.fire_at, cause=event.cause,
            body=event.body,
        )  # fmt: skip
        self.events.append(recorded)
        self.state = job.evolve(self.state, recorded)

    def define(self, definition: JobDefinition, at: datetime) -> None:
        for event in job.define(self.state, definition, "r"):
            self.record(event, at)

    def decide(self, now: datetime, at_once: int = AT_ONCE) -> None:
        is_whole = False
        while not is_whole:
            assert self.state is not None
            decision = job.due(self.state, now, at_once=at_once)
            is_whole = decision.is_whole
            assert is_whole or decision.skips
            for event in (*decision.skips, *decision.triggers):
                self.record(event, now)

    def becomes(self) -> dict[datetime, str]:
        """Return what has become of every fire time that was decided."""
        found: dict[datetime, str] = {}
        for recorded in self.events:
            body = recorded.body
            if isinstance(body, e.RunTriggered) and recorded.fire_at:
                assert recorded.fire_at not in found
                found[recorded.fire_at] = "runs"
            elif isinstance(body, e.FireTimesSkipped) and body.first_at and body.last_at:
                times = self.times(body.first_at - timedelta(seconds=1), body.last_at)
                assert body.count == len(times)
                assert not found.keys() & set(times)
                found |= dict.fromkeys(times, body.reason)
        return found

    def decided(self) -> list[datetime]:
        """Return every fire time that was triggered or skipped."""
        times = []
        for recorded in self.events:
            body = recorded.body
            if isinstance(body, e.RunTriggered) and recorded.fire_at:
                times.append(recorded.fire_at)
            elif isinstance(body, e.FireTimesSkipped) and body.first_at and body.last_at:
                times += self.times(body.first_at - timedelta(seconds=1), body.last_at)
        return sorted(times)

    def times(self, after: datetime, until: datetime) -> list[datetime]:
        assert self.state is not None
        assert self.state.definition is not None
        schedule = schedule_for(self.state.definition)
        return list(schedule.ruled(after, until, 10**6)) if schedule else []


@given(schedules, zones, seconds, seconds)
def test_fire_times_between_two_instants_are_those_of_the_parts(
    text: str, zone: str, one: int, two: int
) -> None:
    schedule = schedule_of(text, timezone=zone)
    assert schedule is not None
    a, b, c = NOON, NOON + timedelta(seconds=min(one, two)), NOON + timedelta(seconds=max(one, two))

    assert list(schedule.fire_times(a, c, 10**6)) == [
        *schedule.fire_times(a, b, 10**6),
        *schedule.fire_times(b, c, 10**6),
    ]


@given(
    st.builds(
        JobDefinition,
        name=st.just(TIDY),
        schedule=schedules,
        timezone=zones,
        catch_up=st.sampled_from(CatchUp),
        overlap=st.sampled_from(Overlap),
        catch_up_limit=st.integers(1, 200),
        grace_seconds=st.none() | st.integers(0, 4000),
    ),
    st.lists(st.integers(0, 20_000), min_size=1, max_size=6),
)
def test_whenever_the_planner_looks_every_fire_time_is_decided_once(
    definition: JobDefinition, looks: list[int]
) -> None:
    fold = Fold()
    fold.define(definition, NOON)
    for look in sorted(looks):
        fold.decide(NOON + timedelta(seconds=look))

    assert fold.times(NOON, NOON + timedelta(seconds=max(looks))) == fold.decided()


@given(
    st.builds(
        JobDefinition,
        name=st.just(TIDY),
        schedule=st.sampled_from(["* * * * * *", "*/7 * * * * *", "every 7s", "0 */5 * * * *"]),
        catch_up=st.sampled_from(CatchUp),
        overlap=st.sampled_from(Overlap),
        catch_up_limit=st.integers(1, 20),
        grace_seconds=st.none() | st.integers(0, 600),
        calendar=st.none() | st.sampled_from([CLOSED_BY_THE_MINUTE, CLOSED_FOR_LONG]),
    ),
    st.lists(st.integers(0, 1200), min_size=1, max_size=3),
    st.booleans(),
    st.integers(1, 50),
)
def test_many_fire_times_decided_in_portions_become_what_they_become_at_once(
    definition: JobDefinition, looks: list[int], redefines: bool, at_once: int
) -> None:
    whole, parts = Fold(), Fold()
    for fold, many in ((whole, AT_ONCE), (parts, at_once)):
        fold.define(definition, NOON)
        for number, look in enumerate(sorted(looks), 1):
            at = NOON + timedelta(seconds=look)
            if redefines:
                fold.define(msgspec.structs.replace(definition, priority=number), at)
            if not redefines or number == len(looks):
                fold.decide(at, many)

    told, told_in_parts = whole.becomes(), parts.becomes()
    assert told == {at: told_in_parts[at] for at in told}
    assert {"calendar"} >= {told_in_parts[at] for at in told_in_parts.keys() - told.keys()}


@given(
    st.lists(
        st.tuples(st.sampled_from(["look", "disable", "enable", "redefine"]), st.integers(1, 300)),
        max_size=12,
    )
)
def test_changes_of_a_job_lose_no_fire_time_of_the_time_before(steps: list[tuple[str, int]]) -> None:
    """A fire time up to a change follows the old definition, however late the planner gets to it."""
    fold = Fold()
    definition = JobDefinition(name=TIDY, schedule="*/10 * * * * *")
    fold.define(definition, NOON)
    now, active, expected = NOON, True, []
    schedule = schedule_of("*/10 * * * * *")
    assert schedule is not None
    operator = e.Actor.operator("test")
    for number, (step, pause) in enumerate(steps):
        before, now = now, now + timedelta(seconds=pause)
        if active:
            expected += schedule.fire_times(before, now, 10**6)
        assert fold.state is not None
        if step == "look":
            fold.decide(now)
        elif step == "redefine":
            fold.define(msgspec.structs.replace(definition, priority=number + 1), now)
        else:
            verb = job.enable if step == "enable" else job.disable
            for event in verb(fold.state, operator, None):
                fold.record(event, now)
            active = step == "enable"
    fold.decide(now)

    assert sorted(expected) == fold.decided()
