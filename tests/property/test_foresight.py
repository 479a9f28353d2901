"""What is decided ahead of a fire time is what would have been decided at it, and for a while after."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from hypothesis import event, given
from hypothesis import strategies as st

from cronledger.domain import job
from cronledger.domain.catchup import CatchUp
from cronledger.domain.definition import JobDefinition
from cronledger.domain.foresight import HOLDS, foresee
from cronledger.domain.overlap import Overlap
from tests.property.test_due import NOON, TIDY, Fold, schedules, zones

definitions = st.builds(
    JobDefinition,
    name=st.just(TIDY),
    schedule=schedules,
    timezone=zones,
    catch_up=st.sampled_from(CatchUp),
    overlap=st.sampled_from(Overlap),
    catch_up_limit=st.integers(1, 3),
    grace_seconds=st.none() | st.sampled_from([0, 1, 60]),
)


@given(
    definitions,
    st.lists(
        st.tuples(st.sampled_from(["look", "pause", "resume", "redefine"]), st.integers(1, 4000)), max_size=4
    ),
    st.floats(0, HOLDS.total_seconds()),
)
def test_what_was_foreseen_is_what_is_decided(
    definition: JobDefinition, steps: list[tuple[str, int]], late: float
) -> None:
    """Also where an earlier definition, a pause or a backlog has left something to be decided."""
    fold = Fold()
    fold.define(definition, NOON)
    now = NOON
    for step, seconds in steps:
        now += timedelta(seconds=seconds)
        _change(fold, definition, step, now)
    assert fold.state is not None
    fire_at = job.next_fire(fold.state)
    foreseen = None if fire_at is None else foresee(fold.state, fire_at)
    event("foreseen" if foreseen else "left until it comes")
    if fire_at is None or foreseen is None:
        return
    look = fire_at + timedelta(seconds=late)

    assert job.due(fold.state, look) == foreseen
    assert job.next_fire_after(fold.state, look) == job.next_fire_after(fold.state, fire_at)


def _change(fold: Fold, definition: JobDefinition, step: str, now: datetime) -> None:
    assert fold.state is not None
    match step:
        case "look":
            fold.decide(now)
            changes = []
        case "pause":
            changes = job.pause(fold.state, job.PLANNER, None)
        case "resume":
            changes = job.resume(fold.state, job.PLANNER, None, now=now)
        case _:
            other = msgspec.structs.replace(definition, priority=len(fold.events))
            changes = job.define(fold.state, other, "r")
    for change in changes:
        fold.record(change, now)
