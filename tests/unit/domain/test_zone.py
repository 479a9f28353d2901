"""Zones as lists of transitions, beside the compiled files of the tz database."""

from __future__ import annotations

import struct
import zoneinfo
from importlib import resources
from pathlib import Path

import pytest

from cronledger.domain.zone import UTC_ZONE, Spans, Zone, zone
from cronledger.errors import UnknownZone

DAY = 86_400
YEAR = 31_557_600
YEAR_2037 = 67 * YEAR


def compiled(name: str) -> bytes:
    """Return the file that `zoneinfo` reads for a zone."""
    for root in zoneinfo.TZPATH:
        file = Path(root) / name
        if file.is_file():
            return file.read_bytes()
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


def transitions(name: str) -> list[tuple[int, int]]:
    """Read (instant, offset from then on) from the 64-bit part of a compiled file."""

    def header(at: int) -> list[int]:
        return list(struct.unpack(">6l", data[at + 20 : at + 44]))

    data = compiled(name)
    isut, isstd, leap, times, types, chars = header(0)
    at = 44 + times * 5 + types * 6 + chars + leap * 8 + isstd + isut
    _, _, _, times, types, _ = header(at)
    at += 44
    instants = struct.unpack(f">{times}q", data[at : at + 8 * times])
    kinds = data[at + 8 * times : at + 9 * times]
    at += 9 * times
    offsets = [struct.unpack(">l", data[at + 6 * n : at + 6 * n + 4])[0] for n in range(types)]
    found, before = [], offsets[0]
    for instant, kind in zip(instants, kinds, strict=True):
        if offsets[kind] != before:
            found.append((instant, offsets[kind]))
        before = offsets[kind]
    return found


@pytest.mark.parametrize(
    "name",
    [
        "Africa/Casablanca",
        "Africa/Monrovia",
        "America/Argentina/Tucuman",
        "America/Boa_Vista",
        "America/New_York",
        "America/Nuuk",
        "Antarctica/Troll",
        "Asia/Gaza",
        "Asia/Kathmandu",
        "Asia/Kolkata",
        "Asia/Pyongyang",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Pacific/Kwajalein",
    ],
)
def test_the_transitions_are_those_of_the_compiled_zone(name: str) -> None:
    place = zone(name)
    place.around(4 * 86400)
    spans = place.around(YEAR_2037)
    expected = [change for change in transitions(name) if spans.known_from < change[0] < YEAR_2037]

    assert expected == [change for change in spans.changes()[1:] if change[0] < YEAR_2037][: len(expected)]


def test_no_zone_moves_its_clock_twice_within_days() -> None:
    """A time is read at most twice, and the search looks three days round an instant."""
    closest = min(
        later - earlier
        for name in zoneinfo.available_timezones() - {"localtime", "Factory"}
        for (earlier, _), (later, _) in zip(transitions(name), transitions(name)[1:], strict=False)
        if earlier > -YEAR
    )

    assert closest > 6 * 86400


def test_the_lists_grow_in_both_directions_and_stay_whole() -> None:
    place = zone("America/St_Johns")
    middle = place.around(40 * YEAR)
    seen = middle.changes()
    early, late = place.around(5 * YEAR), place.around(60 * YEAR)

    assert seen == middle.changes()
    assert early.known_from <= 5 * YEAR
    assert late.known_until >= 60 * YEAR
    assert late.known_from == early.known_from
    assert [change for change in late.changes() if change in seen[1:]] == seen[1:]
    assert late is place.around(30 * YEAR)


def test_gaps_and_folds_show_in_floor_and_opening() -> None:
    spans = zone("Antarctica/Troll").around(54 * YEAR)
    jumps = {opening - floor for floor, opening in zip(spans.floors[1:], spans.openings[1:], strict=True)}

    assert {7200, -7200} == jumps


def test_readings_occur_once_where_no_gap_or_fold_is_near() -> None:
    spans = Spans((0, 100 * DAY), [(0, 3600), (20 * DAY, 7200), (60 * DAY, 3600)])

    assert [
        (3 * DAY, 20 * DAY, 3600),
        (20 * DAY + 1, 60 * DAY - 3600, 7200),
        (60 * DAY + 3600, 97 * DAY, 3600),
    ] == spans.segments


@pytest.mark.parametrize("turn", range(40 * YEAR, 40 * YEAR + 8))
def test_a_change_is_found_to_the_second(turn: int) -> None:
    place = Zone("own", lambda instant: 3600 if instant >= turn else 0)

    assert ((0, 0), (turn, 3600)) == place.transitions(0, 41 * YEAR)


@pytest.mark.parametrize(
    ("instant", "known"),
    [
        (40 * YEAR + 10 * DAY, (40 * YEAR, 41 * YEAR)),
        (40 * YEAR + DAY, (39 * YEAR, 41 * YEAR)),
        (41 * YEAR - DAY, (40 * YEAR, 42 * YEAR)),
    ],
)
def test_whole_years_are_looked_at_and_days_around_what_was_asked_for(
    instant: int, known: tuple[int, int]
) -> None:
    fresh = Zone("own", lambda _: 3600).around(instant)
    place = Zone("own", lambda _: 3600)
    place.around(40 * YEAR + 10 * DAY)
    grown = place.around(instant)

    assert known == (fresh.known_from, fresh.known_until)
    assert known == (grown.known_from, grown.known_until)


def test_utc_never_changes() -> None:
    place = Zone("UTC", None)

    assert UTC_ZONE is zone("UTC")
    assert [0, 0, 0] == [place.offset_at(instant) for instant in (-(10**12), 0, 10**12)]
    assert 1 == len(place.spans.segments)
    assert place.spans.starts[0] == place.spans.known_from


def test_a_zone_is_one_object() -> None:
    assert zone("Europe/Berlin") is zone("Europe/Berlin")
    assert "zone('Europe/Berlin')" == repr(zone("Europe/Berlin"))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("utc", "UTC"),
        ("berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("Tucuman", "America/Argentina/Tucuman"),
        ("Poland/Warsaw", "Europe/Warsaw"),
    ],
)
def test_a_misspelt_zone_is_refused_with_the_name_that_was_meant(name: str, meant: str) -> None:
    with pytest.raises(UnknownZone) as refused:
        zone(name)

    assert f"did you mean {meant!r}?" == refused.value.hint


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Mars/Olympus",
        "../etc/passwd",
        "/etc/localtime",
        "localtime",
        "Factory",
        "right/UTC",
        "posix/UTC",
        "a\0b",
        "Europe",
    ],
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(UnknownZone) as refused:
        zone(name)

    assert name == refused.value.zone
    assert refused.value.hint
