"""Zones written down and read again, and jobs that fire otherwise under other rules."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from cronledger.domain.definition import Dst, Fold, JobDefinition
from cronledger.domain.events import Actor, Event, InstanceStarted
from cronledger.domain.ids import JobName
from cronledger.domain.zone import Transitions, zone
from cronledger.domain.zone_rules import ZONES_RECORDED, Party, Rules, compare, rules_for
from cronledger.entropy import SeededEntropy
from cronledger.ledger import codec
from cronledger.ledger.normal import BODY_BYTES

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BERLIN = "Europe/Berlin"
SPRING, AUTUMN = 1_806_195_600, 1_824_944_400
"""When clocks in Berlin go forward and back in 2027, by the rules as they are known today."""
DAY = 86_400


def job(
    schedule: str, *, timezone: str = BERLIN, dst: Dst | None = None, name: str = "report"
) -> JobDefinition:
    return JobDefinition(name=JobName(name), schedule=schedule, timezone=timezone, dst=dst or Dst())


def second(at: datetime) -> int:
    return int(at.timestamp())


def known(*, at: datetime = NOW) -> Rules:
    return rules_for([job("0 0 3 * * *")], at)


def other(*changes: tuple[int, int], until: datetime | None = None) -> Rules:
    transitions: Transitions = ((second(NOW), 3600), *changes)
    return Rules({BERLIN: transitions}, until or known().until)


def no_summer() -> Rules:
    return other()


def found(definition: JobDefinition, *rules: Rules, now: datetime = NOW) -> list[str | None] | None:
    """Return when each party fires the first time that they differ, None if they do not."""
    parties = [Party(f"p{number}", "2025b", each) for number, each in enumerate(rules)]
    differences = compare([definition], parties, now).differences
    if not differences:
        return None
    at = {party.name: fires for party, fires in differences[0].fire_times}
    return [fires.isoformat() if (fires := at[party.name]) else None for party in parties]


# --- zones ----------------------------------------------------------------------------------------------


def test_the_transitions_begin_with_the_offset_at_the_start() -> None:
    assert ((second(NOW), 3600), (SPRING, 7200)) == zone(BERLIN).transitions(second(NOW), AUTUMN)
    assert ((SPRING, 7200),) == zone(BERLIN).transitions(SPRING, AUTUMN)
    assert ((0, 32400),) == zone("Asia/Tokyo").transitions(0, AUTUMN)


def test_a_zone_amended_by_its_own_transitions_is_the_same() -> None:
    own = zone(BERLIN)
    start, until = second(NOW), second(NOW + timedelta(days=731))
    same = own.amended(own.transitions(start, until), until)

    assert own.transitions(0, 2 * until) == same.transitions(0, 2 * until)
    assert own.name == same.name
    assert same is not zone(BERLIN)


def test_a_zone_is_amended_only_for_the_stretch_that_was_written_down() -> None:
    amended = zone(BERLIN).amended(((SPRING - DAY, 3600),), AUTUMN + DAY)

    assert 7200 == zone(BERLIN).offset_at(SPRING)
    assert 3600 == amended.offset_at(SPRING)
    assert 3600 == amended.offset_at(AUTUMN)
    assert 7200 == amended.offset_at(SPRING - 365 * DAY + 30 * DAY)
    assert 7200 == amended.offset_at(SPRING + 395 * DAY)


def test_the_stretch_begins_with_its_first_transition_and_ends_before_its_end() -> None:
    until = SPRING + 30 * DAY
    amended = zone(BERLIN).amended(((SPRING, 3600),), until)

    assert [3600, 3600, 7200] == [amended.offset_at(instant) for instant in (SPRING, until - 1, until)]


# --- recording ------------------------------------------------------------------------------------------


def test_the_rules_of_every_zone_of_a_schedule_are_recorded_but_not_those_of_utc() -> None:
    definitions = [
        job("0 0 3 * * *"),
        job("0 0 9 * * *", timezone="Asia/Tokyo"),
        job("0 0 9 * * *", timezone="UTC"),
        job("", timezone="America/New_York"),
    ]
    rules = rules_for(definitions, NOW)

    assert {BERLIN, "Asia/Tokyo"} == rules.zones.keys()
    assert ((second(NOW), 3600), (SPRING, 7200), (AUTUMN, 3600)) == rules.zones[BERLIN][:3]
    assert datetime(2028, 11, 21, tzinfo=UTC) == rules.until


def test_the_rules_of_all_the_worlds_zones_fit_an_event_and_come_back_from_it() -> None:
    names = sorted(zoneinfo.available_timezones() - {"UTC", "localtime", "Factory"})
    most_used = job("0 0 3 * * *", timezone=names[-1])
    rules = rules_for([*(job("0 0 3 * * *", timezone=name) for name in names), most_used], NOW)
    body = InstanceStarted(zones=dict(rules.zones), zones_until=rules.until)
    stored = codec.seal(Event(body=body, actor=Actor.engine("instance")), SeededEntropy(), bytes(6)).body

    assert ZONES_RECORDED == len(rules.zones)
    assert names[-1] in rules.zones
    assert body == codec.decode(body.type, body.schema, stored)
    assert len(stored.encode()) < BODY_BYTES


def test_the_zones_with_the_most_transitions_fit_an_event_too() -> None:
    longest = (
        "America/Argentina/ComodRivadavia" + "x" * 3,
        tuple((2_000_000_000 + n, -43_200) for n in range(9)),
    )
    body = InstanceStarted(zones={f"{longest[0][:-3]}{n:03}": longest[1] for n in range(ZONES_RECORDED)})
    stored = codec.seal(Event(body=body, actor=Actor.engine("instance")), SeededEntropy(), bytes(6)).body

    assert body == codec.decode(body.type, body.schema, stored)


def test_an_event_of_an_earlier_version_has_no_rules() -> None:
    body = codec.decode("instance.started", 1, '{"kind":"service","tzdata":"2026.6"}')

    assert InstanceStarted(kind="service", tzdata="2026.6") == body
    assert isinstance(body, InstanceStarted)
    assert ({}, None) == (body.zones, body.zones_until)


# --- comparing ------------------------------------------------------------------------------------------


def test_equal_rules_of_other_instants_make_no_difference() -> None:
    assert None is found(job("0 0 3 * * *"), known(), known(at=NOW - timedelta(days=400)))


def test_a_zone_without_summer_time_fires_an_hour_later_from_spring_on() -> None:
    assert ["2027-03-28T01:00:00+00:00", "2027-03-28T02:00:00+00:00"] == found(
        job("0 0 3 * * *"), known(), no_summer()
    )
    assert ["2027-04-01T10:00:00+00:00", "2027-04-01T11:00:00+00:00"] == found(
        job("0 0 12 1 4 *"), known(), no_summer()
    )


def test_a_job_whose_times_lie_before_the_difference_is_not_affected() -> None:
    assert None is found(job("0 0 12 1 1 *"), known(), no_summer())
    assert None is found(job("at 2027-01-01T12:00:00"), known(), no_summer())


def test_a_single_time_in_summer_differs() -> None:
    assert ["2027-07-01T10:00:00+00:00", "2027-07-01T11:00:00+00:00"] == found(
        job("at 2027-07-01T12:00:00"), known(), no_summer()
    )


def test_elapsed_time_knows_no_zone() -> None:
    assert None is found(job("every 1d"), known(), no_summer())
    assert None is found(job("every 1d from 2026-07-01T12:00:00"), known(), no_summer())


def test_a_job_that_fires_every_hour_or_second_does_not_differ_by_whole_hours() -> None:
    assert None is found(job("0 0 * * * *"), known(), no_summer())
    assert None is found(job("* * * * * *"), known(), other((SPRING, 7200), (SPRING + 60 * DAY, 3600)))


def test_a_job_that_fires_every_second_of_some_hours_does() -> None:
    assert ["2027-03-28T06:00:00+00:00", "2027-03-28T07:00:00+00:00"] == found(
        job("* * 8-17 * * *"), known(), no_summer()
    )


def test_a_time_that_fires_at_its_second_reading_differs_before_the_rules_do() -> None:
    twice = job("0 30 2 * * *", dst=Dst(fold=Fold.SECOND))
    no_winter = other((SPRING, 7200))

    assert ["2027-10-31T01:30:00+00:00", "2027-10-31T00:30:00+00:00"] == found(twice, known(), no_winter)


def test_rules_are_compared_only_as_far_as_all_of_them_know() -> None:
    until = datetime.fromtimestamp(SPRING, UTC) + timedelta(minutes=30)

    assert ["2027-03-28T01:00:00+00:00", None] == found(job("0 0 3 * * *"), known(), other(until=until))
    assert None is found(job("0 0 12 1 4 *"), known(), other(until=until))
    assert None is found(job("0 0 3 * * *"), known(), no_summer(), other(until=NOW + timedelta(days=1)))


def test_those_who_agree_are_told_together() -> None:
    comparison = compare(
        [job("0 0 3 * * *")],
        [Party("a", "2025b", known()), Party("b", "2026f", no_summer()), Party("c", "2025b", known())],
        NOW,
    )
    (difference,) = comparison.differences

    assert ["a", "c", "b"] == [party.name for party, _ in difference.fire_times]
    assert ("report", BERLIN) == (difference.job, difference.zone)


@pytest.mark.parametrize("rules", [Rules({}, known().until), Rules({BERLIN: ()}, known().until)])
def test_whoever_recorded_no_rules_for_a_zone_is_named(rules: Rules) -> None:
    silent = Party("silent", "", rules)
    comparison = compare([job("0 0 3 * * *")], [silent, Party("a", "2025b", known())], NOW)

    assert ((silent, BERLIN),) == comparison.missing
    assert () == comparison.differences


def test_whoever_recorded_no_rules_for_several_zones_is_named_for_each() -> None:
    silent = Party("silent", "", Rules({}, known().until))
    jobs = [job("0 0 3 * * *"), job("0 0 3 * * *", timezone="Asia/Tokyo", name="other")]

    assert ((silent, "Asia/Tokyo"), (silent, BERLIN)) == compare(jobs, [silent], NOW).missing


def test_rules_that_have_run_out_are_as_good_as_none() -> None:
    old = Party("old", "2024a", msgspec.structs.replace(known(), until=NOW))
    comparison = compare([job("0 0 3 * * *"), job("0 0 3 * * *", timezone="UTC")], [old], NOW)

    assert ((old, BERLIN),) == comparison.missing
    assert NOW == comparison.until


def test_a_schedule_that_cannot_be_read_is_left_out() -> None:
    assert {} == rules_for([job("nonsense"), job("0 0 3 * * *", timezone="Mars/Olympus")], NOW).zones
    assert None is found(job("nonsense"), known(), no_summer())
