"""What a six-field expression means, decided the slow way: by date and by second, through `zoneinfo`.

It shares no code with the engine and answers two questions: whether an instant is a fire time, and which fire
times a stretch of days holds. `refuses` decides whether a text is an expression at all.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import product
from zoneinfo import ZoneInfo

SECOND = timedelta(seconds=1)
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
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @cached_property
    def is_interval(self) -> bool:
        return any(item.split("/")[0] == "*" for word in self.words[:3] for item in word.split(","))

    @cached_property
    def times_of_day(self) -> list[timedelta]:
        seconds, minutes, hours = (sorted(field) for field in self.fields[:3])
        return [timedelta(hours=h, minutes=m, seconds=s) for h, m, s in product(hours, minutes, seconds)]

    def matches(self, local: datetime) -> bool:
        """Whether a clock that reads `local` (naive) shows a time that the expression names."""
        seconds, minutes, hours = self.fields[:3]
        on_time = local.second in seconds and local.minute in minutes and local.hour in hours
        return on_time and self.on_day(local.date())

    def on_day(self, day: date) -> bool:
        return day.month in self.fields[4] and self._day_rule(day)

    def _day_rule(self, day: date) -> bool:
        days, weekdays = self.fields[3], self.fields[5]
        by_day = day.day in days or any(
            special(word, day) for word in self.words[3].split(",") if not plain(word)
        )
        weekday = day.isoweekday() % 7
        by_weekday = weekday in weekdays or any(
            special(word, day) for word in self.words[5].split(",") if not plain(word)
        )
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
        first = since.astimezone(self.tz).date() - timedelta(days=2)
        last = until.astimezone(self.tz).date() + timedelta(days=2)
        found: set[datetime] = set()
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            if self.on_day(day):
                midnight = datetime.combine(day, datetime.min.time())
                for time in self.times_of_day:
                    found |= self._instants(midnight + time)
        return sorted(at for at in found if since <= at <= until)

    def _instants(self, naive: datetime) -> set[datetime]:
        early, late = (naive.replace(tzinfo=self.tz, fold=fold).astimezone(UTC) for fold in (0, 1))
        read = [at for at in (early, late) if at.astimezone(self.tz).replace(tzinfo=None, fold=0) == naive]
        if read:
            if self.is_interval or self.fold == "both":
                return set(read)
            return {min(read) if self.fold == "first" else max(read)}
        if self.is_interval or self.gap == "skip":
            return set()
        jump = last_before_change(self.tz, late, early) + SECOND
        sides = {
            (jump - SECOND).astimezone(self.tz).date(),
            jump.astimezone(self.tz).date(),
        }
        return {jump} if naive.date() in sides else set()


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


@lru_cache(maxsize=64)
def changes(zone: str, first_year: int = 1970, last_year: int = 2040) -> list[datetime]:
    """Return the instants at which a zone's offset changes, by looking at it once a day."""
    tz = ZoneInfo(zone)
    found = []
    here = datetime(first_year, 1, 1, tzinfo=UTC)
    while here.year <= last_year:
        there = here + timedelta(days=1)
        if here.astimezone(tz).utcoffset() != there.astimezone(tz).utcoffset():
            found.append(last_before_change(tz, here, there) + SECOND)
        here = there
    return found


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
