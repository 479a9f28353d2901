"""The canonical text of an expression: equal meanings have equal texts, and the text means the same again."""

from __future__ import annotations

from cronledger.domain.cron_parser import (
    ALL_DAYS,
    ALL_WEEKDAYS,
    LAST,
    LAST_DAY,
    LAST_WORKDAY,
    NEAREST,
    Spec,
)

_LONGEST_LIST = 2
"""From three values on, an arithmetic sequence is written as a range with a step."""


def canonical(spec: Spec) -> str:
    """Write an expression in its canonical form.

    A `*` among second, minute and hour decides between interval and fixed, so it is written there exactly
    for intervals.
    """
    starred = spec.interval
    seconds = _field(spec.seconds, 0, 59, starred=starred)
    minutes = _field(spec.minutes, 0, 59, starred=starred)
    hours = _field(spec.hours, 0, 23, starred=starred)
    if starred and "*" not in seconds + minutes + hours:
        if (marked := _with_star(spec.hours, 23)) is not None:
            hours = marked
        elif (marked := _with_star(spec.minutes, 59)) is not None:
            minutes = marked
        elif (marked := _with_star(spec.seconds, 59)) is not None:
            seconds = marked
    months = _field(spec.months, 1, 12, starred=True)
    mark = "+" if spec.both else ""
    return f"{seconds} {minutes} {hours} {_days(spec.days)} {months} {mark}{_weekdays(spec.weekdays)}"


def values(mask: int) -> list[int]:
    """Return the numbers of the bits that are set, ascending."""
    return [value for value in range(mask.bit_length()) if mask >> value & 1]


def _field(mask: int, low: int, high: int, *, starred: bool) -> str:
    found = values(mask)
    if len(found) == high - low + 1:
        return "*" if starred else f"{low}-{high}"
    step = found[1] - found[0] if len(found) > 1 else 0
    even = bool(step) and found == list(range(found[0], found[-1] + 1, step))
    reaches = even and starred and found[0] == low and found[-1] + step > high
    if reaches and (len(found) > _LONGEST_LIST or (high - low + 1) % step == 0):
        return f"*/{step}"
    if even and len(found) > _LONGEST_LIST:
        return f"{found[0]}-{found[-1]}" + (f"/{step}" if step > 1 else "")
    return ",".join(map(str, found))


def _with_star(mask: int, high: int) -> str | None:
    """Write a set that is no single sequence with one step that starts at `*`, and the rest as a list."""
    for step in range(2, high + 1):
        sequence = range(0, high + 1, step)
        if all(mask >> value & 1 for value in sequence):
            rest = [str(value) for value in values(mask) if value not in sequence]
            return ",".join([f"*/{step}", *rest])
    return None


def _days(mask: int) -> str:
    if mask == ALL_DAYS:
        return "*"
    parts = [_field(mask & ALL_DAYS, 1, 31, starred=True)] if mask & ALL_DAYS else []
    parts += [name for bit, name in ((LAST_DAY, "L"), (LAST_WORKDAY, "LW")) if mask & bit]
    parts += [f"{value - NEAREST}W" for value in values(mask) if value > NEAREST]
    return ",".join(parts)


def _weekdays(mask: int) -> str:
    if mask == ALL_WEEKDAYS:
        return "*"
    parts = [_field(mask & ALL_WEEKDAYS, 0, 6, starred=True)] if mask & ALL_WEEKDAYS else []
    for value in values(mask >> 7 << 7):
        ordinal, weekday = divmod(value, 7)
        parts.append(f"{weekday}L" if ordinal == LAST else f"{weekday}#{ordinal}")
    return ",".join(parts)
