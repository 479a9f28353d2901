"""Local times as instants round the jumps of real clocks, held against what they are by definition."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import UTC, datetime
from itertools import product

import pytest

from cronledger.domain.definition import Dst, Fold, Gap
from cronledger.domain.nominal import NO_INSTANT, Search, earliest, latest, readings
from cronledger.domain.zone import Zone, zone

HOUR, DAY = 3600, 86_400
RULES = [Dst(gap=gap, fold=fold) for gap, fold in product(Gap, Fold)]
JUMPS = [
    ("America/New_York", "2024-03-10T07:00:00", 1),
    ("America/New_York", "2024-11-03T06:00:00", -1),
    ("Australia/Lord_Howe", "2024-04-06T15:00:00", -0.5),
    ("Antarctica/Troll", "2024-10-27T01:00:00", -2),
    ("America/Sao_Paulo", "2017-10-15T03:00:00", 1),
    ("America/Sao_Paulo", "2018-02-18T02:00:00", -1),
    ("America/Nuuk", "2024-03-31T01:00:00", 1),
    ("Asia/Pyongyang", "2018-05-04T15:00:00", 0.5),
    ("Pacific/Apia", "2011-12-30T10:00:00", 24),
    ("Pacific/Kwajalein", "1993-08-21T12:00:00", 24),
    ("UTC", "2024-03-10T00:00:00", 0),
]


def second(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def instants_of(time: int, place: Zone, jump: int, rule: Dst) -> set[int]:
    """Return when a local time fires: when the clock shows it, or else perhaps at the end of the gap."""
    before, after = place.offset_at(jump - 1), place.offset_at(jump)
    shown = {time - offset for offset in (before, after) if place.offset_at(time - offset) == offset}
    if shown:
        return {Fold.FIRST: {min(shown)}, Fold.SECOND: {max(shown)}, Fold.BOTH: shown}[rule.fold]
    dates_shown = {(jump - 1 + before) // DAY, (jump + after) // DAY}
    return {jump} if rule.gap is Gap.SHIFT and time // DAY in dates_shown else set()


def times_round(place: Zone, jump: int) -> list[int]:
    """Return the edges of a jump, what lies between, and the same of the days round it."""
    edges = jump + place.offset_at(jump - 1), jump + place.offset_at(jump)
    near = [edge + delta for edge in edges for delta in (-HOUR, -1, 0, 1, HOUR)]
    return sorted({time + day * DAY for time in (*near, sum(edges) // 2) for day in range(-4, 5)})


def first_of(times: list[int]) -> Search:
    return lambda front: times[bisect_left(times, front)]


def last_of(times: list[int]) -> Search:
    return lambda front: times[bisect_right(times, front) - 1]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.gap}-{rule.fold}")
@pytest.mark.parametrize(("name", "at", "hours"), JUMPS)
@pytest.mark.parametrize("several", [True, False], ids=["many times", "one time a day"])
def test_the_next_and_the_previous_are_those_of_the_definition(
    name: str, at: str, hours: float, rule: Dst, *, several: bool
) -> None:
    place, jump = zone(name), second(at)
    every = times_round(place, jump)
    choices = [every] if several else [[t for t in every if (t - time) % DAY == 0] for time in every[:11]]
    for times in choices:
        fires = sorted({fire for time in times for fire in instants_of(time, place, jump, rule)})
        near = {fire + delta for fire in fires for delta in (-1, 0, 1)}
        instants = sorted(each for each in near if jump - 2 * DAY <= each <= jump + 2 * DAY)

        assert hours * HOUR == place.offset_at(jump) - place.offset_at(jump - 1)
        assert [fires[bisect_left(fires, each)] for each in instants] == [
            earliest(first_of(times), place, each, rule) for each in instants
        ]
        assert [fires[bisect_right(fires, each) - 1] for each in instants] == [
            latest(last_of(times), place, each, rule) for each in instants
        ]
        assert [tuple(sorted(instants_of(time, place, jump, rule))) for time in times] == [
            readings(time, place, rule) for time in times
        ]


@pytest.mark.parametrize("fold", Fold)
def test_before_the_first_local_time_there_is_no_instant(fold: Fold) -> None:
    assert NO_INSTANT == latest(lambda _: -3 * DAY, zone("America/New_York"), DAY, Dst(fold=fold))
