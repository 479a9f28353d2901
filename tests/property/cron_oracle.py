"""What a six-field expression means, decided the slow way: by date and by second, through `zoneinfo`.

It shares no code with the engine and answers two questions: whether an instant is a fire time, and which fire
times a stretch of time holds; the next and the previous one follow. `refuses` decides whether a text is an
expression at all.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import product
from zoneinfo import ZoneInfo

SECOND, DAY, HALF_A_DAY, NOTHING = timedelta(seconds=1), timedelta(days=1), timedelta(hours=12), timedelta()
SMALLEST, HOUR = timedelta(microseconds=1), timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_WAIT = timedelta(days=14_620)
"""No expression that fires at all waits longer: forty years, and some days of doubt."""
MONTHS = [name.upper() for name in "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()]  # noqa: SIM905
WEEKDAYS = [name.upper() for name in "Sun Mon Tue Wed Thu Fri Sat".split()]  # noqa: SIM905
LIMITS = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]


class Wrong(Exception):
    """The text is not an expression."""


@dataclass(frozen=True)
class Oracle:
    """An expression, read once, in a zone and under a rule for gaps and folds."""

    text: str
    zone: str = "UTC"
    gap: str = "shift"
    fold: str = "first"
    both_days: bool = False

    @cached_property
    def fields(self) -> list[set[int]]:
        return [expand(word, index) for index, word in enumerate(self.words)]

    @cached_property
    def words(self) -> list[str]:
        words = self.text.upper().split()
        return [*words[:5], words[5].removeprefix("+")]

    @cached_property
    def specials(self) -> list[list[str]]:
        """The items of the two day fields that are no plain values."""
        return [[item for item in self.words[index].split(",") if not plain(item)] for index in (3, 5)]

    @cached_property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @cached_property
    def is_interval(self) -> bool:
        return any(item.split("/")[0] == "*" for word in self.words[:3] for item in word.split(","))

    @cached_property
    def times_of_day(self) -> list[timedelta]:
        return times_of_day(*(tuple(sorted(field)) for field in self.fields[:3]))

    @cached_property
    def stretch(self) -> timedelta:
        """A time in which the clock shows few of the times of day, if there are many."""
        return max(HOUR, min(DAY, DAY * 50 // len(self.times_of_day)))

    def matches(self, local: datetime) -> bool:
        """Whether a clock that reads `local` (naive) shows a time that the expression names."""
        seconds, minutes, hours = self.fields[:3]
        on_time = local.second in seconds and local.minute in minutes and local.hour in hours
        return on_time and self.on_day(local.date())

    def on_day(self, day: date) -> bool:
        return day.month in self.fields[4] and self._day_rule(day)

    def _day_rule(self, day: date) -> bool:
        days, weekdays = self.fields[3], self.fields[5]
        by_day = day.day in days or any(special(item, day) for item in self.specials[0])
        by_weekday = day.isoweekday() % 7 in weekdays or any(special(item, day) for item in self.specials[1])
        if len(days) == 31 or len(weekdays) == 7:
            return (by_day or len(days) == 31) and (by_weekday or len(weekdays) == 7)
        if "+" in self.text or self.both_days:
            return by_day and by_weekday
        return by_day or by_weekday

    def is_fire(self, at: datetime) -> bool:
        """Whether the aware instant `at` is a fire time."""
        if at.microsecond:
            return False
        local = at.astimezone(self.tz)
        naive = local.replace(tzinfo=None, fold=0)
        if self.matches(naive):
            twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
            wanted = {"first": 0, "second": 1}.get(self.fold)
            if self.is_interval or not twice or wanted is None or local.fold == wanted:
                return True
        if self.is_interval or self.gap == "skip":
            return False
        before = (at - SECOND).astimezone(self.tz).replace(tzinfo=None, fold=0)
        return naive - before > SECOND and self._named_in_gap(before, naive)

    def _named_in_gap(self, before: datetime, after: datetime) -> bool:
        """Whether a time between two readings of the clock is named, on a date that exists."""
        for day in {before.date(), after.date()}:
            midnight = datetime.combine(day, datetime.min.time())
            if self.on_day(day) and any(before < midnight + time < after for time in self.times_of_day):
                return True
        return False

    def fires(self, since: datetime, until: datetime) -> list[datetime]:
        """Return the fire times in [since, until], by writing down every local time and looking it up."""
        found = {at for time in self._named(since, until) for at in self._instants(time)}
        return sorted(at for at in found if since <= at <= until)

    def first_after(self, at: datetime) -> datetime:
        """Return the first fire time later than `at`, by looking at one stretch of time after the other."""
        since = at + SMALLEST
        while since - at < LONGEST_WAIT:
            if not self._may_fire_about(since):
                since += DAY
            elif found := self.fires(since, since + self.stretch):
                return found[0]
            else:
                since += self.stretch
        raise AssertionError(f"{self} has no fire time after {at}")

    def last_before(self, at: datetime) -> datetime | None:
        """Return the last fire time earlier than `at`, or None before 1970."""
        until = at - SMALLEST
        while until >= EPOCH:
            if not self._may_fire_about(until):
                until -= DAY
            elif found := self.fires(max(until - self.stretch, EPOCH), until):
                return found[-1]
            else:
                until -= self.stretch
        return None

    def _may_fire_about(self, at: datetime) -> bool:
        """Whether the expression names any date that a zone's clock shows within a day of `at`."""
        return any(self.on_day(at.date() + timedelta(days=number)) for number in range(-2, 3))

    def _named(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the local times that the expression names and the clock shows or skips in [since, until]."""
        low, high = self._readings(since, until)
        for number in range((high.date() - low.date()).days + 1):
            day = low.date() + timedelta(days=number)
            if self.on_day(day):
                midnight = datetime.combine(day, datetime.min.time())
                times = self.times_of_day
                first = bisect_left(times, low - midnight)
                last = bisect_right(times, high - midnight)
                yield from (midnight + time for time in times[first:last])

    def _readings(self, since: datetime, until: datetime) -> tuple[datetime, datetime]:
        """Return bounds of what the clock may read in [since, until], with room for what it skips."""
        offsets = []
        here = since - DAY
        while here < until + DAY + HALF_A_DAY:
            offsets.append(here.astimezone(self.tz).utcoffset() or NOTHING)
            here += HALF_A_DAY
        return (
            since.replace(tzinfo=None) + min(offsets),
            until.replace(tzinfo=None) + max(offsets),
        )

    def _instants(self, naive: datetime) -> set[datetime]:
        """Return when the clock reads `naive`, as far as the rules count it, or when it jumps over it."""
        read = readings(self.tz, naive)
        if len(read) == 1 or (read and (self.is_interval or self.fold == "both")):
            return set(read)
        if read:
            return {min(read) if self.fold == "first" else max(read)}
        if self.is_interval or self.gap == "skip":
            return set()
        jump = jump_over(self.tz, naive)
        sides = {(jump - SECOND).astimezone(self.tz).date(), jump.astimezone(self.tz).date()}
        return {jump} if naive.date() in sides else set()


@lru_cache(maxsize=1 << 13)
def readings(tz: ZoneInfo, naive: datetime) -> tuple[datetime, ...]:
    """Return the instants at which a clock reads `naive`: none in a gap, two where it goes back."""
    early, late = (naive.replace(tzinfo=tz, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early == late:
        return (early,)
    return tuple(at for at in (early, late) if at.astimezone(tz).replace(tzinfo=None, fold=0) == naive)


def jump_over(tz: ZoneInfo, naive: datetime) -> datetime:
    """Return the instant at which a clock jumps over `naive`."""
    early, late = (naive.replace(tzinfo=tz, fold=fold).astimezone(UTC) for fold in (0, 1))
    return last_before_change(tz, early, late) + SECOND


@lru_cache(maxsize=256)
def times_of_day(
    seconds: tuple[int, ...], minutes: tuple[int, ...], hours: tuple[int, ...]
) -> list[timedelta]:
    """Return every time of day at which all three fields match, in order."""
    return [timedelta(hours=h, minutes=m, seconds=s) for h, m, s in product(hours, minutes, seconds)]


def last_before_change(tz: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """Return the last instant before the offset becomes that of `high`."""
    low, high = min(low, high) - SECOND, max(low, high)
    offset = high.astimezone(tz).utcoffset()
    while high - low > SECOND:
        middle = low + timedelta(seconds=(high - low) // SECOND // 2)
        if middle.astimezone(tz).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return low


def plain(item: str) -> bool:
    return not any(mark in without_name(item) for mark in "LW#")


def without_name(item: str) -> str:
    return "0" + item[3:] if item[:3] in WEEKDAYS + MONTHS else item


def special(item: str, day: date) -> bool:
    """Whether a day is the L, LW, 15W, 5#2 or 5L that an item of a day field names."""
    length = calendar.monthrange(day.year, day.month)[1]
    if item == "L":
        return day.day == length
    if item == "LW":
        return day.day == max(d for d in range(1, length + 1) if day.replace(day=d).weekday() < 5)
    if item.endswith("W"):
        wanted = int(item[:-1])
        if wanted > length:
            return False
        working = [d for d in range(1, length + 1) if day.replace(day=d).weekday() < 5]
        return day.day == min(working, key=lambda d: (abs(d - wanted), d))
    name, _, ordinal = item.partition("#")
    if not ordinal:
        name, ordinal = item[:-1], "L"
    same = [d for d in range(1, length + 1) if day.replace(day=d).isoweekday() % 7 == number(name, 5) % 7]
    if ordinal == "L":
        return day.day == same[-1]
    return len(same) >= int(ordinal) and day.day == same[int(ordinal) - 1]


# --- the grammar, item by item --------------------------------------------------------------------------


def expand(word: str, index: int) -> set[int]:
    """Return the plain values of a field; raises Wrong."""
    low, high = LIMITS[index]
    if word == "?" and index in (3, 5):
        return set(range(low, high + 1))
    found: set[int] = set()
    items = word.split(",")
    for item in items:
        if plain(item):
            found |= expand_item(item, index)
        else:
            check_special(item, index, alone=len(items) == 1)
    return found


def expand_item(item: str, index: int) -> set[int]:
    low, high = LIMITS[index]
    body, slash, step = item.partition("/")
    stride = 1
    if slash:
        if not digits(step) or not 1 <= int(step) <= high:
            raise Wrong(item)
        stride = int(step)
    if body == "*":
        return set(range(low, high + 1, stride))
    first, dash, last = body.partition("-")
    start = number(first, index)
    if dash:
        end = number(last, index)
        if last == "SUN" and start > 0:
            end = 7
        if end < start:
            raise Wrong(item)
    else:
        start = start % 7 if index == 5 else start
        end = high if slash else start
    values = set(range(start, end + 1, stride))
    return {value % 7 for value in values} if index == 5 else values


def check_special(item: str, index: int, *, alone: bool) -> None:
    if index == 3:
        if item in ("L", "LW"):
            return
        if alone and item.endswith("W") and digits(item[:-1]) and 1 <= int(item[:-1]) <= 31:
            return
    if index == 5:
        name, hash_, ordinal = item.partition("#")
        if hash_ and ordinal in ("1", "2", "3", "4", "5", "L"):
            number(name, 5)
            return
        if not hash_ and item.endswith("L"):
            number(item[:-1], 5)
            return
    raise Wrong(item)


def number(token: str, index: int) -> int:
    low, high = LIMITS[index]
    names = {4: MONTHS, 5: WEEKDAYS}.get(index, [])
    if token in names:
        return names.index(token) + low
    if not digits(token) or not low <= int(token) <= (7 if index == 5 else high):
        raise Wrong(token)
    return int(token)


def digits(token: str) -> bool:
    return 1 <= len(token) <= 2 and all(char in "0123456789" for char in token)


def refuses(text: str) -> bool:
    """Whether a text of six words is no expression; dates that never come are not looked at."""
    if any(not (" " <= char <= "~" or char == "\t") for char in text):
        return True
    words = text.upper().split()
    if len(words) != 6:
        return True
    try:
        for index, word in enumerate([*words[:5], words[5].removeprefix("+")]):
            expand(word, index)
    except Wrong:
        return True
    return False


def ever(text: str, *, both_days: bool = False) -> bool:
    """Whether an expression fires on any day of the fourteen kinds of years."""
    oracle = Oracle(text, both_days=both_days)
    years = [*range(2001, 2028), 2028]
    return any(
        oracle.on_day(date(year, month, day))
        for year in years
        for month in oracle.fields[4]
        for day in range(1, calendar.monthrange(year, month)[1] + 1)
    )
