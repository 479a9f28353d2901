"""What a calendar leaves, by its definition spelled out; and what is decided where calendars come and go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cronledger.domain import events as e
from cronledger.domain import job
from cronledger.domain.calendar import WEEKDAYS, Blackout, Calendar, time_of_day
from cronledger.domain.catchup import CatchUp
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName
from cronledger.domain.overlap import Overlap
from cronledger.domain.schedule import Schedule, schedule_for, schedule_of
from cronledger.projections import job_status
from tests.property.test_due import Fold

EVE = datetime(2026, 3, 27, 12, tzinfo=UTC)
"""Two days before the clocks of Europe go forward."""
DAYS = timedelta(days=4)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/New_York"])
TEXTS = st.sampled_from(["0 */20 * * * *", "0 0 * * * *", "30 59 23 * * *", "every 17m", "0 30 2 * * *"])
TIMES = st.sampled_from(["00:00", "01:59:59", "02:00", "02:30", "06:00", "12:00:01", "22:00", "24:00"])
EXCLUDED = st.sampled_from(
    ["2026-03-28", "2026-03-29..2026-03-30", "*-03-29", "*-12-31..*-03-28", "2026-03-01"]
)
SOME_DAYS = st.lists(st.sampled_from(WEEKDAYS), unique=True, max_size=3).map(tuple)
CALENDARS = st.builds(
    Calendar,
    name=st.just("any"),
    exclude=st.lists(EXCLUDED, unique=True, max_size=2).map(tuple),
    only=st.sampled_from([(), (), ("2026-03-28..2026-03-30",), ("*-03-28", "2026-03-29")]),
    weekdays=st.sampled_from([(), (), ("SAT", "SUN"), ("MON", "TUE", "WED", "THU", "FRI")]),
    blackout=st.lists(
        st.builds(Blackout, begin=TIMES, end=TIMES, days=SOME_DAYS).filter(
            lambda each: time_of_day(each.begin) % 86_400 != time_of_day(each.end) % 86_400
        ),
        max_size=2,
    ).map(tuple),
)


def is_open(calendar: Calendar, at: datetime, timezone: str) -> bool:
    """Say it the long way round."""
    local = at.astimezone(ZoneInfo(timezone))
    day, time = local.date(), local.hour * 3600 + local.minute * 60 + local.second
    if any(_within(text, day) for text in calendar.exclude):
        return False
    if calendar.only and not any(_within(text, day) for text in calendar.only):
        return False
    if calendar.weekdays and WEEKDAYS[day.weekday()] not in calendar.weekdays:
        return False
    return not any(_is_dark(blackout, day.weekday(), time) for blackout in calendar.blackout)


def _within(text: str, day: Any) -> bool:
    first, _, last = text.partition("..")
    last = last or first
    if not text.startswith("*"):
        return bool(first <= day.isoformat() <= last)
    here, first, last = f"{day:%m-%d}", first[2:], last[2:]
    return first <= here <= last if first <= last else here >= first or here <= last


def _is_dark(blackout: Blackout, weekday: int, time: int) -> bool:
    begin, end = time_of_day(blackout.begin), time_of_day(blackout.end)
    days = blackout.days or WEEKDAYS
    if begin < end:
        return WEEKDAYS[weekday] in days and begin <= time < end
    return (WEEKDAYS[weekday] in days and time >= begin) or (WEEKDAYS[weekday - 1] in days and time < end)


def scheduled(text: str, timezone: str, calendar: Calendar | None) -> Schedule:
    found = schedule_of(text, timezone=timezone, calendar=calendar)
    assert found is not None
    return found


@given(CALENDARS, TEXTS, ZONES)
def test_a_calendar_leaves_what_its_rules_say(calendar: Calendar, text: str, timezone: str) -> None:
    schedule = scheduled(text, timezone, calendar)
    expected = [
        at
        for at in scheduled(text, timezone, None).fire_times(EVE, EVE + DAYS, 10**6)
        if is_open(calendar, at, timezone)
    ]
    backward, here = [], EVE + DAYS + timedelta(seconds=1)
    while (before := schedule.previous_before(here)) and before > EVE:
        backward.append(here := before)

    assert expected == list(schedule.fire_times(EVE, EVE + DAYS, 10**6))
    assert expected == backward[::-1]
    assert all(map(schedule.matches, expected))
    assert not any(map(schedule.why_closed, expected))


@given(CALENDARS, ZONES, st.integers(0, 4 * 86_400))
def test_a_stretch_is_what_it_says_it_is(calendar: Calendar, timezone: str, second: int) -> None:
    schedule = scheduled("* * * * * *", timezone, calendar)
    here = int(EVE.timestamp()) + second
    since, until, is_left = calendar.stretch(here, schedule.zone)
    within = (since, (since + here) // 2, here, (here + until) // 2, until - 1)

    assert since <= here < until
    assert {is_left} == {
        is_open(calendar, datetime.fromtimestamp(each, UTC), timezone)
        for each in within
        if each < 2**33 and each > 0
    }


DEFINITIONS = st.builds(
    JobDefinition,
    name=st.just(JobName("tidy")),
    schedule=TEXTS,
    timezone=ZONES,
    catch_up=st.sampled_from(CatchUp),
    overlap=st.sampled_from(Overlap),
    catch_up_limit=st.integers(1, 50),
    grace_seconds=st.none() | st.integers(0, 40_000),
    calendar=st.none() | CALENDARS,
)
ACTS = st.one_of(DEFINITIONS, st.sampled_from(["plan", "plan", "disable", "enable", "tick"]))


@given(DEFINITIONS, st.lists(st.tuples(st.integers(1, 80_000), ACTS), max_size=10))
def test_every_fire_time_is_triggered_or_inside_one_skip_and_a_calendar_takes_none_that_it_leaves(
    definition: JobDefinition, acts: list[tuple[int, JobDefinition | str]]
) -> None:
    fold = Fold()
    fold.define(definition, EVE)
    now, held, is_active = EVE, definition, True
    due: dict[datetime, bool] = {}
    for pause, act in [*acts, (1, "plan")]:
        before, now = now, now + timedelta(seconds=pause)
        if is_active:
            times = scheduled(held.schedule, held.timezone, None).fire_times(before, now, 10**6)
            due |= {at: held.calendar is None or is_open(held.calendar, at, held.timezone) for at in times}
        is_active = _act(fold, act, now, is_active=is_active)
        held = act if isinstance(act, JobDefinition) else held
    decided = _decided(fold, list(due))

    assert set(due) - set(decided) <= _still_taken(fold, now)
    assert all(1 == len(fates) for fates in decided.values())
    assert all((fates == ["calendar"]) is not due[at] for at, fates in decided.items())


def _act(fold: Fold, act: JobDefinition | str, now: datetime, *, is_active: bool) -> bool:
    assert fold.state is not None
    if isinstance(act, JobDefinition):
        fold.define(act, now)
    elif act == "plan":
        fold.decide(now)
    elif act == "tick":
        fire_at = job.next_fire(fold.state)
        if fire_at is not None and fire_at <= now:
            fold.decide(now)
    else:
        verb = job.enable if act == "enable" else job.disable
        for event in verb(fold.state, e.Actor.operator("ann"), None):
            fold.record(event, now)
        return act == "enable"
    return is_active


def _decided(fold: Fold, due: list[datetime]) -> dict[datetime, list[str]]:
    """Return for each fire time what became of it: `run`, or why it was skipped."""
    found: dict[datetime, list[str]] = {}
    for recorded in fold.events:
        body = recorded.body
        if isinstance(body, e.RunTriggered) and recorded.fire_at:
            found.setdefault(recorded.fire_at, []).append("run")
        elif isinstance(body, e.FireTimesSkipped) and body.first_at and body.last_at:
            within = [at for at in due if body.first_at <= at <= body.last_at]
            assert (len(within), within[0], within[-1]) == (body.count, body.first_at, body.last_at)
            for at in within:
                found.setdefault(at, []).append(body.reason)
    return found


def _still_taken(fold: Fold, now: datetime) -> set[datetime]:
    """Return the fire times that wait to be told with the rest of what the calendar is taking."""
    state = fold.state
    if state is None or state.definition is None or not state.is_active or state.planned_until is None:
        return set()
    schedule = schedule_for(state.definition)
    times = list(schedule.ruled(state.planned_until, now, 10**6)) if schedule else []
    return set() if schedule is None or any(map(schedule.matches, times)) else set(times)


def test_a_night_of_a_job_that_fires_every_second_is_one_event() -> None:
    night = Calendar(name="night", blackout=(Blackout("22:00", "06:00"),))
    fold = Fold()
    definition = JobDefinition(
        name=JobName("tidy"), schedule="* * * * * *", calendar=night, overlap=Overlap.ALLOW
    )
    fold.define(definition, EVE.replace(hour=21, minute=59, second=50))
    looks = 0
    while fold.state is not None and (fire_at := job.next_fire(fold.state)) and looks < 20:
        fold.decide(fire_at + timedelta(milliseconds=3))
        looks += 1
    skips = [each.body for each in fold.events if isinstance(each.body, e.FireTimesSkipped)]

    assert [("calendar", 28_800)] == [(body.reason, body.count) for body in skips]
    assert EVE.replace(hour=6, minute=0, second=10) + timedelta(days=1) == max(fold.decided())


def test_what_is_shown_as_next_will_fire_even_if_something_is_decided_before() -> None:
    closed = Calendar(name="closed", exclude=("2026-03-28..2026-06-30",))
    definition = JobDefinition(name=JobName("tidy"), schedule="@daily", calendar=closed)
    state = job.JobState(name=definition.name, definition=definition, planned_until=EVE)
    decides_at = job.next_fire(state)
    assert decides_at is not None

    (told,) = job.due(state, decides_at).skips

    assert isinstance(told.body, e.FireTimesSkipped)
    assert datetime(2026, 4, 28, tzinfo=UTC) == decides_at
    assert datetime(2026, 7, 1, tzinfo=UTC) == job_status.next_fire_at(state, EVE)
    assert datetime(2026, 7, 1, tzinfo=UTC) == job_status.next_fire_at(state, decides_at)
    assert ("calendar", 32) == (told.body.reason, told.body.count)


def test_a_change_in_the_midst_of_a_night_tells_it_in_two_parts() -> None:
    night = Calendar(name="night", blackout=(Blackout("22:00", "06:00"),))
    fold = Fold()
    definition = JobDefinition(name=JobName("tidy"), schedule="0 0 * * * *", calendar=night)
    fold.define(definition, EVE.replace(hour=21, minute=30))
    fold.define(msgspec.structs.replace(definition, priority=1), EVE.replace(hour=23, minute=30))
    assert fold.state is not None

    assert EVE.replace(hour=22) == job.next_fire(fold.state)
    fold.decide(EVE.replace(hour=23, minute=31))
    fire_at = job.next_fire(fold.state)
    assert fire_at is not None
    fold.decide(fire_at)
    skips = [each.body for each in fold.events if isinstance(each.body, e.FireTimesSkipped)]

    assert [2, 6] == [body.count for body in skips]
    assert EVE.replace(hour=6) + timedelta(days=1) == fire_at
