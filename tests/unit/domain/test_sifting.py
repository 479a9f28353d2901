"""Ranges of fire times that will not run, where a calendar takes some of them away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from cronledger.domain import events as e
from cronledger.domain import job
from cronledger.domain.calendar import Blackout, Calendar
from cronledger.domain.catchup import CatchUp
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName
from cronledger.domain.job import Decision, JobState
from cronledger.domain.overlap import Overlap
from cronledger.domain.windows import Window

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NIGHT = Calendar(name="night", blackout=(Blackout("22:00", "06:00"),))
HOURLY = JobDefinition(name=JobName("tidy"), schedule="0 0 * * * *", calendar=NIGHT)
STATE = JobState(name=HOURLY.name, definition=HOURLY, planned_until=NOON)


def at(hour: int, minute: int = 0) -> datetime:
    """An hour of the first of January; 24 and more are those of the next days."""
    return NOON + timedelta(hours=hour - 12, minutes=minute)


def with_(**fields: object) -> JobState:
    return msgspec.structs.replace(STATE, definition=msgspec.structs.replace(HOURLY, **fields))


def told(decision: Decision) -> list[tuple[str, int, int, int]]:
    """Return each skip: why, its first and last hour, and how many."""
    bodies = [event.body for event in decision.skips]
    return [
        (body.reason, _hour(body.first_at), _hour(body.last_at), body.count)
        for body in bodies
        if isinstance(body, e.FireTimesSkipped)
    ]


def fired(decision: Decision) -> list[int]:
    return [_hour(event.fire_at) for event in decision.triggers]


def _hour(instant: datetime | None) -> int:
    assert instant is not None
    return (instant - at(0)) // timedelta(hours=1)


def test_what_a_calendar_is_still_taking_is_told_with_the_rest_of_it() -> None:
    """However late the fire time before it is decided: a night is one event."""
    late = job.due(with_(catch_up=CatchUp.ALL, overlap=Overlap.ALLOW), at(23, 30))

    assert ([], list(range(13, 22))) == (told(late), fired(late))
    assert at(30) == job.next_fire(msgspec.structs.replace(STATE, planned_until=at(21)))
    assert at(30) == job.next_fire_after(STATE, at(23, 30))


@pytest.mark.parametrize("hours", [23, 29])
def test_what_it_took_before_a_change_is_told_by_itself(hours: int) -> None:
    state = msgspec.structs.replace(
        with_(overlap=Overlap.ALLOW),
        undecided=(Window(at(20), at(hours, 30), HOURLY),),
        planned_until=at(hours, 30),
    )

    assert [("calendar", 22, hours, hours - 21)] == told(job.due(state, at(hours, 31)))


def test_misfires_on_both_sides_of_what_a_calendar_took_are_told_apart() -> None:
    decision = job.due(STATE, at(57, 1))

    assert [
        ("misfire", 13, 21, 9),
        ("calendar", 22, 29, 8),
        ("misfire", 30, 45, 16),
        ("calendar", 46, 53, 8),
        ("misfire", 54, 56, 3),
    ] == told(decision)
    assert [57] == fired(decision)


def test_refused_fire_times_on_both_sides_of_what_a_calendar_took_are_told_apart() -> None:
    decision = job.due(with_(catch_up=CatchUp.ALL), at(31, 1))

    assert [("overlap", 14, 21, 8), ("calendar", 22, 29, 8), ("overlap", 30, 31, 2)] == told(decision)
    assert [13] == fired(decision)


def test_what_a_calendar_takes_does_not_count_against_the_limit_of_what_is_caught_up() -> None:
    decision = job.due(with_(catch_up=CatchUp.ALL, catch_up_limit=4, overlap=Overlap.ALLOW), at(31, 1))

    assert [("catch_up_limit", 13, 19, 7), ("calendar", 22, 29, 8)] == told(decision)
    assert [20, 21, 30, 31] == fired(decision)


def test_a_lost_history_forgoes_what_a_calendar_takes_too() -> None:
    (event,) = job.forgo(STATE, at(31, 1))

    assert isinstance(event.body, e.FireTimesSkipped)
    assert ("lineage", 19) == (event.body.reason, event.body.count)
