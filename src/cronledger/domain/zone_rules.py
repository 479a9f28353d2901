"""The rules of zones that an instance plans by, and which jobs fire otherwise under somebody else's.

A tz database update changes when clocks go forward and back. Every instance writes down, when it starts, what
its own data says for the zones of its jobs. Two such records are compared exactly: not by the names of their
versions, but by the fire times they lead to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from cronledger.domain.definition import JobDefinition
from cronledger.domain.fire_times import instant_of, second_of
from cronledger.domain.ids import JobName
from cronledger.domain.schedule import Schedule, schedule_for
from cronledger.domain.zone import UTC_ZONE, Transitions, Zone, zone

RECORDED_FOR = timedelta(days=731)
"""How far ahead an instance writes down its rules: two years."""
ZONES_RECORDED = 200
"""How many zones at most, the most used first; with their transitions they fit the body of an event."""
FIRE_TIMES_COMPARED = 200_000
"""How many fire times of one schedule at most: two days of a job that fires every second."""

_LONGEST_SHIFT = timedelta(days=1)
"""A time that the clock shows twice may fire the second time only: rules act so much before they differ."""


class Rules(msgspec.Struct, frozen=True):
    """What somebody's time-zone data says, from some instant until another; `zones` by their names."""

    zones: Mapping[str, Transitions]
    until: datetime


class Party(msgspec.Struct, frozen=True):
    """Somebody who computes fire times: a name, the version of their data, and the rules they go by."""

    name: str
    tzdata: str
    rules: Rules


class Difference(msgspec.Struct, frozen=True):
    """A job, and the first time it fires otherwise: for each party when, None for not before the end."""

    job: JobName
    zone: str
    fire_times: tuple[tuple[Party, datetime | None], ...]


class Comparison(msgspec.Struct, frozen=True):
    """The jobs that fire otherwise, up to when that is known, and who recorded no rules for which zones."""

    differences: tuple[Difference, ...]
    until: datetime
    missing: tuple[tuple[Party, str], ...]


def rules_for(definitions: Iterable[JobDefinition], at: datetime) -> Rules:
    """Return the rules of this process's own data from an instant on, for the zones of some jobs.

    >>> from datetime import UTC
    >>> report = JobDefinition(name=JobName("report"), schedule="0 0 9 * * *", timezone="Asia/Tokyo")
    >>> rules_for([report], datetime(2026, 1, 1, tzinfo=UTC)).zones
    {'Asia/Tokyo': ((1767225600, 32400),)}
    """
    schedules = [schedule for each in definitions if (schedule := schedule_for(each))]
    used = Counter(each.zone.name for each in schedules if each.zone is not UTC_ZONE)
    until = at + RECORDED_FOR
    recorded = {
        name: zone(name).transitions(second_of(at), second_of(until))
        for name, _ in used.most_common(ZONES_RECORDED)
    }
    return Rules(recorded, until)


def compare(definitions: Iterable[JobDefinition], parties: Sequence[Party], now: datetime) -> Comparison:
    """Find the jobs whose next fire times differ between two of the parties, as far as all of them know.

    A party whose rules end before `now` is as good as one that recorded none.
    """
    known = [party for party in parties if party.rules.until > now]
    until = min((party.rules.until for party in known), default=now)
    differences: list[Difference] = []
    missing: list[tuple[Party, str]] = []
    for place, schedules in sorted(_by_zone(definitions).items()):
        having = [party for party in known if party.rules.zones.get(place)]
        missing += [(party, place) for party in parties if party not in having]
        comparing = _Comparing(place, having, now, until)
        for job, schedule in schedules.items():
            found = comparing.first_difference(schedule)
            if found:
                differences.append(Difference(job, place, found))
    return Comparison(tuple(differences), until, tuple(missing))


class _Comparing:
    """The parties' rules for one zone: who agrees with whom, and from when on they differ."""

    def __init__(self, name: str, parties: Sequence[Party], now: datetime, until: datetime) -> None:
        self._until = until
        self._parties: dict[Transitions, list[Party]] = {}
        self._zones: dict[Transitions, Zone] = {}
        for party in parties:
            own = zone(name).amended(party.rules.zones[name], second_of(party.rules.until))
            rules = own.transitions(second_of(now), second_of(until))
            self._parties.setdefault(rules, []).append(party)
            self._zones.setdefault(rules, own)
        parting = instant_of(_parting(list(self._zones)))
        self._from = max(now, parting - _LONGEST_SHIFT)
        self._found: dict[Schedule, tuple[datetime | None, ...] | None] = {}

    def first_difference(self, schedule: Schedule) -> tuple[tuple[Party, datetime | None], ...] | None:
        """Return when the job fires, for each party, the first time that this is not the same for all."""
        if len(self._zones) < 2:
            return None
        if schedule not in self._found:
            self._found[schedule] = self._search(schedule)
        found = self._found[schedule]
        if found is None:
            return None
        return tuple(
            (party, at) for at, group in zip(found, self._parties.values(), strict=True) for party in group
        )

    def _search(self, schedule: Schedule) -> tuple[datetime | None, ...] | None:
        readings = [msgspec.structs.replace(schedule, zone=each) for each in self._zones.values()]
        after = self._from
        for _ in range(FIRE_TIMES_COMPARED):
            found = tuple(self._known(each.next_after(after)) for each in readings)
            if len(set(found)) > 1:
                return found
            if found[0] is None:
                return None
            after = found[0]
        return None

    def _known(self, at: datetime | None) -> datetime | None:
        return at if at is not None and at < self._until else None


def _by_zone(definitions: Iterable[JobDefinition]) -> dict[str, dict[JobName, Schedule]]:
    found: dict[str, dict[JobName, Schedule]] = {}
    for definition in sorted(definitions, key=lambda each: each.name):
        schedule = schedule_for(definition)
        if schedule is not None and schedule.zone is not UTC_ZONE:
            found.setdefault(schedule.zone.name, {})[definition.name] = schedule
    return found


def _parting(rules: Sequence[Transitions]) -> int:
    """Return the first instant from which on not all of these rules agree; 0 where all do."""
    distinct = [change for each in rules for change in each if any(change not in other for other in rules)]
    return min((start for start, _ in distinct), default=0)
