"""A schedule: a rule, the zone it is read in, and what holds where that zone's clock jumps.

The rule is a cron expression, a fixed interval (`every 90s`) or a single moment (`at 2026-12-24T18:00:00`);
the rest of the program treats them alike. A schedule is a value, made by `schedule_of`. What is costly about
it is the rule, and rules are kept: equal texts give the same object as long as there are not too many, so a
hundred thousand jobs share what they have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache, partial
from itertools import islice, takewhile

import msgspec

from cronledger.domain import cron_advice, fire_times
from cronledger.domain.calendar import Calendar
from cronledger.domain.cron import DEFAULT_DST, Cron, parse
from cronledger.domain.cron_parser import split
from cronledger.domain.cron_words import in_words
from cronledger.domain.definition import DayMatch, Dst, JobDefinition
from cronledger.domain.fire_times import LAST_SECOND, instant_of, second_of
from cronledger.domain.plain_rules import At, Every, anchor_of, at, every, every_in_words, time_of
from cronledger.domain.zone import Zone, zone
from cronledger.errors import CronledgerError

MANUAL_ONLY = "manual only"
TOLD_WITHIN = timedelta(days=31)
"""How long fire times that a calendar takes away may wait for one that it leaves, to be told in one piece."""
MOST_RULES = 1 << 12
"""How many texts are kept read: to read one takes some microseconds, to keep it some hundred bytes."""
MOST_STRETCHES = 20_000
"""How many closed stretches in a row a search goes through: of closed nights, those of half a century."""


class Schedule(msgspec.Struct, frozen=True, gc=False):
    """When a job is due; fire times are whole seconds in UTC.

    >>> from datetime import UTC, datetime
    >>> schedule = schedule_of("0 30 2 * * *", timezone="America/New_York")
    >>> schedule.next_after(datetime(2024, 3, 9, 12, tzinfo=UTC)).isoformat()
    '2024-03-10T07:00:00+00:00'
    """

    text: str
    """As it was written."""
    rule: Cron | Every | At
    zone: Zone
    dst: Dst
    calendar: Calendar | None = None
    """What takes fire times away."""

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first fire time later than `instant`, or None if there is none before the year 10000.

        None also where a calendar has taken away all of the next `MOST_STRETCHES` stretches.
        """
        if self.calendar is None:
            return fire_times.next_after(self.rule, instant, self.zone, self.dst)
        return _instant(next(self._open(second_of(instant) + 1), None))

    def next_to_decide(self, instant: datetime) -> datetime | None:
        """Return the first fire time later than `instant`; where a calendar leaves none for long, one of its.

        So what a calendar takes away is told at the latest after `TOLD_WITHIN`.
        """
        if self.calendar is None:
            return self.next_after(instant)
        second = second_of(instant) + 1
        return _instant(next(self._open(second, second + TOLD_WITHIN // timedelta(seconds=1)), None))

    def previous_before(self, instant: datetime) -> datetime | None:
        """Return the last fire time earlier than `instant`, or None if there is none since 1970."""
        found = fire_times.previous_before(self.rule, instant, self.zone, self.dst)
        while self.calendar is not None and found is not None:
            since, _, is_open = self.calendar.stretch(second_of(found), self.zone)
            if is_open:
                return found
            second = self.rule.last_until(since - 1, self.zone, self.dst) if since > 0 else -1
            found = _instant(second) if second >= 0 else None
        return found

    def matches(self, instant: datetime) -> bool:
        """Whether `instant` is a fire time."""
        if not fire_times.matches(self.rule, instant, self.zone, self.dst):
            return False
        return self.calendar is None or self.calendar.stretch(second_of(instant), self.zone)[2]

    def why_closed(self, instant: datetime) -> str | None:
        """Name the rule of the calendar that takes an instant away; None if it is left."""
        return self.calendar.why_closed(second_of(instant), self.zone) if self.calendar else None

    def fire_times(self, after: datetime, until: datetime, limit: int) -> Iterator[datetime]:
        """Yield the fire times later than `after` up to and including `until`, at most `limit`, ascending."""
        if self.calendar is None:
            return self.ruled(after, until, limit)
        last = second_of(until)
        found = takewhile(lambda second: second <= last, self._open(second_of(after) + 1))
        return map(instant_of, islice(found, limit))

    def ruled(self, after: datetime, until: datetime, limit: int) -> Iterator[datetime]:
        """Yield what the rule says between two instants, whatever the calendar takes away of it."""
        return fire_times.between(self.rule, after, until, zone=self.zone, dst=self.dst, limit=limit)

    def first_from(self, second: int) -> int:
        """Return the first second from one on that the rule names; beyond LAST_SECOND there is none."""
        return self.rule.first_from(second, self.zone, self.dst)

    def _open(self, second: int, give_up_at: int = LAST_SECOND + 1) -> Iterator[int]:
        """Yield the seconds that the calendar leaves, from one on, and what it takes from `give_up_at` on."""
        assert self.calendar is not None
        closed = known_until = 0
        found = self.first_from(second)
        while found <= LAST_SECOND and closed < MOST_STRETCHES:
            if found >= known_until:
                _, known_until, is_open = self.calendar.stretch(found, self.zone)
                if not is_open and found < give_up_at:
                    closed += 1
                    found = self.first_from(min(known_until, give_up_at))
                    continue
            closed = 0
            yield found
            found = self.first_from(found + 1)


def schedule_of(
    text: str,
    *,
    timezone: str = "UTC",
    day_match: DayMatch = DayMatch.OR,
    dst: Dst = DEFAULT_DST,
    calendar: Calendar | None = None,
) -> Schedule | None:
    """Return the schedule that a text and its settings stand for; None for an empty text: manual only.

    Raises InvalidSchedule (InvalidCron for cron expressions) or UnknownZone.

    >>> schedule_of("") is None
    True
    >>> from datetime import UTC, datetime
    >>> schedule_of("every 90s").next_after(datetime(2026, 1, 1, tzinfo=UTC)).isoformat()
    '2026-01-01T00:01:30+00:00'
    """
    if not text.strip(" \t"):
        return None
    place = zone(timezone)
    rule = _CRONS[day_match](text) or _plain_rule(text, place, dst)
    return Schedule(text=text, rule=rule, zone=place, dst=dst, calendar=calendar)


def schedule_for(definition: JobDefinition) -> Schedule | None:
    """Return the schedule of a definition; None for manual only, or if it is `unreadable` here."""
    try:
        return _schedule_for(definition)
    except CronledgerError:
        return None


def unreadable(definition: JobDefinition) -> str | None:
    """Say why the schedule of a definition cannot be read here; None if it can.

    What is written by a newer version may be of a kind, and in a zone, that this one does not know.
    """
    try:
        _schedule_for(definition)
    except CronledgerError as error:
        return error.message
    return None


def _schedule_for(definition: JobDefinition) -> Schedule | None:
    return schedule_of(
        definition.schedule,
        timezone=definition.timezone,
        day_match=definition.day_match,
        dst=definition.dst,
        calendar=definition.calendar,
    )


def describe(text: str, *, timezone: str = "UTC", day_match: DayMatch = DayMatch.OR) -> str:
    """Say in English when a schedule fires; raises InvalidSchedule or UnknownZone.

    >>> describe("0 30 2 * * MON", timezone="Europe/Berlin")
    'At 02:30, only on Monday (Europe/Berlin)'
    >>> describe("every 1h30m"), describe("at 2026-12-24T18:00:00")
    ('Every 1 hour 30 minutes', 'Once, at 2026-12-24T18:00:00')
    >>> describe("")
    'manual only'
    """
    schedule = schedule_of(text, timezone=timezone, day_match=day_match)
    match schedule and schedule.rule:
        case Cron(spec=spec):
            sentence = in_words(spec, split(text))
        case Every() as rule:
            sentence = every_in_words(rule, anchor_of(text))
            if not rule.anchor.is_local:
                return sentence
        case At(moment=moment):
            sentence = f"Once, at {time_of(text)}"
            if not moment.is_local:
                return sentence
        case _:
            return MANUAL_ONLY
    return sentence if timezone == "UTC" else f"{sentence} ({timezone})"


def advice_on(schedule: Schedule, *, day_match: DayMatch = DayMatch.OR) -> list[str]:
    """Return remarks for whoever wrote a schedule, often none.

    >>> advice_on(schedule_of("every 1d", timezone="Europe/Berlin"))
    ['a day of elapsed time has 24 hours: where the clock changes, its local time moves; cron keeps it']
    """
    match schedule.rule:
        case Cron():
            return cron_advice.advice(schedule.text, day_match=day_match)
        case Every(period=period) if period % 86_400 == 0 and schedule.zone.name != "UTC":
            return [_ELAPSED_DAYS]
        case _:
            return []


_ELAPSED_DAYS = (
    "a day of elapsed time has 24 hours: where the clock changes, its local time moves; cron keeps it"
)


def _instant(second: int | None) -> datetime | None:
    return None if second is None else instant_of(second)


def _cron(text: str, day_match: DayMatch) -> Cron | None:
    """Return the rule that a cron expression stands for; None if the text is none."""
    return None if _kind(text) in _PLAIN else parse(text, day_match=day_match)


@lru_cache(maxsize=MOST_RULES)
def _plain_rule(text: str, place: Zone, dst: Dst) -> Every | At:
    return every(text, place) if _kind(text) == "every" else at(text, place, dst)


def _kind(text: str) -> str:
    return text.replace("\t", " ").strip(" ").partition(" ")[0].lower()


_PLAIN = {"every", "at"}
_CRONS = {match: lru_cache(maxsize=MOST_RULES)(partial(_cron, day_match=match)) for match in DayMatch}
"""An expression means the same in every zone: so many jobs share it."""
