"""Expressions, zones, rules and starts that find things: half the starts lie near a transition."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume
from hypothesis import strategies as st

from cronledger.domain.cron import Cron, parse
from cronledger.domain.definition import DayMatch, Dst, Fold, Gap
from cronledger.domain.zone import Zone, zone
from cronledger.errors import InvalidCron
from tests.property.cron_oracle import Oracle
from tests.property.zone_files import EVERY_ZONE, changes

ZONES = (
    "UTC",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Monrovia",
    "America/Caracas",
    "America/Havana",
    "America/New_York",
    "America/Nuuk",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Casey",
    "Antarctica/Troll",
    "Antarctica/Vostok",
    "Asia/Almaty",
    "Asia/Dhaka",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/Moscow",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kwajalein",
)
"""Zones whose clocks did everything a clock can do."""
PLACES = st.sampled_from(ZONES) | st.sampled_from(EVERY_ZONE)
MOVING = st.sampled_from([name for name in ZONES if len(changes(name)) > 1]) | st.sampled_from(
    [name for name in EVERY_ZONE if len(changes(name)) > 1]
)
"""Zones whose clocks jump, more than once."""
STILL = st.sampled_from([name for name in EVERY_ZONE if not changes(name)])
"""Zones whose clocks never jump, from 1970 to 2040."""
EARLY = datetime(1970, 2, 15, tzinfo=UTC)


def numbers(low: int, high: int, most: int = 3) -> st.SearchStrategy[str]:
    """A list of single values."""
    return st.lists(st.integers(low, high), min_size=1, max_size=most).map(
        lambda found: ",".join(map(str, found))
    )


def ranges(low: int, high: int) -> st.SearchStrategy[str]:
    """`a-b` with a below b, or `a-b/n`."""
    ends = st.tuples(st.integers(low, high), st.integers(low, high)).filter(lambda pair: pair[0] < pair[1])
    steps = st.sampled_from(["", "", "/2", "/3"])
    return st.builds(lambda pair, step: f"{pair[0]}-{pair[1]}{step}", ends, steps)


def fields(low: int, high: int, steps: tuple[int, ...]) -> st.SearchStrategy[str]:
    """Any plain field."""
    every = st.sampled_from(["*", *(f"*/{step}" for step in steps)])
    onwards = st.builds(lambda first, step: f"{first}/{step}", st.integers(low, high), st.sampled_from(steps))
    return st.one_of(numbers(low, high), every, ranges(low, high), onwards)


PLAIN_DAYS = st.one_of(numbers(1, 31), st.sampled_from(["*", "?", "1-15", "*/5", "10/7", "1-31"]))
DAYS = st.one_of(PLAIN_DAYS, st.sampled_from(["L", "LW", "1,L", "15W", "31W", "1W"]))
PLAIN_WEEKDAYS = st.one_of(numbers(0, 7), st.sampled_from(["*", "?", "1-5", "FRI-SUN", "*/2", "0-7", "mon"]))
WEEKDAYS = st.one_of(PLAIN_WEEKDAYS, st.sampled_from(["1#1", "5L", "SUN#5", "1,3#2", "2#L", "TUEL,6"]))
MONTHS = st.one_of(
    st.just("*"), fields(1, 12, (2, 3, 5)), st.sampled_from(["mar,OCT", "JAN-MAR", "3-4,9-11"])
)
PLUS = st.sampled_from(["", "", "+"])
SPARSE_SECONDS = st.one_of(st.just("0"), numbers(0, 59, 2))
SPARSE_MINUTES = st.one_of(st.just("0"), st.just("30"), numbers(0, 59, 2), st.just("*/30"), st.just("*/20"))


@st.composite
def any_texts(draw: st.DrawFn) -> str:
    """Any expression of the dialect, of which some never fire."""
    seconds, minutes = draw(fields(0, 59, (7, 15, 30))), draw(fields(0, 59, (7, 15, 30)))
    hours = draw(fields(0, 23, (2, 5, 12)))
    days = f"{draw(DAYS)} {draw(MONTHS)} {draw(PLUS)}{draw(WEEKDAYS)}"
    return f"{seconds} {minutes} {hours} {days}"


@st.composite
def day_texts(draw: st.DrawFn) -> str:
    """Expressions that differ in their days only."""
    return f"0 0 12 {draw(DAYS)} {draw(MONTHS)} {draw(PLUS)}{draw(WEEKDAYS)}"


NEAR = st.integers(-129_600, 129_600) | st.sampled_from([-86400, -3600, -1800, -1, 0, 1, 1800, 3599, 3600])
INSTANTS = st.integers(0, 69 * 365 * 86400).map(lambda seconds: EARLY + timedelta(seconds=seconds))


@st.composite
def turns(draw: st.DrawFn, place: str) -> datetime:
    """A transition of the zone or, one time in four, any instant."""
    found = changes(place)[1:]
    return draw(st.sampled_from(found)) if found and draw(st.integers(0, 3)) else draw(INSTANTS)


@st.composite
def starts(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone and an instant from 1970 to 2040, mostly within 36 hours of a transition, some exactly on it."""
    place = draw(PLACES)
    return place, max(draw(turns(place)) + timedelta(seconds=draw(NEAR)), EARLY)


@dataclass(frozen=True)
class Case:
    """An expression in a zone under a rule, and an instant to ask it from."""

    text: str
    place: str
    rule: Dst
    at: datetime
    day_match: DayMatch = DayMatch.OR

    @property
    def cron(self) -> Cron:
        return parse(self.text, day_match=self.day_match)

    @property
    def zone(self) -> Zone:
        return zone(self.place)

    @property
    def oracle(self) -> Oracle:
        both_days = self.day_match is DayMatch.AND
        return Oracle(self.text, self.place, self.rule.gap, self.rule.fold, both_days)

    def next(self, at: datetime) -> datetime:
        found = self.cron.next_after(at, self.zone, self.rule)
        assert found
        return found

    def previous(self, at: datetime) -> datetime:
        found = self.cron.previous_before(at, self.zone, self.rule)
        assume(found is not None)
        assert found
        return found


RULES = st.one_of(st.just(Dst()), st.builds(Dst, gap=st.sampled_from(Gap), fold=st.sampled_from(Fold)))


@st.composite
def sparse_cases(draw: st.DrawFn) -> Case:
    """Few fires a day, at hours of the transition near by."""
    place = draw(PLACES)
    turn = draw(turns(place))
    before = (turn - timedelta(seconds=1)).astimezone(ZoneInfo(place)).hour
    critical = st.sampled_from(
        [before, (before + 1) % 24, (before + 2) % 24, turn.astimezone(ZoneInfo(place)).hour]
    )
    by_clock = st.lists(critical | st.integers(0, 23), min_size=1, max_size=2)
    listed = by_clock.map(lambda found: ",".join(map(str, found)))
    hours = draw(listed | listed | st.sampled_from(["*", "*/2", "0-23"]))
    days = draw(
        st.sampled_from(["* * *", "* * *", "* * *", "* * 1-5", "1,15 * *", "L * 0", "*/2 3,10 *", "* * +7"])
    )
    text = f"{draw(SPARSE_SECONDS)} {draw(SPARSE_MINUTES)} {hours} {days}"
    return Case(text, place, draw(RULES), max(turn + timedelta(seconds=draw(NEAR)), EARLY))


def accepted(text: str) -> bool:
    """Whether an expression of the dialect fires at all."""
    try:
        parse(text)
    except InvalidCron:
        return False
    return True
