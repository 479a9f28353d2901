"""What a change of the configuration does to the coming fire times: some come, some go, some move.

A fire time has moved if the day it was on loses and gains equally many, or if that is so for the whole time
looked at: then the first is taken for the first, the second for the second, and so on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import islice

import msgspec

from cronledger.domain.definition import JobDefinition
from cronledger.domain.fire_times import second_of
from cronledger.domain.ids import JobName
from cronledger.domain.schedule import schedule_for
from cronledger.domain.zone import zone

DAY_SECONDS = 86_400
MOST_FIRE_TIMES = 10_000
"""Of one job; of one that fires more often, a shorter time is compared."""


class JobChange(msgspec.Struct, frozen=True, kw_only=True):
    """How a job differs between two configurations; `fields` are those of its definition that do.

    `until` is earlier than asked for where a job fires too often to be compared for so long.
    """

    name: JobName
    change: str
    until: datetime
    fields: tuple[str, ...] = ()
    added: tuple[datetime, ...] = ()
    removed: tuple[datetime, ...] = ()
    moved: tuple[tuple[datetime, datetime], ...] = ()


def compare(
    before: Sequence[JobDefinition], after: Sequence[JobDefinition], *, since: datetime, until: datetime
) -> list[JobChange]:
    """Return the jobs that differ, by name, with what becomes of their fire times after `since`."""
    old = {each.name: each for each in before}
    new = {each.name: each for each in after}
    return [
        _changed(old.get(name), new.get(name), since=since, until=until)
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _changed(
    before: JobDefinition | None, after: JobDefinition | None, *, since: datetime, until: datetime
) -> JobChange:
    known = after or before
    assert known is not None
    old, old_until = _fire_times(before, since, until)
    new, new_until = _fire_times(after, since, until)
    until = min(old_until, new_until)
    removed = [at for at in sorted(old - new) if at <= until]
    added = [at for at in sorted(new - old) if at <= until]
    moved = _moves(removed, added, known.timezone) if before and after else []
    gone, come = {at for at, _ in moved}, {at for _, at in moved}
    return JobChange(
        name=known.name,
        change="changed" if before and after else "added" if after else "removed",
        until=until,
        fields=_fields(before, after) if before and after else (),
        added=tuple(at for at in added if at not in come),
        removed=tuple(at for at in removed if at not in gone),
        moved=tuple(moved),
    )


def _fire_times(
    definition: JobDefinition | None, since: datetime, until: datetime
) -> tuple[set[datetime], datetime]:
    """Return the fire times of a definition, and up to when they are all of them."""
    schedule = (
        schedule_for(definition) if definition and definition.enabled and definition.scheduled else None
    )
    if schedule is None:
        return set(), until
    found = list(islice(schedule.fire_times(since, until, MOST_FIRE_TIMES), MOST_FIRE_TIMES))
    return set(found), found[-1] if len(found) == MOST_FIRE_TIMES else until


def _moves(removed: list[datetime], added: list[datetime], timezone: str) -> list[tuple[datetime, datetime]]:
    moves = []
    gone, come = _by_day(removed, timezone), _by_day(added, timezone)
    for day in sorted(gone.keys() & come.keys()):
        if len(gone[day]) == len(come[day]):
            moves += list(zip(gone.pop(day), come.pop(day), strict=True))
    left = [at for day in sorted(gone) for at in gone[day]]
    more = [at for day in sorted(come) for at in come[day]]
    if len(left) == len(more):
        moves += list(zip(left, more, strict=True))
    return sorted(moves)


def _by_day(times: list[datetime], timezone: str) -> dict[int, list[datetime]]:
    """Group fire times by the day that the job's own clock shows."""
    place = zone(timezone)
    days: dict[int, list[datetime]] = defaultdict(list)
    for at in times:
        second = second_of(at)
        days[(second + place.offset_at(second)) // DAY_SECONDS].append(at)
    return days


def _fields(before: JobDefinition, after: JobDefinition) -> tuple[str, ...]:
    names = JobDefinition.__struct_fields__
    return tuple(name for name in names if getattr(before, name) != getattr(after, name))
